"""`caches:`, where weights are staged. A new kind is a class here, a module under generator/caches and a row."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from generator.spec.base import Name, Node, described

BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$")]


class S3Cache(Node):
    """An S3 bucket, read through the Mountpoint CSI driver."""

    name: Name = described("Name that models refer to.", "s3")
    type: Literal["s3"] = described("Kind of cache.", "s3")
    bucket: BucketName | None = described(
        "Bucket; `<prefix>-ray-models-<account>` from the cluster's annotations when left out.",
        "example-models",
        default=None,
    )
    credentials: Literal["driver", "pod"] = described(
        "Whose identity reads the mount: `driver` (a new service needs no new cloud right) or `pod` (each service's"
        " own ServiceAccount; needs a Pod Identity association per service).",
        "driver",
        default="driver",
    )


Cache = S3Cache
