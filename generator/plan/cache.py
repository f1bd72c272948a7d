"""Where weights are staged: a class for each kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cache:
    """Where weights are staged. The classes below are the kinds."""

    name: str
    kind: str  # row of generator.caches


@dataclass(frozen=True, slots=True)
class Region:
    """A region and its bucket."""

    region: str
    bucket: str


@dataclass(frozen=True, slots=True)
class Bucket(Cache):
    """An S3 bucket."""

    bucket: str | None  # None: <prefix>-ray-models-<account> of the cluster, or one of `regions`
    credentials: str  # driver | pod
    regions: tuple[Region, ...]  # the first is staged from the Hub, the others from the first; empty: one bucket
    server: S3Server | None  # None: AWS

    @property
    def of_cluster(self) -> bool:
        """Whether the bucket is named after the cluster."""
        return self.bucket is None and not self.regions


@dataclass(frozen=True, slots=True)
class S3Server:
    """An S3 server that is not AWS's, and the Secret with its credentials."""

    endpoint: str
    region: str
    secret: str


@dataclass(frozen=True, slots=True)
class Claims(Cache):
    """A PersistentVolumeClaim for each model and commit."""

    storage_class: str  # that the claims name: `made`, where there is one
    made: StorageClass | None
    access_mode: str
    size: str | None  # a Kubernetes quantity; None: from the lock


@dataclass(frozen=True, slots=True)
class StorageClass:
    """A class that the tree makes: that of the cluster, with Retain."""

    name: str
    provisioner: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Baked(Cache):
    """The images of services."""

    repository: str
