"""The models of the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from generator import naming
from generator.caches import CACHES
from generator.emit.catalogue.markdown import code, escape, names, table
from generator.plan import Model, Plan
from generator.quantities import human

T = TypeVar("T")

UNKNOWN = "unknown (not in the lock)"
_MODEL_FACTS = ("Source", "Commit", "Licence", "Gated", "Parameters", "Size", "Context")
_MODEL_COLUMNS = ("Name", "Title", *_MODEL_FACTS, "Staged at", "Clusters", "Labels")


def section(plan: Plan) -> Iterator[str]:
    yield "## Models"
    yield ""
    if not plan.models:
        yield "None yet: `modelyard add model HF_ID` adds one."
        yield ""
        return
    yield from table(_MODEL_COLUMNS, (_model(plan, model) for model in plan.models))


def _model(plan: Plan, model: Model) -> tuple[str, ...]:
    return (
        code(model.name),
        escape(model.title),
        f"[{escape(model.repo)}](https://huggingface.co/{model.repo}/tree/{model.commit})",
        code(naming.short_commit(model.commit)),
        _known(model.license, escape),
        _known(model.gated, lambda gated: "yes" if gated else "no"),
        _known(model.parameters, _count),
        _known(model.size, human),
        _known(model.context_length, lambda tokens: f"{tokens:,} tokens"),
        names(CACHES[model.cache.kind].addresses(plan.platform, model)),
        names(model.clusters),
        names(f"{key}={value}" for key, value in model.labels.items()),
    )


def _known(value: T | None, show: Callable[[T], str]) -> str:
    return UNKNOWN if value is None else show(value)


def _count(parameters: int) -> str:
    """`1.1 B`, in thousands, millions and billions."""
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6)):
        if parameters >= size:
            return f"{parameters / size:.1f} {unit}"
    return f"{parameters:,}"
