"""`clusters:`, where models are staged and served."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from generator.spec.base import LabelKey, LabelValue, Name, Node, ObjectName, SecretKey, Seq, described
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


VaultName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]$")]
"""A Key Vault: 3 to 24 letters, digits and hyphens (Azure, naming rules of Microsoft.KeyVault)."""
VaultObject = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9-]{0,126}$")]
Uuid = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


class VaultSecret(Node):
    """A secret of Key Vault, kept as a key of a Secret in the platform's namespace."""

    secret: ObjectName = described("Secret of Kubernetes that is made of it.", "redis")
    key: SecretKey = described("Key inside that Secret.", "password")
    object: VaultObject = described("Name of the secret in Key Vault.", "redis-password")


class KeyVault(Node):
    """An Azure Key Vault, read by the CSI Secret Store driver with a workload identity."""

    name: VaultName = described("Name of the vault.", "kv-models")
    tenant: Uuid = described("Tenant of the vault.", "6fd1b7c2-6f5e-4d3c-9a4e-2b7f0c1d8e9a")
    client: Uuid = described(
        "Client id of the identity that services take; an output of the rendered Terraform.",
        "0a9d2c44-1f0b-4b7e-8a63-5d1c2e3f4a5b",
    )
    secrets: Seq[VaultSecret] = described("What the services' pods get.", min_length=1, max_length=100)


class Cluster(Node):
    """One cluster that Argo CD knows, or all clusters that carry the labels of `selector`."""

    name: Name = described(
        "Name of the cluster; label `cluster_name` of its Secret unless `selector` is given.", "peeks-hub"
    )
    provider: Literal["eks", "aks", "openshift", "kubernetes"] = described(
        "Who runs the cluster; `kubernetes`: any other, with nothing of a cloud.", "eks"
    )
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
    services_by: Literal["kro", "helm"] | None = described(
        "`kro`: services are instances of a ResourceGraphDefinition; `helm`: of a plain chart. When left out, `kro` on"
        " EKS and `helm` elsewhere.",
        "kro",
        default=None,
    )
    gitops: Literal["argocd", "kubectl"] = described(
        "Who applies what is rendered: `argocd`, or people with `kubectl apply -k` and `oc apply -k`, for whom the"
        " charts are expanded (which needs helm) below `clusters/<name>/`.",
        "argocd",
        default="argocd",
    )
    profile: Literal["development", "production"] | None = described(
        "Size of services on this cluster: `development`: one replica, a small head; `production`: two replicas or"
        " more, spread over hosts, a larger head. As the services say when left out.",
        "production",
        default=None,
    )
    key_vault: KeyVault | None = described(
        "Azure Key Vault that holds the Secrets of services; AKS only.", default=None
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
    addons: Seq[AddonName] | None = described(
        "Cluster software that the rendered repository installs; leave out of the list what the platform installs"
        " itself. When there is no list, what the services on the cluster need.",
        ["kuberay-operator", "kro"],
        default=None,
    )
    operator_namespace: Name | None = described(
        "Namespace of the KubeRay operator, where the platform installs it itself; `kuberay-system` when left out. The"
        " pods of services let nobody else in.",
        "ray-operator",
        default=None,
    )
