"""Clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster, or the clusters that a selector chooses."""

    name: str
    provider: str
    selector: Mapping[str, str]  # matchLabels of the cluster Secret
    destination: str  # Argo CD cluster name, `*` where a selector may choose several
    values: Mapping[str, str]  # stated instead of GitOps Bridge annotations
    services_by: str  # kro | helm
    gitops: str  # argocd | kubectl
    profile: str | None  # row of generator.profiles; None: as the services say
    key_vault: KeyVault | None
    node_pools: str | None  # auto-mode | karpenter; None: the platform's own
    addons: tuple[str, ...]
    operator_namespace: str  # of the KubeRay operator


@dataclass(frozen=True, slots=True)
class KeyVault:
    """An Azure Key Vault, and the workload identity that reads it."""

    name: str
    tenant: str
    client: str
    secrets: tuple[VaultSecret, ...]


@dataclass(frozen=True, slots=True)
class VaultSecret:
    """The key of a Secret that is made of a secret of the vault."""

    secret: str
    key: str
    object: str
