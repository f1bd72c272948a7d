"""Modelyard: one models.yaml compiled into a GitOps repository that serves language models."""

__version__ = "0.1.0"
