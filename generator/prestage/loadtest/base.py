"""What judges are given, and what they say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from generator.prestage.patience import Patience
from generator.prestage.reading import fill
from generator.prestage.targets.base import Target

SHOWN = 3  # faults of one kind in one file
MAX_JSON = 32 * 2**20  # bytes; the index of the largest models takes half of it. Parsed, it is a few times as much


class Finding(NamedTuple):
    """`kind`: `judged` (sound), `untested` or `fault`; `text` says what, or why."""

    kind: str
    path: str
    text: str


class Reader:
    """Parts of a copy's files. `sizes`: bytes by path, of what can be read."""

    def __init__(self, target: Target, sizes: Mapping[str, int], patience: Patience) -> None:
        self._target, self.sizes, self._patience = target, sizes, patience

    def read(self, path: str, start: int, length: int) -> bytearray:
        """Exactly these bytes. Raises PrestageError."""
        body = bytearray(length)
        fill(partial(self._target.read, path), start, memoryview(body), self._patience, path)
        return body

    def whole(self, path: str) -> bytearray:
        return self.read(path, 0, self.sizes[path])


def parsed(body: bytes | bytearray) -> dict[str, Any]:
    """The JSON object in `body`. Raises ValueError that says why there is none."""
    try:
        found = json.loads(body, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has {twice!r} twice")
    return found


def few(faults: list[str], between: str = "; ") -> str:
    """The first of them, and how many more."""
    more = f"{between}and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return between.join(faults[:SHOWN]) + more
