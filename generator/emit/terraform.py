"""Terraform: the model buckets and who may reach them, per cloud provider.

The modules are static files; only their variables are generated, as JSON, so no text becomes HCL. What the
catalogue cannot know (the account, the region, an EKS name behind a selector) is a variable without a value:
Terraform asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from generator import naming
from generator.assets import Assets
from generator.plan import Bucket, Cluster, Plan, Service
from generator.yamlio import pretty_json

SOURCE = "chart-templates/terraform"
STATIC = (".tf", ".md")  # a checkout in which somebody ran Terraform holds more

# Variables of the modules that a cluster may state under `values`, by the key of the GitOps Bridge.
STATED = ("aws_account_id", "aws_region", "aws_cluster_name")


def emit(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """`terraform/`, for each provider among the clusters."""
    for provider in sorted({cluster.provider for cluster in plan.clusters} & PROVIDERS.keys()):
        yield from PROVIDERS[provider](plan, assets)


def emit_eks(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """The modules `model-bucket` and `cluster-access`, and their variables, where clusters use buckets."""
    clusters = [cluster for cluster in plan.clusters if cluster.provider == "eks" and _caches(plan, cluster)]
    if not clusters:
        return
    for name, content in assets.files(SOURCE):
        if name.endswith(STATIC):
            yield f"terraform/{name}", content
    yield "terraform/model-bucket.tfvars.json", pretty_json(bucket_variables(plan, clusters))
    for cluster in clusters:
        yield f"terraform/{cluster.name}.tfvars.json", pretty_json(access_variables(plan, cluster))


Emitter = Callable[[Plan, Assets], Iterator[tuple[str, bytes]]]
PROVIDERS: Mapping[str, Emitter] = MappingProxyType({"eks": emit_eks})
"""Cloud providers with Terraform of ours: a row each."""


def bucket_variables(plan: Plan, clusters: Iterable[Cluster]) -> dict[str, Any]:
    """Variables of `model-bucket`, once for all clusters: what they state differently is left out."""
    clusters = tuple(clusters)
    caches = [cache for cluster in clusters for cache in _caches(plan, cluster)]
    agreed = {key: _agreed(cluster.values.get(key) for cluster in clusters) for key in ("aws_account_id", "aws_region")}
    stated = {key: value for key, value in agreed.items() if value is not None}
    prefix = _agreed(_prefix(plan, cluster) for cluster in clusters) or plan.platform.prefix
    if "aws_region" not in stated and caches and all(cache.regions for cache in caches):
        stated["aws_region"] = caches[0].regions[0].region  # every bucket has its own; the provider wants one
    return {**stated, "prefix": prefix, **_buckets(caches)}


def _agreed(values: Iterable[str | None]) -> str | None:
    """The one value that all have, None where they differ."""
    different = set(values)
    return different.pop() if len(different) == 1 else None


def access_variables(plan: Plan, cluster: Cluster) -> dict[str, Any]:
    """Variables of `cluster-access` for one cluster."""
    services = [service for service in plan.services_on(cluster.name) if service.cache.kind == "s3"]
    caches = _caches(plan, cluster)
    return {
        **_stated(cluster),
        "cluster": cluster.name,
        "prefix": _prefix(plan, cluster),
        "namespace": plan.platform.namespace,
        "prestage_role": bool(plan.staged(cluster.name, "job")),
        "prestage_service_account": naming.PRESTAGE_SERVICE_ACCOUNT,
        **({"notification_topic_arn": topic} if (topic := plan.platform.notify.sns_topic) else {}),
        "driver_credentials": any(cache.credentials == "driver" for cache in caches),
        "service_accounts": sorted(
            naming.service_account(service.name) for service in services if _reads_itself(service)
        ),
        "read_code": any(service.code_by == "s3" for service in services),
        **_buckets(caches),
    }


def _stated(cluster: Cluster) -> dict[str, str]:
    # A cluster that is not chosen by a selector is known to Argo CD by its own name.
    own = {} if cluster.destination == "*" else {"aws_cluster_name": cluster.name}
    return own | {key: cluster.values[key] for key in STATED if key in cluster.values}


def _prefix(plan: Plan, cluster: Cluster) -> str:
    return cluster.values.get("resource_prefix", plan.platform.prefix)


def _caches(plan: Plan, cluster: Cluster) -> tuple[Bucket, ...]:
    staged = [prestage.model.cache for prestage in plan.models_on(cluster.name)]
    served = [service.cache for service in plan.services_on(cluster.name)]
    return tuple({cache.name: cache for cache in staged + served if isinstance(cache, Bucket)}.values())


def _buckets(caches: Iterable[Bucket]) -> dict[str, Any]:
    """Which of the buckets a cluster uses follows from its region, which only Terraform knows for sure."""
    caches = tuple(caches)
    regional = [cache for cache in caches if cache.regions]
    single = [cache for cache in caches if not cache.regions]
    of_regions = {
        "bucket_regions": {region.bucket: region.region for cache in regional for region in cache.regions},
        "home_buckets": sorted({cache.regions[0].bucket for cache in regional}),
    }
    return {
        "derive_bucket_name": any(cache.bucket is None for cache in single),
        "bucket_names": sorted({cache.bucket for cache in single if cache.bucket is not None}),
        **(of_regions if regional else {}),
    }


def _reads_itself(service: Service) -> bool:
    return service.code_by == "s3" or (isinstance(service.cache, Bucket) and service.cache.credentials == "pod")
