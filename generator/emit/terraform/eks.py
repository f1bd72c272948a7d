"""Amazon EKS: the model buckets, and who may reach them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from generator import naming
from generator.assets import Assets
from generator.emit.terraform.base import Terraform, agreed, prefix, static, variables_path
from generator.plan import Bucket, Cache, Cluster, Plan
from generator.yamlio import pretty_json

# Variables of the modules that a cluster may state under `values`, by the key of the GitOps Bridge.
STATED = ("aws_account_id", "aws_region", "aws_cluster_name")


def emit(plan: Plan, assets: Assets, clusters: tuple[Cluster, ...]) -> Iterator[tuple[str, bytes]]:
    """The modules `model-bucket` and `cluster-access`, and their variables."""
    yield from static(assets, "eks")
    yield variables_path("model-bucket"), pretty_json(bucket_variables(plan, clusters))
    for cluster in clusters:
        yield variables_path(cluster.name), pretty_json(access_variables(plan, cluster))


def _clusters(plan: Plan) -> tuple[Cluster, ...]:
    """Those that use buckets of AWS."""
    return tuple(cluster for cluster in plan.clusters if cluster.provider == "eks" and _buckets_of(plan, cluster))


def bucket_variables(plan: Plan, clusters: Iterable[Cluster]) -> dict[str, Any]:
    """Variables of `model-bucket`, once for all clusters: what they state differently is left out."""
    clusters = tuple(clusters)
    buckets = [bucket for cluster in clusters for bucket in _buckets_of(plan, cluster)]
    same = {key: agreed(cluster.values.get(key) for cluster in clusters) for key in ("aws_account_id", "aws_region")}
    stated = {key: value for key, value in same.items() if value is not None}
    common = agreed(prefix(plan, cluster) for cluster in clusters) or plan.platform.prefix
    if "aws_region" not in stated and buckets and all(bucket.regions for bucket in buckets):
        stated["aws_region"] = buckets[0].regions[0].region  # every bucket has its own; the provider wants one
    return {**stated, "prefix": common, **_names(buckets)}


def access_variables(plan: Plan, cluster: Cluster) -> dict[str, Any]:
    """Variables of `cluster-access` for one cluster."""
    services = [service for service in plan.services_on(cluster.name) if _of_aws(service.cache)]
    buckets = _buckets_of(plan, cluster)
    return {
        **_stated(cluster),
        "cluster": cluster.name,
        "prefix": prefix(plan, cluster),
        "namespace": plan.platform.namespace,
        "prestage_role": bool(plan.staged(cluster.name, "job")),
        "prestage_service_account": naming.PRESTAGE_SERVICE_ACCOUNT,
        **({"notification_topic_arn": topic} if (topic := plan.platform.notify.sns_topic) else {}),
        "driver_credentials": any(bucket.credentials == "driver" for bucket in buckets),
        "service_accounts": sorted(
            naming.service_account(service.name)
            for service in services
            if service.code_by == "s3" or _reads_itself(service.cache)
        ),
        "read_code": any(service.code_by == "s3" for service in services),
        **_names(buckets),
    }


def _stated(cluster: Cluster) -> dict[str, str]:
    # A cluster that is not chosen by a selector is known to Argo CD by its own name.
    own = {} if cluster.destination == "*" else {"aws_cluster_name": cluster.name}
    return own | {key: cluster.values[key] for key in STATED if key in cluster.values}


def _of_aws(cache: Cache) -> bool:
    return isinstance(cache, Bucket) and cache.server is None


def _reads_itself(cache: Cache) -> bool:
    return isinstance(cache, Bucket) and cache.credentials == "pod"


def _buckets_of(plan: Plan, cluster: Cluster) -> tuple[Bucket, ...]:
    staged = [prestage.model.cache for prestage in plan.models_on(cluster.name)]
    served = [service.cache for service in plan.services_on(cluster.name)]
    used = (cache for cache in staged + served if isinstance(cache, Bucket) and _of_aws(cache))
    return tuple({cache.name: cache for cache in used}.values())


def _names(buckets: Iterable[Bucket]) -> dict[str, Any]:
    """Which of the buckets a cluster uses follows from its region, which only Terraform knows for sure."""
    buckets = tuple(buckets)
    regional = [bucket for bucket in buckets if bucket.regions]
    single = [bucket for bucket in buckets if not bucket.regions]
    of_regions = {
        "bucket_regions": {region.bucket: region.region for bucket in regional for region in bucket.regions},
        "home_buckets": sorted({bucket.regions[0].bucket for bucket in regional}),
    }
    return {
        "derive_bucket_name": any(bucket.bucket is None for bucket in single),
        "bucket_names": sorted({bucket.bucket for bucket in single if bucket.bucket is not None}),
        **(of_regions if regional else {}),
    }


TERRAFORM = Terraform(title="The bucket and the roles", page="terraform/README.md", clusters=_clusters, emit=emit)
