"""`caches:`, where weights are staged. A new kind is a class here, a module under generator/caches and a row."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from generator.spec.base import Lines, Memory, Name, Node, ObjectName, Seq, described, with_port

BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$")]
RegionName = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$", max_length=32)]
Endpoint = Annotated[
    str,
    StringConstraints(
        pattern=r"^https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]+)?$",
        max_length=300,
    ),
    AfterValidator(with_port),
]
Repository = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*(:[0-9]+)?(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+$", max_length=255
    ),
]
"""An image's name without tag and digest (OCI distribution reference grammar, lower case host)."""
ProvisionerName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[A-Za-z0-9._-]+)?$", max_length=253)
]
ParameterKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([-_./A-Za-z0-9]*[A-Za-z0-9])?$", max_length=200)]
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
    endpoint: Endpoint | None = described(
        "Address of an S3 server other than AWS's (MinIO, Ceph), for clusters of any provider; then `bucket`, `region`"
        " and `credentialsSecret` are needed, and nothing of a cloud is.",
        "https://minio.example.com",
        default=None,
    )
    region: RegionName | None = described(
        "Region that the server at `endpoint` wants to be called; MinIO's is us-east-1 unless it was told another.",
        "us-east-1",
        default=None,
    )
    credentials_secret: ObjectName | None = described(
        "Secret in the platform's namespace with the keys `access_key_id` and `secret_access_key` for `endpoint`; the"
        " Mountpoint driver has its own, `aws-secret` in its namespace.",
        "minio",
        default=None,
    )


class PvcCache(Node):
    """A claim for each model and commit, filled by a loader Job."""

    name: Name = described("Name that models refer to.", "claims")
    type: Literal["pvc"] = described("Kind of cache.", "pvc")
    storage_class: ObjectName = described("StorageClass of the claims.", "gp3-csi")
    retain: bool = described(
        "Whether the claims get a class of their own instead, with the provisioner and parameters of `storageClass` and"
        " `reclaimPolicy: Retain`: a claim that is deleted then loses no data.",
        True,
        default=False,
    )
    provisioner: ProvisionerName | None = described(
        "Provisioner of `storageClass`, for `retain` with a class that the catalogue of defaults does not know.",
        "ebs.csi.aws.com",
        default=None,
    )
    parameters: dict[ParameterKey, Lines] = described(
        "Parameters of `storageClass`, for `retain`, beside or instead of those that are known of it.",
        {"type": "gp3"},
        default={},
    )
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = described(
        "`ReadWriteOnce`: disks, that one node mounts at a time; `ReadWriteMany`: file shares.",
        "ReadWriteOnce",
        default="ReadWriteOnce",
    )
    size: Literal["auto"] | Memory = described(
        "Size of each claim; `auto`: that of the model's files in the lock and a tenth more.",
        "100Gi",
        unit="bytes",
        default="auto",
    )


class ImageCache(Node):
    """The image of each service holds its models; nothing is staged on clusters."""

    name: Name = described("Name that models refer to.", "baked")
    type: Literal["image"] = described("Kind of cache.", "image")
    repository: Repository = described(
        "Where the images go: `<repository>/<service>`, tagged by the digest of what is in it.",
        "crexample.azurecr.io/models",
    )


Cache = Annotated[S3Cache | PvcCache | ImageCache, Field(discriminator="type")]
