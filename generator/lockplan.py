"""What a run of `modelyard lock` asks for, and the lock that comes of the answers. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from generator.errors import Diagnostic, UserError
from generator.lock import Lock, LockedModel, ModelSource


class Upgrade(Enum):
    """`ALL` stands for every model, whatever they are called."""

    ALL = "all"


ALL = Upgrade.ALL


class Wanted(NamedTuple):
    """A model to ask the Hub for; at `commit` where that is pinned already and only details are missing."""

    name: str
    source: ModelSource
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """What a run of `lock` does to the models: ask for some, keep some, drop the rest."""

    ask: tuple[Wanted, ...]
    keep: tuple[str, ...]
    dropped: tuple[str, ...]


def is_current(entry: LockedModel | None, source: ModelSource) -> bool:
    """Whether `entry` answers what models.yaml asks."""
    return entry is not None and entry.source == source


def plan_update(
    models: Sequence[tuple[str, ModelSource]], old: Lock, upgrade: Collection[str] | Upgrade | None = None
) -> Update:
    """Ask for what is new, changed, incomplete or named by `upgrade`; everything else stays as it is.

    Raises UserError when `upgrade` names a model that models.yaml does not have.
    """
    sources = dict(models)
    named = frozenset(sources) if isinstance(upgrade, Upgrade) else frozenset(upgrade or ())
    if unknown := sorted(named - sources.keys()):
        raise UserError(Diagnostic(f"no model is named `{name}`", hint=_known(sources)) for name in unknown)
    ask = tuple(filter(None, (_wanted(name, source, old, name in named) for name, source in models)))
    asked = {wanted.name for wanted in ask}
    return Update(
        ask,
        keep=tuple(name for name in sources if name not in asked),
        dropped=tuple(sorted(old.models.keys() - sources.keys())),
    )


def _known(names: Iterable[str]) -> str:
    return f"models.yaml has: {', '.join(sorted(names)) or 'none'}"


def _wanted(name: str, source: ModelSource, old: Lock, upgrade: bool) -> Wanted | None:
    entry = old.models.get(name)
    if upgrade or entry is None or entry.source != source:
        return Wanted(name, source)
    return Wanted(name, source, entry.commit) if entry.files is None else None


def images_to_ask(references: Iterable[str], old: Lock, *, upgrade: bool = False) -> tuple[str, ...]:
    """The image references without a digest, neither their own nor a locked one."""
    return tuple(
        sorted({r for r in references if "@" not in r and (upgrade or r not in old.images)}),
    )


def updated(
    old: Lock,
    models: Sequence[tuple[str, ModelSource]],
    answers: Mapping[str, LockedModel],
    references: Iterable[str] = (),
    digests: Mapping[str, str] | None = None,
) -> Lock:
    """The new lock. What could not be asked keeps its old entry, which `is_current` may then call stale."""
    found = {**old.models, **answers}
    images = {**old.images, **(digests or {})}
    return Lock(
        models={name: found[name] for name in sorted(dict(models)) if name in found},
        images={reference: images[reference] for reference in sorted(set(references)) if reference in images},
    )
