"""The language of models.yaml. The JSON Schema and docs/models-yaml.md are generated from these classes."""

from __future__ import annotations

from typing import Literal

from generator.spec.application import Application
from generator.spec.base import Node, Seq, described
from generator.spec.cache import Cache, ImageCache, PvcCache, S3Cache
from generator.spec.cluster import Cluster
from generator.spec.model import Model, Source
from generator.spec.platform import Notifications, Platform
from generator.spec.raycluster import WorkerGroup
from generator.spec.service import Service

API_VERSION = "modelyard.dev/v1alpha1"
KIND = "ModelCatalog"
MOST = 20_000  # models, and services


class Spec(Node):
    """A whole models.yaml."""

    api_version: Literal["modelyard.dev/v1alpha1"] = described("Version of this language.", API_VERSION)
    kind: Literal["ModelCatalog"] = described("Kind of document.", KIND)
    platform: Platform = described("Facts that hold for the whole repository.")
    clusters: Seq[Cluster] = described("Where models are staged and served.", min_length=1)
    caches: Seq[Cache] = described("Where weights are staged.", min_length=1)
    models: Seq[Model] = described("What the platform offers.", default=(), max_length=MOST)
    services: Seq[Service] = described("How models are served.", default=(), max_length=MOST)


__all__ = [
    "API_VERSION",
    "KIND",
    "Application",
    "Cache",
    "Cluster",
    "ImageCache",
    "Model",
    "Notifications",
    "Platform",
    "PvcCache",
    "S3Cache",
    "Service",
    "Source",
    "Spec",
    "WorkerGroup",
]
