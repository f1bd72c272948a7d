"""What a provider row says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Unfit = Callable[[Mapping[str, str], str | None], tuple[str, str]]
"""Why no machine of the provider holds a pod with these limits and accelerator, and what to do; empty where one does,
or where nobody can say."""


def anything_fits(limits: Mapping[str, str], accelerator: str | None) -> tuple[str, str]:
    return "", ""


@dataclass(frozen=True, slots=True)
class Provider:
    """Who runs a cluster, and what is different there.

    `bridge_keys`: annotations of the cluster's Secret that exist there. `services_by` stands where models.yaml
    has none. `identity`: where pods get credentials of the cloud, as CIDR. `uid`: the user of pods, None
    where the platform assigns one to each namespace. `internal`: annotations that keep a LoadBalancer inside of the
    network, None where nobody can say, `public` are those of one that is open. `dns`: namespace and port of the pods
    that resolve names, and `api_port` where the API server listens: a NetworkPolicy has to let them through.
    `labels_nodes`: whether its Terraform labels nodes with their accelerator. `own_keys`: fields of a cluster in
    models.yaml that only such providers know; `stagings`: rows of generator.stagings that work there.
    """

    name: str
    bridge_keys: tuple[str, ...] = ()
    services_by: str = "helm"
    identity: tuple[str, ...] = ()
    uid: int | None = 1000
    dns: tuple[str, int] = ("kube-system", 53)
    api_port: int = 443
    internal: Mapping[str, str] | None = None
    public: Mapping[str, str] = field(default_factory=dict)
    labels_nodes: bool = False
    own_keys: frozenset[str] = frozenset()
    stagings: frozenset[str] = frozenset({"job"})
    unfit: Unfit = anything_fits
