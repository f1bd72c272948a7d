"""`caches:`, where weights are staged. A new kind is a class here, a module under generator/caches and a row."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from generator.spec.base import Name, Node, Seq, described

BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$")]
RegionName = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$", max_length=32)]
Way = Literal["job", "workflow"]
"""How models are staged: a row of generator.stagings."""


class Region(Node):
    """A region with a bucket of its own."""

    region: RegionName = described("Region of the bucket, and of the clusters that read it.", "eu-west-1")
    bucket: BucketName = described("Bucket in that region; names are global, so each has its own.", "example-models-eu")


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
    regions: Seq[Region] = described(
        "Buckets of several regions, instead of `bucket`. The first gets the models from the Hub, the others from the"
        " first; clusters stage and read in their own region.",
        [
            {"region": "eu-west-1", "bucket": "example-models-eu"},
            {"region": "us-east-1", "bucket": "example-models-us"},
        ],
        default=(),
        max_length=16,
    )
    staging: Way = described(
        "How models get into it: `job`: a Job per model and commit, rights by Terraform; `workflow`: an instance of the"
        " kro definition HuggingFaceModel per model, with rights of its own (ACK) and an Argo Workflow.",
        "workflow",
        default="job",
    )


Cache = S3Cache
