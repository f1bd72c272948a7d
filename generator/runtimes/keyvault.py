"""Secrets of Azure Key Vault, for the chart of services.

The CSI Secret Store driver reads them with the identity of the service's ServiceAccount, and keeps the Kubernetes
Secrets up to date as long as a pod mounts them. Source: secrets-store.csi.x-k8s.io/v1; Azure provider, "Workload
Identity".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from generator.plan import Cluster, KeyVault, Service, VaultSecret

TLS_KEYS = {"tls.crt", "tls.key"}


def key_vault(cluster: Cluster, service: Service) -> dict[str, Any]:
    """`services.<name>.keyVault`; empty where the service's pods get nothing from a vault.

    Every service of a cluster gets all secrets that the cluster names: they share one identity, which reads the vault.
    """
    vault = cluster.key_vault
    if vault is None or service.runtime != "ray":
        return {}
    return {
        "name": vault.name,
        "tenant": vault.tenant,
        "client": vault.client,
        "objects": [{"objectName": name, "objectType": "secret"} for name in _objects(vault)],
        "secretObjects": [_secret(name, vault.secrets) for name in sorted({item.secret for item in vault.secrets})],
    }


def _objects(vault: KeyVault) -> list[str]:
    return sorted({item.object for item in vault.secrets})


def _secret(name: str, secrets: Iterable[VaultSecret]) -> dict[str, Any]:
    """One Secret of Kubernetes; an Ingress wants certificates under a type of their own."""
    keys = {item.key: item.object for item in secrets if item.secret == name}
    return {
        "secretName": name,
        "type": "kubernetes.io/tls" if keys.keys() == TLS_KEYS else "Opaque",
        "data": [{"objectName": keys[key], "key": key} for key in sorted(keys)],
    }
