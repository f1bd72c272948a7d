"""The copies of each model in a store: complete or not, when they were staged, and who refers to them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from generator import naming
from generator.gc.prefixes import Item, Prefix, held, manifest_of, prefix_of
from generator.prestage.manifest import HELD

OWN = f"{naming.MANIFEST.partition('/')[0]}/"

State = Literal["complete", "held", "incomplete"]


@dataclass(frozen=True, slots=True)
class Copy:
    """One folder `models/<model>/<revision>`.

    `files` and `size` (bytes) are the model's, without our notes beside them; `staged`: when its manifest was written,
    None where it has none; `newest`: of all that lies there; `places`: what refers to it.
    """

    key: str
    model: str
    revision: str  # 12 hex
    files: int
    size: int
    state: State
    staged: datetime | None
    newest: datetime
    served: bool
    places: tuple[str, ...]


@dataclass(slots=True)
class _Notes:
    """What lies below `.modelyard/` of a copy."""

    objects: int = 0
    size: int = 0
    manifest: datetime | None = None
    held: bool = False


def copies(items: Iterable[Item], served: Collection[str], references: Mapping[str, Collection[str]]) -> list[Copy]:
    """By model, the newest first. `served`: keys; `references`: keys by the place that names them."""
    notes: dict[str, _Notes] = {}
    found = held(_noted(items, notes)).prefixes
    rows = [_copy(prefix, notes.get(prefix.key, _Notes()), served, references) for prefix in found]
    return sorted(rows, key=lambda row: (row.model, -(row.staged or row.newest).timestamp(), row.key))


def _noted(items: Iterable[Item], notes: dict[str, _Notes]) -> Iterator[Item]:
    """The same items; what is ours among them goes to `notes` on the way."""
    for item in items:
        key = prefix_of(item.key)
        if key and item.key.startswith(OWN, len(key) + 1):
            note = notes.setdefault(key, _Notes())
            note.objects, note.size = note.objects + 1, note.size + item.size
            note.manifest = item.modified if item.key == manifest_of(key) else note.manifest
            note.held |= item.key == f"{key}/{HELD}"
        yield item


def _copy(prefix: Prefix, notes: _Notes, served: Collection[str], references: Mapping[str, Collection[str]]) -> Copy:
    _, model, revision = prefix.key.split("/")
    return Copy(
        key=prefix.key,
        model=model,
        revision=revision,
        files=prefix.objects - notes.objects,
        size=prefix.size - notes.size,
        state="complete" if prefix.complete else "held" if notes.held else "incomplete",
        staged=notes.manifest,
        newest=prefix.newest,
        served=prefix.key in served,
        places=tuple(place for place, keys in references.items() if prefix.key in keys),
    )
