"""Applications of a service in models.yaml: their names, their models, and the rules that look no further."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from generator.apps import APPS, OWN_FIELDS
from generator.catalog import ACCELERATORS
from generator.errors import Fault, Path
from generator.plan import BUCKET_SLOT
from generator.spec import Application, Service
from generator.wording import purpose_of
from generator.workers import groups_of, place, roles


def name_of(service: Service, application: Application) -> str:
    """The name that models.yaml may leave out."""
    return application.name or application.model or service.name


def models_of(service: Service, i: int) -> Iterator[tuple[Application, str, Path, Path]]:
    """Each model of each application of the service: application, model, and the places of both."""
    for j, application in enumerate(service.applications):
        at: Path = ("services", i, "applications", j)
        for k, name in enumerate(application.models):
            yield (
                application,
                name,
                at,
                (*at, "model") if application.backends is None else (*at, "backends", k, "model"),
            )


def names(service: Service, i: int) -> Iterator[Fault]:
    """Names that stand twice, or mean two things."""
    known = [name_of(service, application) for application in service.applications]
    for j in repeats(known):
        path: Path = ("services", i, "applications", j, "name")
        hint = "give the second one a `name` of its own" if service.applications[j].name is None else ""
        yield Fault(path, f"application `{known[j]}` stands twice in service `{service.name}`", hint)
    yield from _own_names(service, i, known)


def _own_names(service: Service, i: int, names: Sequence[str]) -> Iterator[Fault]:
    """A request names a router, or one of its models: the two must differ."""
    for j, application in enumerate(service.applications):
        if application.backends is not None and names[j] in application.models:
            message = f"router `{names[j]}` has the name of one of its models: a request could mean either"
            yield Fault(("services", i, "applications", j, "name"), message, "give the router another `name`")


def repeats(names: Sequence[str]) -> Iterator[int]:
    seen: set[str] = set()
    for i, name in enumerate(names):
        if name in seen:
            yield i
        seen.add(name)


def rules(service: Service, i: int) -> Iterator[Fault]:
    """Broken rules of the service at `services[i]`."""
    for j, application in enumerate(service.applications):
        at: Path = ("services", i, "applications", j)
        yield from _fields(application, at)
        yield from _backends(application, at)
        yield from _resources(service, application, at)
    yield from _one_image(service, i)


def _fields(application: Application, at: Path) -> Iterator[Fault]:
    """Fields that this application wants, and those that mean nothing to it."""
    app = APPS[application.app]
    for field in OWN_FIELDS:
        key = str(Application.model_fields[field].alias)
        stated = getattr(application, field) is not None
        if field in app.needs and not stated:
            yield Fault((*at, key), f"`{app.name}` needs `{key}`", purpose_of(Application.model_fields[field]))
        elif stated and field not in app.needs | app.takes:
            knowing = [row.name for row in APPS.values() if field in row.needs | row.takes]
            yield Fault((*at, key), f"`{app.name}` has no `{key}`", f"leave it out, or use `app: {knowing[0]}`")
    if BUCKET_SLOT in (application.prompt or ""):
        yield Fault((*at, "prompt"), f"holds {BUCKET_SLOT}, which stands for the name of the bucket", "take it out")


def _backends(application: Application, at: Path) -> Iterator[Fault]:
    backends = application.backends or ()
    names = [backend.model for backend in backends]
    for k in repeats(names):
        message = f"model `{names[k]}` stands twice in this router"
        yield Fault((*at, "backends", k, "model"), message, "give it once, with the sum of the weights")
    if backends and not any(backend.weight for backend in backends):
        yield Fault((*at, "backends"), "every weight is 0: no request would be answered", "give one a weight above 0")


def _resources(service: Service, application: Application, at: Path) -> Iterator[Fault]:
    app, replicas = APPS[application.app], application.replicas
    if replicas.min > replicas.max:
        yield Fault((*at, "replicas"), f"min {replicas.min} is above max {replicas.max}", "raise `max` or lower `min`")
    if application.accelerators > app.max_accelerators:
        message = f"`{app.name}` uses at most {app.max_accelerators} accelerator a replica"
        yield Fault((*at, "accelerators"), message, "use `app: vllm` for a model that needs several")
    if all(group.accelerator is None for group in groups_of(service)):
        yield from _without_accelerator(service, application, at)


def _without_accelerator(service: Service, application: Application, at: Path) -> Iterator[Fault]:
    whose = f"a group in `workers` of service `{service.name}`" if service.workers else f"service `{service.name}`"
    if APPS[application.app].needs_accelerator:
        hint = f"add `accelerator:` to {whose}, or use `app: text-generation`"
        yield Fault((*at, "app"), f"`{application.app}` needs an accelerator", hint)
    if "accelerators" in application.model_fields_set:
        message = (
            "no group of the service has an accelerator" if service.workers else "the service names no accelerator"
        )
        yield Fault((*at, "accelerators"), message, f"one of {', '.join(sorted(ACCELERATORS))}")


def _one_image(service: Service, i: int) -> Iterator[Fault]:
    for group in groups_of(service):
        wanted = roles(service, group)
        if len(wanted) > 1 and service.workers:
            message = f"worker group `{group.name}` would need {len(wanted)} images: the pods of a group run one"
            yield Fault(place(service, i, group), message, "put the applications on two groups")
        elif len(wanted) > 1:
            message = f"service `{service.name}` would need {len(wanted)} images: the pods of a worker group run one"
            hint = "put the applications into two services, or on two groups in `workers`"
            yield Fault(("services", i, "applications"), message, hint)
