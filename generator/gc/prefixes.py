"""Prefixes of a bucket from its listing, and the keys that a text names. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from generator import naming
from generator.errors import UserError
from generator.prestage.manifest import HELD

_KEY = re.compile(rf"{naming.MODELS_PREFIX}/[a-z](?:[-a-z0-9]*[a-z0-9])?/[0-9a-f]{{{naming.COMMIT_DIGITS}}}")
_NAMED = re.compile(_KEY.pattern + "(?![0-9a-z])")
_AGE = re.compile(r"([1-9][0-9]{0,4})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_BEFORE = datetime.min.replace(tzinfo=UTC)
SHORTEST = timedelta(days=1)
"""What is younger may be on its way: a Job runs for hours, and its commit may not be merged yet."""


@dataclass(frozen=True, slots=True)
class Item:
    """An object as a listing shows it; `size` in bytes."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload that is not complete."""

    key: str
    id: str
    begun: datetime


@dataclass(frozen=True, slots=True)
class Prefix:
    """`models/<model>/<commit12>` and what lies below.

    `size` in bytes, without unfinished uploads; `newest`: of objects and uploads; `complete`: its manifest is there.
    """

    key: str
    objects: int
    size: int
    uploads: int
    newest: datetime
    complete: bool

    def older_than(self, age: timedelta, now: datetime) -> bool:
        return now - self.newest >= age


@dataclass(frozen=True, slots=True)
class Held:
    """What a bucket holds: our prefixes by key, and how many objects and uploads lie anywhere else."""

    prefixes: tuple[Prefix, ...]
    strangers: int


@dataclass(slots=True)
class _Tally:
    """Millions of objects are listed, of which only sums are kept."""

    objects: int = 0
    size: int = 0
    uploads: int = 0
    complete: bool = False
    newest: datetime = _BEFORE


def held(items: Iterable[Item], uploads: Iterable[Upload] = ()) -> Held:
    """Grouped by prefix and sorted by key."""
    found: dict[str, _Tally] = {}
    strangers = 0
    for item in items:
        if key := prefix_of(item.key):
            tally = found.setdefault(key, _Tally())
            tally.objects, tally.size = tally.objects + 1, tally.size + item.size
            tally.complete |= item.key == manifest_of(key)
            tally.newest = max(tally.newest, item.modified)
        strangers += not key
    for upload in uploads:
        if key := prefix_of(upload.key):
            tally = found.setdefault(key, _Tally())
            tally.uploads += 1
            tally.newest = max(tally.newest, upload.begun)
        strangers += not key
    prefixes = (
        Prefix(key, tally.objects, tally.size, tally.uploads, tally.newest, tally.complete)
        for key, tally in sorted(found.items())
    )
    return Held(tuple(prefixes), strangers)


def prefix_of(key: str) -> str:
    """`models/<model>/<commit12>` that an object lies below; empty where it lies elsewhere."""
    match = _KEY.match(key)
    return match.group() if match and key[match.end() :].startswith("/") else ""


def manifest_of(prefix: str) -> str:
    return f"{prefix}/{naming.MANIFEST}"


def manifests_of(prefix: str) -> tuple[str, str]:
    """Also that of a copy which waits for its load test: it is no complete one, and a test would make it so."""
    return manifest_of(prefix), f"{prefix}/{HELD}"


def named_in(text: str) -> Iterator[str]:
    """Every prefix that a text names, wherever it stands: bucket keys and mount paths alike."""
    return (match.group() for match in _NAMED.finditer(text))


def unreferenced(prefixes: Iterable[Prefix], references: Mapping[str, Collection[str]]) -> tuple[Prefix, ...]:
    """The prefixes that no place refers to. `references`: keys by the place that names them."""
    named = {key for keys in references.values() for key in keys}
    return tuple(prefix for prefix in prefixes if prefix.key not in named)


def age(text: str) -> timedelta:
    """`36h`, `30d`, `4w`. Raises UserError where it is none, or shorter than a day."""
    match = _AGE.fullmatch(text)
    if match is None:
        raise UserError.of(f"`{text}` is no age", hint="write hours, days or weeks: 36h, 30d, 4w")
    found = int(match[1]) * _UNITS[match[2]]
    if found < SHORTEST:
        raise UserError.of(f"`{text}` is shorter than a day", hint="what is younger may still be on its way")
    return found
