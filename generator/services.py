"""From a service of models.yaml to what its pods run: applications, their Serve config, and the pods' size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from generator import naming, plan, pods
from generator.applications import name_of
from generator.apps import APPS, Deployment, Served
from generator.apps.base import image_role
from generator.bundle import Bundle, join
from generator.catalog import ACCELERATORS, DEFAULT_RAY_IMAGES
from generator.lock import Lock
from generator.quantities import cores, in_bytes
from generator.spec import Application, Platform, Service
from generator.yamlio import dump

SERVE_PORT = 8000
WORKERS = "workers"
"""The worker group of a service that names none."""

Code = Mapping[str, Mapping[str, bytes]]
"""Packages of serving/: folder to its files, path to content."""


def bundled(service: Service, code: Code) -> Bundle | None:
    """One zip for the service, with the packages of the applications that it runs and nothing else."""
    apps = [APPS[a.app] for a in service.applications if APPS[a.app].packages]
    packages = {package: code[package] for app in apps for package in app.packages}
    return join((app.name for app in apps), packages) if apps else None


def ray_image(platform: Platform, service: Service) -> tuple[str, str]:
    """Reference, and the Ray release inside. Checks saw to it that all applications want the same."""
    role = image_role(APPS[service.applications[0].app], ACCELERATORS.get(service.accelerator or ""))
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
        group=WORKERS,
    )


def groups(service: Service, image: str, lock: Lock) -> tuple[plan.Workers, ...]:
    """As many pods as there may be replicas with a model."""
    accelerator = ACCELERATORS.get(service.accelerator or "")
    return (
        plan.Workers(
            name=WORKERS,
            accelerator=service.accelerator,
            image=image,
            min=sum(a.replicas.min * len(a.models) for a in service.applications),
            max=sum(a.replicas.max * len(a.models) for a in service.applications),
            limits=pods.limits(service, lock),
            node_selector=dict(sorted(service.node_selector.items())),
            tolerations=({"key": accelerator.toleration, "operator": "Exists"},) if accelerator else (),
        ),
    )


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
        deployment = replace(
            _deployment(asked, resolved, uri),
            ray_version=ray_image(platform, service)[1],
            memory=in_bytes(pods.replica_memory(service, asked, lock)),
            accelerator=ACCELERATORS.get(service.accelerator or ""),
        )
        found.append(app.serve(deployment))
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
            bucket = (cache.bucket if isinstance(cache, plan.Bucket) else None) or plan.BUCKET_SLOT
            return f"s3://{bucket}/{naming.CODE_PREFIX}/{bundle.filename}"
        case "url":
            return f"{(platform.code.base_url or '').rstrip('/')}/{bundle.filename}"
        case _:
            return f"file://{naming.CODE_MOUNT}/{bundle.filename}"
