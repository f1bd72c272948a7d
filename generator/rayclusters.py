"""The Ray cluster of a service in models.yaml: rules about its worker groups, and about all that it may use.

Limits of KubeRay v1.7.0 (ray-operator/controllers/ray/utils/validation.go), which tells them after the API server took
the object.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from generator import pods
from generator.applications import repeats
from generator.apps import APPS
from generator.caches import CACHES
from generator.catalog import ACCELERATORS, DEFAULT_RAY_IMAGES
from generator.errors import Fault, Path
from generator.lock import Lock
from generator.profiles import applied
from generator.providers import PROVIDERS
from generator.spec import Cluster, Platform, Service, Spec
from generator.spec.raycluster import WorkerGroup
from generator.suggest import suggest
from generator.workers import applications_on, group_of, groups_of, image_of, place, roles, wants_accelerator

MOST_QUEUED_GROUPS = 7
BY_HELM = "write `servicesBy: helm` at the cluster"


def rules(service: Service, i: int, spec: Spec) -> Iterator[Fault]:
    """Broken rules of the service at `services[i]`."""
    yield from _groups(service, i)
    yield from _chosen(service, i)
    if service.runtime != "ray":
        return
    yield from _releases(service, i, spec.platform)
    yield from _upgrade(service, i)
    yield from _redis(service, i)
    yield from _queue(service, i)
    clusters = [cluster for cluster in spec.clusters if cluster.name in service.clusters]
    yield from _load_balancer(service, i, clusters)
    yield from _code(service, i, spec)
    yield from _kro(service, i, clusters, spec)


def _groups(service: Service, i: int) -> Iterator[Fault]:
    if service.workers and service.accelerator is not None:
        hint = "say it at the group: `workers: [{name: ..., accelerator: ...}]`"
        yield Fault(("services", i, "accelerator"), "`accelerator` stands beside `workers`", hint)
    names = [group.name for group in service.workers]
    for k in repeats(names):
        yield Fault(("services", i, "workers", k, "name"), f"worker group `{names[k]}` stands twice", "rename it")
    for k, group in enumerate(service.workers):
        yield from _group(service, group, ("services", i, "workers", k))


def _group(service: Service, group: WorkerGroup, at: Path) -> Iterator[Fault]:
    if group.accelerator is not None and group.accelerator not in ACCELERATORS:
        hint = suggest(group.accelerator, sorted(ACCELERATORS))
        yield Fault((*at, "accelerator"), f"there is no accelerator `{group.accelerator}`", hint)
    applications = applications_on(service, group)
    if not applications:
        if any(group_of(service, application) is None for application in service.applications):
            return  # told at the application
        hint = f"say `workers: {group.name}` at an application, or take the group out"
        yield Fault(at, f"no application runs on worker group `{group.name}`", hint)
        return
    most = group.max or sum(a.replicas.max * len(a.models) for a in applications)
    if group.min is not None and group.min > most:
        derived = "" if group.max else ", as many as its applications may have replicas"
        yield Fault((*at, "min"), f"min {group.min} is above max {most}{derived}", "raise `max` or lower `min`")


def crowded(service: Service, i: int, clusters: Sequence[Cluster], lock: Lock) -> Iterator[Fault]:
    """Groups whose `max` is too few for the fewest replicas: Ray would wait for a node that never comes."""
    profiles = {c.profile: c.name for c in reversed(clusters) if c.name in service.clusters}
    for group in groups_of(service):
        for profile, cluster in sorted(profiles.items(), key=lambda pair: pair[1]):
            there = applied(service, profile)
            if group.max is None or not applications_on(service, group):
                continue
            filled = pods.busy(there, group, lock)
            if filled > group.max:
                message = f"the fewest replicas on {cluster} fill {filled} pods of worker group `{group.name}`"
                hint = f"write `max: {filled}`, or lower `min` of its applications' `replicas`"
                yield Fault((*place(service, i, group), "max"), f"{message}, and {group.max} is its max", hint)
                break


def _chosen(service: Service, i: int) -> Iterator[Fault]:
    """The group of each application: it exists, and has what the application takes."""
    for j, application in enumerate(service.applications):
        at: Path = ("services", i, "applications", j)
        group = group_of(service, application)
        if application.workers is not None and group is None:
            hint = suggest(application.workers, [known.name for known in groups_of(service)])
            message = f"service `{service.name}` has no worker group `{application.workers}`"
            yield Fault((*at, "workers"), message, hint)
        elif any(known.accelerator for known in service.workers):
            # Where no group has an accelerator, `applications` says so.
            yield from _fitting(service, j, group, at)


def _fitting(service: Service, j: int, group: WorkerGroup | None, at: Path) -> Iterator[Fault]:
    application = service.applications[j]
    with_device = [known.name for known in service.workers if known.accelerator is not None]
    if group is None:
        message = f"no worker group of service `{service.name}` runs `{application.app}`"
        yield Fault((*at, "app"), message, "add a group with another `accelerator`, or one without")
    elif group.accelerator is None and wants_accelerator(application):
        asks = "needs an accelerator" if APPS[application.app].needs_accelerator else "counts its `accelerators`"
        message = f"`{application.app}` {asks}, and worker group `{group.name}` has none"
        yield Fault((*at, "workers"), message, f"say `workers: {with_device[0]}`")


def _releases(service: Service, i: int, platform: Platform) -> Iterator[Fault]:
    """One Ray cluster has one release of Ray: its nodes refuse those with another."""
    wanted = ((group.name, found) for group in groups_of(service) for found in roles(service, group)[:1])
    known = {name: found for name, found in wanted if _has_image(platform, found)}
    releases = {name: image_of(platform, found).ray_version for name, found in known.items()}
    if len(set(releases.values())) > 1:
        said = ", ".join(f"`{name}` (image `{known[name]}`) has Ray {version}" for name, version in releases.items())
        hint = f"name images with one release in `platform.images`: {', '.join(sorted(set(known.values())))}"
        yield Fault(("services", i, "workers"), f"the worker groups have different releases: {said}", hint)


def _has_image(platform: Platform, role: str) -> bool:
    return role in DEFAULT_RAY_IMAGES or getattr(platform.images, role) is not None


def _upgrade(service: Service, i: int) -> Iterator[Fault]:
    upgrade = service.upgrade
    if upgrade is None:
        return
    at: Path = ("services", i, "upgrade")
    incremental = upgrade.strategy == "incremental"
    if incremental and upgrade.gateway_class is None:
        hint = "name the GatewayClass of the cluster (kubectl get gatewayclasses), or another `strategy`"
        yield Fault(at, "`strategy: incremental` needs `gatewayClass`", hint)
    if incremental and upgrade.step_percent > upgrade.surge_percent:
        message = f"stepPercent {upgrade.step_percent} is above surgePercent {upgrade.surge_percent}"
        yield Fault((*at, "stepPercent"), message, "requests cannot move faster than replicas: lower it")
    # Each Ray cluster has a Service of its own then, without `serveService` (KubeRay, common/service.go).
    for key, field in (("ingress", service.ingress), ("loadBalancer", service.load_balancer)):
        if incremental and field is not None:
            message = f"`{key}` stands beside `strategy: incremental`, with which requests go to a Gateway"
            hint = f"open the Gateway `{service.name}-gateway` instead, or take another `strategy`"
            yield Fault(("services", i, key), message, hint)
    for name in ("gateway_class", "step_percent", "interval_seconds", "surge_percent"):
        if name in upgrade.model_fields_set and not incremental:
            key = str(type(upgrade).model_fields[name].alias)
            yield Fault((*at, key), f"`{key}` means nothing to `strategy: {upgrade.strategy}`", "leave it out")


def _redis(service: Service, i: int) -> Iterator[Fault]:
    asked = service.fault_tolerance
    if asked is None:
        return
    at: Path = ("services", i, "faultTolerance")
    port = int(asked.redis.rpartition(":")[2])
    if not 1 <= port <= 65535:
        yield Fault(
            (*at, "redis"), f"{port} is no port", "1 to 65535; Redis listens on 6379 unless it was told another"
        )
    for key, stated in (("username", asked.username), ("passwordKey", "password_key" in asked.model_fields_set)):
        if stated and asked.password_secret is None:
            hint = "add `passwordSecret:`, the name of a Secret in the platform's namespace"
            yield Fault((*at, key), f"`{key}` stands without `passwordSecret`", hint)


def _queue(service: Service, i: int) -> Iterator[Fault]:
    """What Kueue takes no Ray cluster with (kueue pkg/controller/jobs/raycluster, the webhook)."""
    if service.queue is None:
        return
    at: Path = ("services", i, "workers")
    if len(service.workers) > MOST_QUEUED_GROUPS:
        message = (
            f"Kueue takes {MOST_QUEUED_GROUPS} worker groups of a Ray cluster, and there are {len(service.workers)}"
        )
        yield Fault(at, message, "make two services of it, or leave `queue` out")
    for k, group in enumerate(service.workers):
        if group.name == "head":
            yield Fault((*at, k, "name"), "Kueue keeps the name `head` for the head of a Ray cluster", "rename it")


def _load_balancer(service: Service, i: int, clusters: Sequence[Cluster]) -> Iterator[Fault]:
    asked = service.load_balancer
    if asked is None:
        return
    at: Path = ("services", i, "loadBalancer")
    if asked.scope == "public" and not asked.source_ranges:
        hint = "add `sourceRanges: [203.0.113.0/24]` with the networks of your users; 0.0.0.0/0 says: everyone"
        yield Fault(at, "a public load balancer without `sourceRanges` would answer everyone", hint)
    for cluster in clusters:
        if asked.scope == "internal" and PROVIDERS[cluster.provider].internal is None and not asked.annotations:
            message = f"what keeps a load balancer inside of the network of `{cluster.name}` ({cluster.provider})?"
            yield Fault(at, message, "say it: `annotations:`, those of the load balancer's controller")


def _code(service: Service, i: int, spec: Spec) -> Iterator[Fault]:
    """`delivery: s3` means the bucket of the models, read with AWS's own client."""
    if spec.platform.code.delivery != "s3" or all(a.app == "vllm" for a in service.applications):
        return
    caches = {cache.name: cache for cache in spec.caches}
    of_model = {model.name: caches[model.cache] for model in spec.models if model.cache in caches}
    used = {of_model[name].name: of_model[name] for a in service.applications for name in a.models if name in of_model}
    for cache in used.values():
        if cache.type != "s3" or cache.endpoint is not None:
            message = f"`delivery: s3` takes the code from a bucket of AWS, and cache `{cache.name}` has none"
            hint = "use `delivery: config-map` or `delivery: url`"
            yield Fault(("platform", "code", "delivery"), message, hint)


def _kro(service: Service, i: int, clusters: Sequence[Cluster], spec: Spec) -> Iterator[Fault]:
    """What kro's ModelService cannot hold (kro v0.9.3): lists of unlike pods, and labels that may be absent."""
    by_kro = [c for c in clusters if (c.services_by or PROVIDERS[c.provider].services_by) == "kro"]
    where = f"services are made by kro on {', '.join(c.name for c in by_kro)}"
    for path, what in _beyond(service, by_kro, spec) if by_kro else ():
        yield Fault(("services", i, *path), f"{where}, {what}", BY_HELM)


def _beyond(service: Service, clusters: Sequence[Cluster], spec: Spec) -> Iterator[tuple[Path, str]]:
    if len(service.workers) > 1:
        yield ("workers",), "with one worker group each"
    if service.queue is not None:
        yield ("queue",), "without a queue"
    if service.upgrade is not None and service.upgrade.strategy == "incremental":
        yield ("upgrade", "strategy"), "without steps from one Ray cluster to the next"
    if any(cluster.key_vault for cluster in clusters):
        yield ("clusters",), "without Secrets of a key vault"
    caches = {cache.name: cache for cache in spec.caches}
    models = {model.name: caches[model.cache] for model in spec.models if model.cache in caches}
    used = [models[name] for application in service.applications for name in application.models if name in models]
    for kind in sorted({cache.type for cache in used if not CACHES[cache.type].graph}):
        yield ("clusters",), f"which mounts buckets only, and its models are in a cache of type {kind}"
    if any(cache.type == "s3" and cache.endpoint is not None for cache in used):
        yield ("clusters",), "which mounts buckets of AWS only, and its models are on another S3 server"
