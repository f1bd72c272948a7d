"""Looks whether files have changed. No notifications of a system's own: a few dozen files are read in a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from generator import lock
from generator.develop import version

Seen = Mapping[Path, tuple[int, int]]
"""Time of the last change (ns) and size (bytes) of each file."""

LOOK = 0.3  # seconds between two looks


def watched(catalogue: Path, folders: Iterable[Path]) -> Iterator[Path]:
    """What a service is made of: the catalogue, its lock, and the sources in `folders`."""
    yield catalogue
    yield catalogue.with_name(lock.FILE)
    for folder in folders:
        yield from folder.rglob("*.py")


def seen(files: Iterable[Path]) -> Seen:
    """What there is of them now."""
    return {path: stat for path in files if (stat := _stat(path))}


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None  # between two names, as editors save
    return found.st_mtime_ns, found.st_size


def files_of(catalogue: Path) -> Callable[[], Seen]:
    """A look at everything that services of the catalogue are made of."""
    folders = version.folders(catalogue)
    return lambda: seen(watched(catalogue, folders))


def changes(look: Callable[[], Seen], before: Seen, check: Callable[[], None]) -> Iterator[tuple[Path, ...]]:
    """The files that were written, once they hold still; never ends. `check` raises where there is no hope."""
    while True:
        check()
        time.sleep(LOOK)
        now = look()
        if now != before:
            while (later := look()) != now:
                now = later
                time.sleep(LOOK)
            yield differing(before, now)
            before = now


def differing(before: Seen, now: Seen) -> tuple[Path, ...]:
    """Files that are new, gone or other."""
    return tuple(path for path in sorted({*before, *now}) if before.get(path) != now.get(path))
