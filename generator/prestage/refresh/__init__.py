"""The look for a new commit on a branch: it is staged beside the one in service, and told. Nothing is adopted here."""
