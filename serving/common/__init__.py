"""What every application needs before it serves: is the model complete, what does the environment say."""
