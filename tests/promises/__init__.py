"""Promises under hostile input: slices for the test-suite; `python -m tests.promises` prints the full figure."""
