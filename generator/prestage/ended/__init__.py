"""The exit handler of a Workflow: one message for all its steps."""
