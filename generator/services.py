"""From a service of models.yaml to what its pods run: applications, their Serve config, and the pods' size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from generator import memory, naming, plan
from generator.applications import name_of
from generator.apps import APPS, Deployment, Served
from generator.bundle import Bundle, join
from generator.catalog import ACCELERATORS, DEFAULT_RAY_IMAGES, DEFAULT_REPLICA_MEMORY
from generator.lock import Lock
from generator.quantities import cores, gibibytes, in_bytes
from generator.spec import Application, Platform, Service
from generator.yamlio import dump

SERVE_PORT = 8000

Code = Mapping[str, Mapping[str, bytes]]
"""Packages of serving/: folder to its files, path to content."""


def bundled(service: Service, code: Code) -> Bundle | None:
    """One zip for the service, with the packages of the applications that it runs and nothing else."""
    apps = [APPS[a.app] for a in service.applications if APPS[a.app].packages]
    packages = {package: code[package] for app in apps for package in app.packages}
    return join((app.name for app in apps), packages) if apps else None


def ray_image(platform: Platform, service: Service) -> tuple[str, str]:
    """Reference, and the Ray release inside. Checks saw to it that all applications want the same."""
    role = APPS[service.applications[0].app].image(service.accelerator is not None)
    chosen = getattr(platform.images, role) or DEFAULT_RAY_IMAGES[role]
    return chosen.image, chosen.ray_version


def application(service: Service, asked: Application, models: Mapping[str, plan.Model]) -> plan.Application:
    """What the catalogue page and Backstage show of it."""
    return plan.Application(
        name=name_of(service, asked),
        models=tuple(models[name] for name in asked.models),
        weights=tuple(backend.weight for backend in asked.backends or ()),
        app=asked.app,
        route=asked.route,
        min_replicas=asked.replicas.min,
        max_replicas=asked.replicas.max,
        accelerators=asked.accelerators if service.accelerator is not None else 0,
    )


def workers(service: Service, lock: Lock) -> plan.Workers:
    """One pod for one replica of the largest application; as many pods as there may be replicas with a model.

    What stands in front of the models (`App.helpers`) is on the same pods: each has room for all of it, so that a
    replica finds its place wherever the others went.
    """
    accelerator = ACCELERATORS.get(service.accelerator or "")
    helpers = [helper for a in service.applications for helper in APPS[a.app].helpers]
    cpus = max(cores(a.cpu) for a in service.applications) + sum(h.cpus * h.replicas for h in helpers)
    beside = sum(h.memory * h.replicas for h in helpers)
    largest = max((_replica_memory(service, a, lock) for a in service.applications), key=in_bytes)
    limits = {
        "cpu": str(-(-int(cpus * 1000) // 1000)),
        "memory": gibibytes(in_bytes(largest) + beside) if beside else largest,
    }
    if accelerator is not None:
        limits[accelerator.resource] = str(max(a.accelerators for a in service.applications))
    return plan.Workers(
        min=sum(a.replicas.min * len(a.models) for a in service.applications),
        max=sum(a.replicas.max * len(a.models) for a in service.applications),
        limits=limits,
        node_selector=dict(sorted(service.node_selector.items())),
        tolerations=(accelerator.toleration,) if accelerator else (),
    )


def _replica_memory(service: Service, application: Application, lock: Lock) -> str:
    """That of the largest model."""
    if application.memory is not None:
        return application.memory
    on_host = service.accelerator is None
    needed = [memory.needed(application, lock.models.get(name), on_host=on_host) for name in application.models]
    return DEFAULT_REPLICA_MEMORY if None in needed else gibibytes(max(n for n in needed if n is not None))


def entries(
    service: Service,
    applications: tuple[plan.Application, ...],
    platform: Platform,
    bundle: Bundle | None,
    lock: Lock,
) -> list[dict[str, Any]]:
    """`applications` of serveConfigV2."""
    found = []
    for asked, resolved in zip(service.applications, applications, strict=True):
        app = APPS[asked.app]
        uri = _working_dir(platform, bundle, resolved.models[0].cache) if bundle is not None and app.packages else ""
        deployment = _deployment(asked, resolved, uri)
        size = in_bytes(_replica_memory(service, asked, lock))
        found.append(app.serve(replace(deployment, ray_version=ray_image(platform, service)[1], memory=size)))
    return found


def serve_config(applications: list[dict[str, Any]]) -> str:
    """YAML text of serveConfigV2."""
    http = {"host": "0.0.0.0", "port": SERVE_PORT}  # noqa: S104  inside the pod, behind a NetworkPolicy
    return dump({"proxy_location": "EveryNode", "http_options": http, "applications": applications}).decode()


def _deployment(asked: Application, resolved: plan.Application, working_dir: str) -> Deployment:
    weights = resolved.weights or (0,)
    return Deployment(
        name=resolved.name,
        route=resolved.route,
        models=tuple(
            Served(model.name, model.path, asked.context_length or model.context_length, weight)
            for model, weight in zip(resolved.models, weights, strict=True)
        ),
        working_dir=working_dir,
        min_replicas=resolved.min_replicas,
        max_replicas=resolved.max_replicas,
        cpus=cores(asked.cpu),
        accelerators=resolved.accelerators,
        max_tokens=asked.max_tokens,
        concurrency=asked.concurrency,
        dtype=asked.dtype,
        kv_cache_tokens=asked.kv_cache_tokens,
        sticky=asked.sticky,
        prompt=asked.prompt,
    )


def _working_dir(platform: Platform, bundle: Bundle, cache: plan.Cache) -> str:
    """URI of the zip, by the way that `platform.code` says. Ray caches by URI: the digest is in the name."""
    match platform.code.delivery:
        case "s3":
            bucket = cache.bucket or plan.BUCKET_SLOT
            return f"s3://{bucket}/{naming.CODE_PREFIX}/{bundle.filename}"
        case "url":
            return f"{(platform.code.base_url or '').rstrip('/')}/{bundle.filename}"
        case _:
            return f"file://{naming.CODE_MOUNT}/{bundle.filename}"
