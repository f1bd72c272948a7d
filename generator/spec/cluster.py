"""`clusters:`, where models are staged and served."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from generator.spec.base import LabelKey, LabelValue, Name, Node, Seq, described
from generator.spec.cache import Way

BridgeKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]
BridgeValue = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$", max_length=200)]

AddonName = Literal[
    "kuberay-operator",
    "kro",
    "mountpoint-s3-csi-driver",
    "argo-workflows",
    "ack-iam-controller",
    "ack-eks-controller",
]


class Cluster(Node):
    """One cluster that Argo CD knows, or all clusters that carry the labels of `selector`."""

    name: Name = described(
        "Name of the cluster; label `cluster_name` of its Secret unless `selector` is given.", "peeks-hub"
    )
    provider: Literal["eks"] = described("Who runs the cluster.", "eks")
    selector: dict[LabelKey, LabelValue] = described(
        "Labels of the Argo CD cluster Secret (GitOps Bridge) that choose the cluster.",
        {"enable_ray_operator": "true"},
        default={},
    )
    values: dict[BridgeKey, BridgeValue] = described(
        "Values that the cluster's annotations would give (`aws_region`, `aws_account_id`, `resource_prefix`,"
        " `aws_cluster_name`), for repositories without the GitOps Bridge.",
        {"aws_region": "us-west-2"},
        default={},
    )
    services_by: Literal["kro", "helm"] = described(
        "`kro`: services are instances of a ResourceGraphDefinition; `helm`: of a plain chart.", "kro", default="kro"
    )
    staging: Way | None = described(
        "How models are staged on this cluster, where it is another way than their cache's.", "workflow", default=None
    )
    node_pools: Literal["auto-mode", "karpenter"] | None = described(
        "Whose NodePools the rendered repository adds for the accelerators that services use: those of EKS Auto Mode or"
        " of Karpenter; none when left out.",
        "auto-mode",
        default=None,
    )
    addons: Seq[AddonName] = described(
        "Cluster software that the rendered repository installs; leave out what the platform installs itself.",
        ["kuberay-operator", "kro"],
        default=("kuberay-operator", "kro"),
    )
