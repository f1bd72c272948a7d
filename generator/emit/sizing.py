"""What a model can run on and with how much of it, for the form that developers fill in.

A size is that of a service which already serves the model; else it is reckoned from the weights; else, where
the lock does not know the weights, everything is offered and the form says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from generator.apps import APPS
from generator.catalog import ACCELERATORS, REPLICA_OVERHEAD, USABLE_ACCELERATOR_MEMORY, Accelerator, suits
from generator.plan import Application, Model, Service
from generator.quantities import gibibytes

CPU = "cpu"
"""Stands for "no accelerator" in the form; no accelerator is named so."""

# Tensor parallelism splits attention heads evenly, and their number is a multiple of these.
COUNTS = (1, 2, 4, 8, 16)
_ANY_MEMORY = ("8Gi", "16Gi", "32Gi", "64Gi", "128Gi", "256Gi")

SERVED = "The size of a service that already serves the model."
RECKONED = "Reckoned from the size of the weights; take more for long prompts or many requests at a time."
UNKNOWN = "The size of the weights is not in the lock, so nothing is checked here: choose with room to spare."

ON_CPU = tuple(sorted(name for name, app in APPS.items() if app.suits_all and not app.needs_accelerator))
ON_ACCELERATOR = tuple(sorted(name for name, app in APPS.items() if app.suits_all and app.needs_accelerator))


@dataclass(frozen=True, slots=True)
class Option:
    """One device for one model. `memory` is that of the host; each tuple begins with its default."""

    device: str
    apps: tuple[str, ...]
    counts: tuple[int, ...]  # devices of a replica; none on CPUs
    memory: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Choice:
    """All that the form offers for a model; equal choices share one branch of the form."""

    clusters: tuple[str, ...]
    options: tuple[Option, ...]
    preferred: str  # a device, empty where nothing speaks for one


def choices(models: Iterable[Model], services: Iterable[Service]) -> dict[Choice, list[str]]:
    """Each different choice to the names of its models, in the order of the models."""
    serving = _serving(services)
    grouped: dict[Choice, list[str]] = {}
    for model in models:
        grouped.setdefault(choice(model, serving.get(model.name, ())), []).append(model.name)
    return grouped


def choice(model: Model, serving: Iterable[tuple[Service, Application]]) -> Choice:
    served = _served(serving)
    options = {option.device: option for option in _reckoned(model)} | served
    ordered = tuple(options[device] for device in (CPU, *ACCELERATORS) if device in options)
    return Choice(model.clusters, ordered, next(iter(served), ""))


def _serving(services: Iterable[Service]) -> dict[str, list[tuple[Service, Application]]]:
    found: dict[str, list[tuple[Service, Application]]] = {}
    for service in services:
        for application in service.applications:
            for model in application.models:
                found.setdefault(model.name, []).append((service, application))
    return found


def _served(serving: Iterable[tuple[Service, Application]]) -> dict[str, Option]:
    """Device to the sizes in use on it."""
    merged: dict[str, Option] = {}
    for service, application in serving:
        group = service.group_of(application)
        device = group.accelerator or CPU
        count = (application.accelerators,) if group.accelerator else ()
        option = Option(device, _apps(application), count, (group.limits["memory"],), SERVED)
        merged[device] = _merged(merged[device], option) if device in merged else option
    return merged


def _apps(application: Application) -> tuple[str, ...]:
    """The application itself, or, where the form cannot ask for all that it needs, the plain one."""
    return (application.app,) if APPS[application.app].needs == {"model"} else ON_CPU


def _merged(one: Option, other: Option) -> Option:
    apps = dict.fromkeys(one.apps + other.apps)
    counts = dict.fromkeys(one.counts + other.counts)
    memory = dict.fromkeys(one.memory + other.memory)
    return Option(one.device, tuple(apps), tuple(counts), tuple(memory), one.why)


def _reckoned(model: Model) -> Iterator[Option]:
    weights = model.weights
    memory = _ANY_MEMORY if weights is None else _memory(weights)
    why = UNKNOWN if weights is None else RECKONED
    if suits(None, model.compiled_for):
        yield Option(CPU, ON_CPU, (), memory, why)
    for accelerator in ACCELERATORS.values():
        counts = _counts(weights, accelerator) if suits(accelerator, model.compiled_for) else ()
        if counts:
            yield Option(accelerator.name, _apps_on(accelerator), counts, memory, why)


def _apps_on(accelerator: Accelerator) -> tuple[str, ...]:
    return tuple(app for app in ON_ACCELERATOR if accelerator.apps is None or app in accelerator.apps)


def _memory(weights: int) -> tuple[str, ...]:
    """Host memory: weights pass through it on their way to any device; and twice that, for long prompts."""
    needed = int(weights * 1.2) + REPLICA_OVERHEAD
    return gibibytes(needed), gibibytes(2 * needed)


def _counts(weights: int | None, accelerator: Accelerator) -> tuple[int, ...]:
    """The counts that hold the weights and a tenth more, smallest first."""
    usable = accelerator.memory * USABLE_ACCELERATOR_MEMORY
    possible = tuple(count for count in COUNTS if count in accelerator.counts)
    fitting = tuple(count for count in possible if count * usable >= (weights or 0) * 1.1)
    # A model that is compiled for it runs nowhere else, and a form cannot offer nothing.
    return fitting or (possible[-1:] if accelerator.compiled else ())


def needs(option: Option) -> Mapping[str, tuple[str, ...] | tuple[int, ...]]:
    """Form fields of an option, by the name of the application's key in models.yaml."""
    fields: dict[str, tuple[str, ...] | tuple[int, ...]] = {"app": option.apps, "memory": option.memory}
    return fields | ({"accelerators": option.counts} if option.counts else {})
