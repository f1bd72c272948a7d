"""The program in the prestage Job: Hub to S3 or volume. It imports nothing of the compiler."""
