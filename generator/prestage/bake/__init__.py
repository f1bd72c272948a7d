"""Fetches the models of an image while it is built."""
