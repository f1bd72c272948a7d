"""Clusters of models.yaml: the rules that look no further."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from generator import naming
from generator.catalog import ADDONS
from generator.errors import Fault, Path
from generator.providers import PROVIDERS
from generator.spec import Cluster, Service, Spec
from generator.suggest import suggest

# Federated credentials of one identity, one for each service (Microsoft Entra, workload identity federation).
SERVICES_OF_A_VAULT = 20
_OPERATOR = "kuberay-operator"


def rules(spec: Spec) -> Iterator[Fault]:
    """Broken rules of the clusters."""
    yield from _selectors(spec.clusters)
    for i, cluster in enumerate(spec.clusters):
        yield from _values(cluster, i)
        yield from _of_provider(cluster, i)
        yield from _vault(cluster, i, spec)
        yield from _operator(cluster, i)
        yield from _without_argocd(cluster, i)


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
    yield from _keys(cluster, i, spec)
    runtimes = {service.runtime for service in spec.services if cluster.name in service.clusters}
    if runtimes == {"kserve"}:
        message = f"no pod on `{cluster.name}` mounts the vault: those of KServe read models and nothing else"
        yield Fault(path, message, "make the Secrets yourself, and leave it out")
    tokens = {m.source.token_secret for m in spec.models if m.clusters is None or cluster.name in m.clusters}
    for j, item in enumerate(cluster.key_vault.secrets):
        if item.secret in tokens:
            message = f"`{item.secret}` holds a Hub token, which Jobs read before any service has mounted the vault"
            yield Fault((*path, "secrets", j, "secret"), message, "make that Secret yourself, and leave it out here")


def _keys(cluster: Cluster, i: int, spec: Spec) -> Iterator[Fault]:
    """A Secret that is made of the vault has all its keys from there."""
    made: dict[str, set[str]] = {}
    for item in cluster.key_vault.secrets if cluster.key_vault else ():
        made.setdefault(item.secret, set()).add(item.key)
    for service in spec.services:
        for secret, keys in _read(service) if cluster.name in service.clusters else ():
            missing = sorted(keys - made.get(secret, keys))
            if missing:
                message = (
                    f"`{service.name}` reads key `{missing[0]}` of Secret `{secret}`, which the vault does not fill"
                )
                hint = f"add an item: `{{secret: {secret}, key: {missing[0]}, object: ...}}`"
                yield Fault(("clusters", i, "keyVault", "secrets"), message, hint)


def _read(service: Service) -> Iterator[tuple[str, set[str]]]:
    """Secrets that the pods and the Ingress of a service want, and their keys."""
    store = service.fault_tolerance
    if store is not None and store.password_secret is not None:
        yield store.password_secret, {store.password_key}
    if service.auth_secret is not None:
        yield service.auth_secret, {"auth_token"}
    if service.ingress is not None and service.ingress.tls_secret is not None:
        yield service.ingress.tls_secret, {"tls.crt", "tls.key"}


def _selectors(clusters: Sequence[Cluster]) -> Iterator[Fault]:
    seen: dict[frozenset[tuple[str, str]], str] = {}
    for i, cluster in enumerate(clusters):
        other = seen.setdefault(frozenset(cluster.selector.items()), cluster.name) if cluster.selector else cluster.name
        if other != cluster.name:
            message = f"`{cluster.name}` and `{other}` choose the same clusters"
            yield Fault(("clusters", i, "selector"), message, "make the selectors exclude each other")


def _operator(cluster: Cluster, i: int) -> Iterator[Fault]:
    """Argo CD installs the operator in one namespace."""
    ours = cluster.addons is None or _OPERATOR in cluster.addons
    there = ADDONS[_OPERATOR].namespace
    if cluster.gitops == "argocd" and ours and cluster.operator_namespace not in (None, there):
        message = f"Argo CD installs the KubeRay operator of `{cluster.name}` in {there}"
        hint = f"leave it out, or leave `{_OPERATOR}` out of `addons`, where the platform installs it"
        yield Fault(("clusters", i, "operatorNamespace"), message, hint)


def _without_argocd(cluster: Cluster, i: int) -> Iterator[Fault]:
    """What only Argo CD reads."""
    if cluster.gitops != "kubectl":
        return
    for key, stated in (("selector", cluster.selector), ("addons", cluster.addons)):
        if stated:
            what = "chooses among the clusters of Argo CD" if key == "selector" else "is what Argo CD installs"
            message = f"`{key}` {what}, and `{cluster.name}` is without (`gitops: kubectl`)"
            yield Fault(("clusters", i, key), message, "leave it out, or leave `gitops` out")


def _values(cluster: Cluster, i: int) -> Iterator[Fault]:
    known = PROVIDERS[cluster.provider].bridge_keys or ("resource_prefix",)
    for key in cluster.values:
        if key not in known:
            provider = f" on {cluster.provider}" if key in naming.BRIDGE_KEYS else ""
            yield Fault(
                ("clusters", i, "values", key), f"nothing reads the value `{key}`{provider}", suggest(key, known)
            )


def _of_provider(cluster: Cluster, i: int) -> Iterator[Fault]:
    """What the provider does not know."""
    provider = PROVIDERS[cluster.provider]
    for field in sorted({field for row in PROVIDERS.values() for field in row.own_keys} - provider.own_keys):
        key = str(Cluster.model_fields[field].alias)
        if getattr(cluster, field) is not None:
            knowing = ", ".join(row.name for row in PROVIDERS.values() if field in row.own_keys)
            message = f"`{key}` is for {knowing}, and `{cluster.name}` is {cluster.provider}"
            yield Fault(("clusters", i, key), message, f"leave it out, or write `provider: {knowing}`")
    if cluster.staging is not None and cluster.staging not in provider.stagings:
        message = f"`{cluster.name}` is {cluster.provider}, where nothing is staged by `{cluster.staging}`"
        yield Fault(("clusters", i, "staging"), message, "write `staging: job`, or leave it out")
