"""Clusters and caches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from generator import naming, plan
from generator.caches import CACHES
from generator.catalog import ADDONS, STORAGE_CLASSES
from generator.providers import PROVIDERS
from generator.spec import (
    Cache,
    Cluster,
    ImageCache,
    PvcCache,
    S3Cache,
    Service,
)
from generator.spec.cluster import KeyVault
from generator.yamlio import canonical_json


def cluster(cluster: Cluster, services: Sequence[Service], caches: Sequence[Cache]) -> plan.Cluster:
    provider = PROVIDERS[cluster.provider]
    vault = cluster.key_vault
    return plan.Cluster(
        name=cluster.name,
        provider=cluster.provider,
        selector=dict(sorted(cluster.selector.items())) or {"cluster_name": cluster.name},
        destination="*" if cluster.selector else cluster.name,
        values=dict(sorted(cluster.values.items())),
        services_by=cluster.services_by or provider.services_by,
        gitops=cluster.gitops,
        profile=cluster.profile,
        key_vault=_key_vault(vault) if vault else None,
        node_pools=cluster.node_pools,
        addons=tuple(sorted(cluster.addons if cluster.addons is not None else _addons(cluster, services, caches))),
        operator_namespace=cluster.operator_namespace or ADDONS["kuberay-operator"].namespace,
    )


def _addons(cluster: Cluster, services: Sequence[Service], caches: Sequence[Cache]) -> tuple[str, ...]:
    """What is installed where models.yaml does not say: nothing by kubectl, no KubeRay where KServe serves alone.

    Where nothing is served yet, what its services would need.
    """
    runtimes = {service.runtime for service in services if cluster.name in service.clusters}
    if cluster.gitops != "argocd" or runtimes == {"kserve"}:
        return ()
    by_kro = (cluster.services_by or PROVIDERS[cluster.provider].services_by) == "kro"
    by_workflow = any(
        (cluster.staging or cache.staging) == "workflow" for cache in caches if isinstance(cache, S3Cache)
    )
    return ("kro", "kuberay-operator") if by_kro or by_workflow else ("kuberay-operator",)


def _key_vault(vault: KeyVault) -> plan.KeyVault:
    secrets = tuple(plan.VaultSecret(item.secret, item.key, item.object) for item in vault.secrets)
    return plan.KeyVault(vault.name, vault.tenant, vault.client, secrets)


def ways(cache: Cache, clusters: Sequence[Cluster]) -> Mapping[str, str]:
    """How each cluster stages what is in the cache."""
    if not CACHES[cache.type].staged:
        return {}
    usual = cache.staging if isinstance(cache, S3Cache) else "job"
    return {cluster.name: cluster.staging or usual for cluster in clusters}


def cache(cache: Cache) -> plan.Cache:
    match cache:
        case S3Cache():
            regions = tuple(plan.Region(region.region, region.bucket) for region in cache.regions)
            return plan.Bucket(cache.name, cache.type, cache.bucket, cache.credentials, regions, _server(cache))
        case PvcCache():
            made = _retained(cache) if cache.retain else None
            size = None if cache.size == "auto" else cache.size
            storage_class = made.name if made else cache.storage_class
            return plan.Claims(cache.name, cache.type, storage_class, made, cache.access_mode, size)
        case ImageCache():
            return plan.Baked(cache.name, cache.type, cache.repository)


def _server(cache: S3Cache) -> plan.S3Server | None:
    if cache.endpoint is None:
        return None
    return plan.S3Server(cache.endpoint, cache.region or "", cache.credentials_secret or "")


def _retained(cache: PvcCache) -> plan.StorageClass:
    """The class of the cluster, with Retain and without what marks the cluster's default."""
    known = STORAGE_CLASSES.get(cache.storage_class)
    provisioner = cache.provisioner or (known.provisioner if known else "")
    parameters = dict(sorted({**(known.parameters if known else {}), **cache.parameters}.items()))
    content = canonical_json([provisioner, parameters])
    name = naming.retained_class(cache.storage_class, content.encode())
    return plan.StorageClass(name, provisioner, parameters)
