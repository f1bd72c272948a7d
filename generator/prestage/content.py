"""What files say of themselves: weights that are none, and indexes that name files from elsewhere (promise P10)."""

from __future__ import annotations

import json
from collections.abc import Collection
from posixpath import dirname, join

from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError
from generator.prestage.plan import File

INDEX = ".safetensors.index.json"
MAX_INDEX = 64 * 2**20  # the index of a model of 100,000 tensors takes about 10 MB
_MAX_HEADER = 100_000_000  # safetensors 0.8.0: MAX_HEADER_SIZE
_HINT = "do not use this repository, or choose another revision"


def start_fault(file: File, view: memoryview) -> str:
    """Whether a file named safetensors begins as one: the length of its header, and a JSON object."""
    if not file.path.endswith(".safetensors"):
        return ""
    length = int.from_bytes(view[:8], "little")
    sound = 2 <= length <= min(_MAX_HEADER, file.size - 8) and view[8] == ord("{")
    return "" if sound else "it is not a safetensors file"


def is_index(file: File) -> bool:
    return file.path.endswith(INDEX)


def check_index(file: File, view: memoryview, paths: Collection[str]) -> None:
    """Every part that an index names is staged beside it. Raises PrestageError."""
    try:
        parts = set(map(str, json.loads(bytes(view))["weight_map"].values()))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise PrestageError(PrestageExit.INTEGRITY, f"{file.path} is not an index of weights", _HINT) from error
    lost = sorted(part for part in parts if join(dirname(file.path), part) not in paths)
    if lost:
        hint = "check source.allow and source.ignore, or choose another revision"
        reason = f"{file.path} names {lost[0]!r}, which is not among the files to stage"
        raise PrestageError(PrestageExit.INTEGRITY, reason, hint)
