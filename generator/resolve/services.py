"""Services, once for each profile among their clusters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from generator import plan, services, workers
from generator.catalog import DEFAULT_RAY_IMAGES, RAY_IMAGE_ROLES
from generator.lock import Lock
from generator.profiles import applied, head
from generator.quantities import gibibytes
from generator.resolve.platform import digested
from generator.services import Code
from generator.shutdown import shutdown
from generator.spec import (
    Platform,
    Service,
)

# The PersistentVolume's capacity is required and ignored by the driver; this stands where sizes are unknown.
_CAPACITY_UNKNOWN = "1Ti"


def by_profile(service: Service, clusters: Sequence[plan.Cluster]) -> Iterator[tuple[Service, str | None]]:
    """The service once for each profile among its clusters."""
    profiles = {c.name: c.profile for c in clusters if c.name in service.clusters}
    for profile in sorted(set(profiles.values()), key=lambda name: name or ""):
        names = tuple(name for name in service.clusters if profiles[name] == profile)
        yield applied(service.model_copy(update={"clusters": names}), profile), profile


def service(
    service: Service,
    profile: str | None,
    platform: Platform,
    models: Mapping[str, plan.Model],
    lock: Lock,
    code: Code,
) -> plan.Service:
    image = services.ray_image(platform, service)
    applications = tuple(services.application(service, a, models) for a in service.applications)
    bundle = services.bundled(service, code)
    deployments = services.deployments(service, applications, platform, bundle, lock)
    entries = services.entries(service, deployments)
    reference = digested(image[0], lock)
    return plan.Service(
        name=service.name,
        title=service.title or service.name,
        clusters=tuple(sorted(service.clusters)),
        image=reference,
        ray_version=image[1],
        runtime=service.runtime,
        applications=applications,
        groups=services.groups(service, _images(platform, lock), lock),
        head=head(profile),
        serve_config=services.serve_config(entries),
        shutdown=shutdown(entries),
        code=bundle,
        code_by=platform.code.delivery,
        code_url=platform.code.base_url if platform.code.delivery == "url" and bundle is not None else None,
        cache=applications[0].models[0].cache,
        capacity=_capacity({m.name: m for a in applications for m in a.models}),
        ingress=_ingress(service),
        load_balancer=_load_balancer(service),
        autoscaler=plan.Autoscaler(service.autoscaler.idle_seconds, service.autoscaler.upscaling),
        upgrade=_upgrade(service),
        fault_tolerance=_fault_tolerance(service),
        auth_secret=service.auth_secret,
        priority_class=service.priority_class,
        queue=service.queue,
        spread=service.spread,
        process=services.process(service, deployments),
    )


def _images(platform: Platform, lock: Lock) -> Mapping[str, str]:
    """Role to the reference that pods run."""
    known = [role for role in RAY_IMAGE_ROLES if role in DEFAULT_RAY_IMAGES or getattr(platform.images, role)]
    return {role: digested(workers.image_of(platform, role).image, lock) for role in known}


def _capacity(models: Mapping[str, plan.Model]) -> str:
    sizes = [m.size for m in models.values()]
    return _CAPACITY_UNKNOWN if None in sizes else gibibytes(sum(s for s in sizes if s is not None))


def _load_balancer(service: Service) -> plan.LoadBalancer | None:
    asked = service.load_balancer
    if asked is None:
        return None
    return plan.LoadBalancer(asked.scope, asked.source_ranges, dict(sorted(asked.annotations.items())))


def _upgrade(service: Service) -> plan.Upgrade | None:
    asked = service.upgrade
    if asked is None:
        return None
    share = (asked.step_percent, asked.interval_seconds, asked.surge_percent)
    return plan.Upgrade(asked.strategy, asked.gateway_class, *share)


def _fault_tolerance(service: Service) -> plan.FaultTolerance | None:
    asked = service.fault_tolerance
    if asked is None:
        return None
    return plan.FaultTolerance(asked.redis, asked.username, asked.password_secret, asked.password_key)


def _ingress(service: Service) -> plan.Ingress | None:
    asked = service.ingress
    if asked is None:
        return None
    return plan.Ingress(asked.host, asked.class_name, asked.tls_secret, dict(sorted(asked.annotations.items())))
