"""The verbs of the command line, a module for each kind. They tie the pure parts together and report."""
