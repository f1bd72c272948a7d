"""Waiting: the step before a server starts. Is the model that it will read complete? Reads the manifest alone."""
