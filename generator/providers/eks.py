"""Amazon EKS: Pod Identity, values from the GitOps Bridge, AWS Load Balancer Controller."""

from __future__ import annotations

from generator.providers.base import Provider

_SCHEME = "service.beta.kubernetes.io/aws-load-balancer-scheme"
_KIND = {
    "service.beta.kubernetes.io/aws-load-balancer-type": "external",
    "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type": "ip",
}

PROVIDER = Provider(
    name="eks",
    bridge_keys=("aws_account_id", "aws_cluster_name", "aws_region", "resource_prefix"),
    services_by="kro",
    identity=("169.254.170.23/32",),  # EKS Pod Identity agent
    internal={**_KIND, _SCHEME: "internal"},
    public={**_KIND, _SCHEME: "internet-facing"},
    own_keys=frozenset({"node_pools"}),
    stagings=frozenset({"job", "workflow"}),  # Workflows take their rights by ACK
)
