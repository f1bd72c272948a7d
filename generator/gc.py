"""Which prefixes of a bucket nothing refers to any more. Pure: listings and texts in, prefixes out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from generator import naming
from generator.errors import UserError

_KEY = re.compile(r"models/[a-z](?:[-a-z0-9]*[a-z0-9])?/[0-9a-f]{12}(?![0-9a-f])")
_AGE = re.compile(r"([1-9][0-9]{0,4})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
SHORTEST = timedelta(days=1)
"""What is younger may be on its way: a Job runs for hours, and its commit may not be merged yet."""


@dataclass(frozen=True, slots=True)
class Item:
    """One object as a listing shows it; `size` in bytes."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class Prefix:
    """`models/<model>/<commit12>` and what lies below. `complete`: its manifest is there."""

    key: str
    objects: int
    size: int
    newest: datetime
    complete: bool

    def older_than(self, age: timedelta, now: datetime) -> bool:
        return now - self.newest >= age


def prefixes(items: Iterable[Item]) -> tuple[Prefix, ...]:
    """Sorted by key. What does not lie at `models/<model>/<commit12>/…` is not ours, and is left out."""
    found: dict[str, list[Item]] = {}
    for item in items:
        match = _KEY.match(item.key)
        if match and item.key[match.end() :].startswith("/"):
            found.setdefault(match.group(), []).append(item)
    return tuple(_prefix(key, below) for key, below in sorted(found.items()))


def _prefix(key: str, below: list[Item]) -> Prefix:
    complete = any(item.key == f"{key}/{naming.MANIFEST}" for item in below)
    newest = max(item.modified for item in below)
    return Prefix(key, len(below), sum(item.size for item in below), newest, complete)


def keys_in(text: str) -> Iterator[str]:
    """Every prefix that a text names, wherever it stands: bucket keys and mount paths alike."""
    return (match.group() for match in _KEY.finditer(text))


def keys_in_tree(folder: Path) -> set[str]:
    """Every prefix that a rendered tree names. Raises UserError where it is none."""
    if not folder.is_dir():
        raise UserError.of(f"{folder} is not a folder", hint="name a rendered tree with --rendered")
    found: set[str] = set()
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in {".yaml", ".json", ".njk", ".md"}:
            found.update(keys_in(path.read_text(encoding="utf-8", errors="replace")))
    return found


def unreferenced(held: Iterable[Prefix], references: Mapping[str, Iterable[str]]) -> tuple[Prefix, ...]:
    """The prefixes that no place refers to. `references`: keys by the place that names them."""
    named = {key for keys in references.values() for key in keys}
    return tuple(prefix for prefix in held if prefix.key not in named)


def age(text: str) -> timedelta:
    """`12h`, `30d`, `4w`. Raises UserError where it is none, or shorter than a day."""
    match = _AGE.fullmatch(text)
    if match is None:
        raise UserError.of(f"`{text}` is no age", hint="write hours, days or weeks: 36h, 30d, 4w")
    found = int(match[1]) * _UNITS[match[2]]
    if found < SHORTEST:
        raise UserError.of(f"`{text}` is shorter than a day", hint="what is younger may still be on its way")
    return found
