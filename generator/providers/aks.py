"""Azure Kubernetes Service."""

from __future__ import annotations

from generator.providers import azure
from generator.providers.base import Provider

_PROBE = {"service.beta.kubernetes.io/azure-load-balancer-health-probe-request-path": "/-/healthz"}

PROVIDER = Provider(
    name="aks",
    internal={**_PROBE, "service.beta.kubernetes.io/azure-load-balancer-internal": "true"},
    public=_PROBE,
    labels_nodes=True,
    own_keys=frozenset({"key_vault"}),
    unfit=azure.unfit,
)
