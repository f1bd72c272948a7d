"""What clusters that people serve with kubectl have to state: Argo CD would read it from their Secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from generator.errors import Fault
from generator.providers import PROVIDERS
from generator.spec import Cluster, S3Cache, Spec
from generator.stagings import STAGINGS

# An example of each annotation of the GitOps Bridge.
_EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "aws_account_id": '"012345678901"',
        "aws_cluster_name": "models",
        "aws_region": "eu-west-1",
        "resource_prefix": "acme",
    }
)
_OF_BUCKET = ("aws_account_id", "aws_region", "resource_prefix")  # a bucket that is named after the cluster


def faults(spec: Spec) -> Iterator[Fault]:
    """A fault for each cluster with `gitops: kubectl` that leaves out what its charts need."""
    for i, cluster in enumerate(spec.clusters):
        if cluster.gitops != "kubectl":
            continue
        there = PROVIDERS[cluster.provider].bridge_keys
        missing = sorted(key for key in asked(spec, cluster) if key in there and key not in cluster.values)
        if missing:
            names = ", ".join(f"`{key}`" for key in missing)
            message = f"nobody says {names} of `{cluster.name}`: a cluster without Argo CD has no annotations"
            examples = ", ".join(f"`{key}: {_EXAMPLES[key]}`" for key in missing)
            yield Fault(("clusters", i, "values"), message, f"add to its `values` {examples}")


def asked(spec: Spec, cluster: Cluster) -> frozenset[str]:
    """The keys of `values` that the ApplicationSets would ask of the cluster."""
    caches = {cache.name: cache for cache in spec.caches}
    models = {model.name: model for model in spec.models if model.clusters is None or cluster.name in model.clusters}
    used = {model.cache: caches[model.cache] for model in models.values() if model.cache in caches}
    keys: set[str] = set()
    for cache in used.values():
        if not isinstance(cache, S3Cache):
            continue
        own = cache.bucket is None and not cache.regions
        keys.update(STAGINGS[cluster.staging or cache.staging].bridge_keys(own))  # `bucket` is made of `_OF_BUCKET`
        keys.update(_OF_BUCKET if own else ())
    if used or any(cluster.name in service.clusters for service in spec.services):
        keys.add("aws_region")
    return frozenset(keys)
