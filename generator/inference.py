"""Rules of services that KServe runs: what needs a Ray cluster is refused, and so is what KServe cannot do."""

from __future__ import annotations

from collections.abc import Iterator

from generator.apps import APPS
from generator.catalog import RAY_GPU
from generator.errors import Fault, Path, Severity
from generator.spec import Application, Platform, Service, Spec
from generator.spec.service import Service as Fields
from generator.workers import accelerator_of

RUNTIME = "kserve"
OF_RAY = ("workers", "autoscaler", "upgrade", "fault_tolerance", "auth_secret", "queue", "load_balancer")
"""Fields of a service that say something of a Ray cluster, or of the Service that KubeRay makes."""
SUFFIXES = ("serve", "predictor")
"""What follows the service's name in the names of its objects: the first is ours, the second KServe's."""
HOST = 63
"""Characters of a label of DNS: KServe makes host names of service and namespace, whether they are used or not."""


def rules(spec: Spec) -> Iterator[Fault]:
    for i, service in enumerate(spec.services):
        if service.runtime == RUNTIME:
            yield from _service(service, i, spec.platform)
    yield from _names(spec)


def _names(spec: Spec) -> Iterator[Fault]:
    """A service is not called what an object of another one is called on the same cluster."""
    taken = {
        (cluster, f"{service.name}-{suffix}"): service.name
        for service in spec.services
        if service.runtime == RUNTIME
        for cluster in service.clusters
        for suffix in SUFFIXES
    }
    for i, service in enumerate(spec.services):
        for cluster in service.clusters:
            if owner := taken.get((cluster, service.name)):
                message = f"`{service.name}` is the name of objects of `{owner}` on {cluster}, which KServe runs"
                yield Fault(("services", i, "name"), message, "give the service another name")
                break


def _service(service: Service, i: int, platform: Platform) -> Iterator[Fault]:
    at: Path = ("services", i)
    yield from _fields(service, at)
    if len(service.applications) > 1:
        message = f"`{service.name}` has {len(service.applications)} applications, and an InferenceService has one"
        yield Fault((*at, "applications"), message, "make a service of each, or leave `runtime: kserve` out")
    host = f"{service.name}-predictor-{platform.namespace}"
    if len(host) > HOST:
        message = f"KServe makes the host name `{host}` of it, which has {len(host)} characters; {HOST} are left"
        yield Fault((*at, "name"), message, f"shorten it by {len(host) - HOST}")
    for j, application in enumerate(service.applications):
        yield from _application(service, application, (*at, "applications", j))
        yield from _code(service, application, (*at, "applications", j), platform)


def _fields(service: Service, at: Path) -> Iterator[Fault]:
    for field in OF_RAY:
        if field in service.model_fields_set:
            key = str(Fields.model_fields[field].alias)
            hint = "use `ingress`" if field == "load_balancer" else "leave it out, or take `runtime: ray`"
            yield Fault((*at, key), f"`{key}` is for Ray, and `{service.name}` has `runtime: kserve`", hint)


def _application(service: Service, application: Application, at: Path) -> Iterator[Fault]:
    if APPS[application.app].alone is None:
        able = " or ".join(f"`app: {row.name}`" for row in APPS.values() if row.alone is not None)
        message = f"`{application.app}` needs Ray, and `{service.name}` has `runtime: kserve`"
        yield Fault((*at, "app"), message, f"use {able}, or leave `runtime: kserve` out")
    if application.replicas.min == 0:
        message = "KServe does not scale to 0 in Standard mode: its autoscaler is Kubernetes' own"
        yield Fault((*at, "replicas", "min"), message, "write 1, or leave `runtime: kserve` out")
    accelerator = accelerator_of(service, application)
    if accelerator is None:
        return
    if accelerator.ray != RAY_GPU:
        message = f"{accelerator.name} is served by Ray only, which gives each process its devices"
        yield Fault(("services", at[1], "accelerator"), message, "leave `runtime: kserve` out")
    if application.replicas.max > application.replicas.min:
        message = f"KServe adds replicas by the use of CPUs, which says little of {accelerator.name}"
        hint = "write the same `min` and `max`, or let Ray serve it, which counts requests"
        yield Fault((*at, "replicas"), message, hint, Severity.WARNING)


def _code(service: Service, application: Application, at: Path, platform: Platform) -> Iterator[Fault]:
    if APPS[application.app].packages and platform.code.delivery != "config-map":
        way = platform.code.delivery
        message = f"the code comes by `{way}`, which Ray fetches, and `{service.name}` has no Ray"
        yield Fault((*at, "app"), message, "set `platform.code.delivery: config-map`, or use `app: vllm`")
