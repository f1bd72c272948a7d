"""Worker groups of a service in models.yaml: which there are, and which application runs on which."""

from __future__ import annotations

from generator.apps import APPS
from generator.apps.base import image_role
from generator.catalog import ACCELERATORS, DEFAULT_RAY_IMAGES, Accelerator, RayImage
from generator.errors import Path
from generator.spec import Application, Platform, Service
from generator.spec.raycluster import WorkerGroup

WORKERS = "workers"
"""The worker group of a service that names none."""


def groups_of(service: Service) -> tuple[WorkerGroup, ...]:
    """The groups; a service that names none has one, with its accelerator."""
    return service.workers or (WorkerGroup(name=WORKERS, accelerator=service.accelerator),)


def group_of(service: Service, application: Application) -> WorkerGroup | None:
    """The group that the application names, else the first that has what it takes; None where there is none."""
    groups = groups_of(service)
    if application.workers is not None:
        return next((group for group in groups if group.name == application.workers), None)
    if not service.workers:
        return groups[0]
    return next((group for group in groups if _takes(group, application)), None)


def applications_on(service: Service, group: WorkerGroup) -> tuple[Application, ...]:
    """What runs on the group, in the service's order."""
    return tuple(a for a in service.applications if (on := group_of(service, a)) is not None and on.name == group.name)


def accelerator_of(service: Service, application: Application) -> Accelerator | None:
    """Device of the pods that it runs on; None for CPUs, and where the name of the device is not known."""
    group = group_of(service, application)
    return device(group) if group is not None else None


def on_host(service: Service, application: Application) -> bool:
    """Whether it computes on CPUs."""
    group = group_of(service, application)
    return group is None or group.accelerator is None


def device(group: WorkerGroup) -> Accelerator | None:
    return ACCELERATORS.get(group.accelerator or "")


def place(service: Service, i: int, group: WorkerGroup) -> Path:
    """Where models.yaml has the group: its item of `workers`, else the service."""
    names = [known.name for known in service.workers]
    return ("services", i, "workers", names.index(group.name)) if group.name in names else ("services", i)


def roles(service: Service, group: WorkerGroup) -> tuple[str, ...]:
    """Fields of `platform.images` that its applications want, without those that cannot run on it."""
    found = device(group)
    able = [APPS[a.app] for a in applications_on(service, group) if found or not APPS[a.app].needs_accelerator]
    return tuple(dict.fromkeys(image_role(app, found) for app in able))


def role(service: Service, group: WorkerGroup) -> str:
    """Field of `platform.images` that its pods run; checks saw to it that there is one and no other."""
    return roles(service, group)[0]


def image_of(platform: Platform, role: str) -> RayImage:
    """The image of a role: that of models.yaml, else the default. Raises KeyError for a role that has neither."""
    asked = getattr(platform.images, role)
    return RayImage(asked.image, asked.ray_version) if asked is not None else DEFAULT_RAY_IMAGES[role]


def wants_accelerator(application: Application) -> bool:
    """Whether it cannot run on CPUs, or models.yaml counts its accelerators."""
    return APPS[application.app].needs_accelerator or "accelerators" in application.model_fields_set


def _takes(group: WorkerGroup, application: Application) -> bool:
    found = device(group)
    if found is None:
        return group.accelerator is None and not wants_accelerator(application)
    return found.apps is None or application.app in found.apps
