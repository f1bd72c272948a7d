"""What a provider row says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Provider:
    """Who runs a cluster, and what is different there.

    `bridge_keys`: annotations of the cluster's Secret that exist there. `services_by` and `addons` stand where
    models.yaml has none. `identity`: where pods get credentials of the cloud, as CIDR. `uid`: the user of pods, None
    where the platform assigns one to each namespace. `internal`: annotations that keep a LoadBalancer inside of the
    network, None where nobody can say,
    `public` are those of one that is open.
    """

    name: str
    bridge_keys: tuple[str, ...] = ()
    services_by: str = "helm"
    addons: tuple[str, ...] = ("kuberay-operator",)
    identity: tuple[str, ...] = ()
    uid: int | None = 1000
    internal: Mapping[str, str] | None = None
    public: Mapping[str, str] = field(default_factory=dict)
