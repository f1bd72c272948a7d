"""Clusters of models.yaml: the rules that look no further."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from generator import naming
from generator.errors import Fault, Path
from generator.providers import PROVIDERS
from generator.spec import Cluster, Spec
from generator.suggest import suggest

# Federated credentials of one identity, one for each service (Microsoft Entra, workload identity federation).
SERVICES_OF_A_VAULT = 20


def rules(spec: Spec) -> Iterator[Fault]:
    """Broken rules of the clusters."""
    yield from _selectors(spec.clusters)
    for i, cluster in enumerate(spec.clusters):
        yield from _values(cluster, i)
        yield from _of_provider(cluster, i)
        yield from _vault(cluster, i, spec)


def _vault(cluster: Cluster, i: int, spec: Spec) -> Iterator[Fault]:
    """What Key Vault and the driver cannot do."""
    if cluster.key_vault is None:
        return
    path: Path = ("clusters", i, "keyVault")
    if cluster.services_by == "kro":
        message = "kro's ModelService mounts no Key Vault"
        yield Fault((*path[:2], "servicesBy"), message, "write `servicesBy: helm`, or leave it out")
    count = sum(cluster.name in service.clusters for service in spec.services)
    if count > SERVICES_OF_A_VAULT:
        message = f"{count} services would share one identity, {SERVICES_OF_A_VAULT} can"
        yield Fault(path, message, "divide the services between two entries of `clusters`")
    tokens = {m.source.token_secret for m in spec.models if m.clusters is None or cluster.name in m.clusters}
    for j, item in enumerate(cluster.key_vault.secrets):
        if item.secret in tokens:
            message = f"`{item.secret}` holds a Hub token, which Jobs read before any service has mounted the vault"
            yield Fault((*path, "secrets", j, "secret"), message, "make that Secret yourself, and leave it out here")


def _selectors(clusters: Sequence[Cluster]) -> Iterator[Fault]:
    seen: dict[frozenset[tuple[str, str]], str] = {}
    for i, cluster in enumerate(clusters):
        other = seen.setdefault(frozenset(cluster.selector.items()), cluster.name) if cluster.selector else cluster.name
        if other != cluster.name:
            message = f"`{cluster.name}` and `{other}` choose the same clusters"
            yield Fault(("clusters", i, "selector"), message, "make the selectors exclude each other")


def _values(cluster: Cluster, i: int) -> Iterator[Fault]:
    known = PROVIDERS[cluster.provider].bridge_keys or ("resource_prefix",)
    for key in cluster.values:
        if key not in known:
            provider = f" on {cluster.provider}" if key in naming.BRIDGE_KEYS else ""
            yield Fault(
                ("clusters", i, "values", key), f"nothing reads the value `{key}`{provider}", suggest(key, known)
            )


def _of_provider(cluster: Cluster, i: int) -> Iterator[Fault]:
    """Keys that mean something to one provider only."""
    for key, field, provider in (("keyVault", cluster.key_vault, "aks"), ("nodePools", cluster.node_pools, "eks")):
        if field is not None and cluster.provider != provider:
            message = f"`{key}` is for {provider}, and `{cluster.name}` is {cluster.provider}"
            yield Fault(("clusters", i, key), message, f"leave it out, or write `provider: {provider}`")
    if cluster.staging == "workflow" and cluster.provider != "eks":
        message = f"Workflows take their rights from AWS, and `{cluster.name}` is {cluster.provider}"
        yield Fault(("clusters", i, "staging"), message, "write `staging: job`, or leave it out")
