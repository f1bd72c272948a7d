"""From a service of models.yaml to what its pods run: applications, their Serve config, and the pods' size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from generator import naming, plan, pods, workers
from generator.applications import name_of
from generator.apps import APPS, Deployment, Served
from generator.bundle import Bundle, join
from generator.lock import Lock
from generator.quantities import cores, in_bytes
from generator.runtimes import RUNTIMES
from generator.spec import Application, Platform, Service
from generator.spec.raycluster import Toleration, WorkerGroup
from generator.yamlio import dump

SERVE_PORT = 8000
WITH_VLLM = frozenset({"vllm", "neuron"})
"""Roles of images that can build every application."""

Code = Mapping[str, Mapping[str, bytes]]
"""Packages of serving/: folder to its files, path to content."""


def bundled(service: Service, code: Code) -> Bundle | None:
    """One zip for the service, with the packages of the applications that it runs and nothing else."""
    apps = [APPS[a.app] for a in service.applications if APPS[a.app].packages]
    packages = {package: code[package] for app in apps for package in app.packages}
    return join((app.name for app in apps), packages) if apps else None


def ray_image(platform: Platform, service: Service) -> tuple[str, str]:
    """Reference of the head's image, and the Ray release inside of it and of all others.

    Serve imports every application on the head first, to build it (Ray 2.60 serve/_private/application_state.py; since
    then on the applications' own pods, where their deployments say which). ray.serve.llm is in images with vLLM only.
    """
    roles = [workers.role(service, group) for group in workers.groups_of(service)]
    chosen = workers.image_of(platform, next((role for role in roles if role in WITH_VLLM), roles[0]))
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
        accelerators=asked.accelerators if not workers.on_host(service, asked) else 0,
        group=_group(service, asked).name,
    )


def groups(service: Service, images: Mapping[str, str], lock: Lock) -> tuple[plan.Workers, ...]:
    """The worker groups; `images` maps a role to its reference.

    As many pods as there may be replicas with a model, where models.yaml does not say it.
    """
    return tuple(_workers(service, group, images, lock) for group in workers.groups_of(service))


def _workers(service: Service, group: WorkerGroup, images: Mapping[str, str], lock: Lock) -> plan.Workers:
    accelerator, applications = workers.device(group), workers.applications_on(service, group)
    most = group.max or sum(a.replicas.max * len(a.models) for a in applications)
    own = ({"key": accelerator.toleration, "operator": "Exists"},) if accelerator else ()
    return plan.Workers(
        name=group.name,
        accelerator=group.accelerator,
        image=images[workers.role(service, group)],
        # A profile may allow fewer pods than the group asks for.
        min=min(sum(map(_fewest, applications)) if group.min is None else group.min, most),
        max=most,
        busy=min(pods.busy(service, group, lock), most),
        limits=pods.limits(service, group, lock),
        node_selector=dict(sorted({**service.node_selector, **group.node_selector}.items())),
        tolerations=(*own, *(t for t in map(_toleration, group.tolerations) if t not in own)),
    )


def _fewest(application: Application) -> int:
    """Pods for its replicas; what stands in front of the models always runs."""
    return max(application.replicas.min * len(application.models), 1 if APPS[application.app].helpers else 0)


def _toleration(asked: Toleration) -> dict[str, str]:
    value = {"operator": "Exists"} if asked.value is None else {"operator": "Equal", "value": asked.value}
    return {"key": asked.key, **value, **({"effect": asked.effect} if asked.effect else {})}


def _group(service: Service, asked: Application) -> WorkerGroup:
    """Checks saw to it that there is one."""
    return workers.group_of(service, asked) or workers.groups_of(service)[0]


def deployments(
    service: Service,
    applications: tuple[plan.Application, ...],
    platform: Platform,
    bundle: Bundle | None,
    lock: Lock,
) -> list[Deployment]:
    """The applications, as their rows take them."""
    found = []
    for asked, resolved in zip(service.applications, applications, strict=True):
        app = APPS[asked.app]
        uri = _working_dir(platform, bundle, resolved.models[0].cache) if bundle is not None and app.packages else ""
        deployment = replace(
            _deployment(asked, resolved, uri),
            ray_version=ray_image(platform, service)[1],
            memory=in_bytes(pods.replica_memory(service, asked, lock)),
            accelerator=workers.accelerator_of(service, asked),
            group=resolved.group if len(workers.groups_of(service)) > 1 else "",
        )
        found.append(deployment)
    return found


def entries(service: Service, found: Sequence[Deployment]) -> list[dict[str, Any]]:
    """`applications` of serveConfigV2."""
    return [APPS[asked.app].serve(deployment) for asked, deployment in zip(service.applications, found, strict=True)]


def process(service: Service, found: Sequence[Deployment]) -> plan.Process | None:
    """The only application as a program, where the runtime runs it without Ray; checks saw to it that it can."""
    folder, alone = RUNTIMES[service.runtime].model, APPS[service.applications[0].app].alone
    if not folder or alone is None:
        return None
    seen = replace(found[0].model, path=folder)
    return alone(replace(found[0], models=(seen,)))


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
