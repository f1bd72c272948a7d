"""Which files of a Hub repository are taken, and which names are refused.

By default only what a server reads without running it: safetensors, configuration, tokenizer, chat template.
Everything is an allow-list: scanners that look for bad pickles miss some (promise P10), so no format that can
carry code is taken unless models.yaml spells its suffix out.
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath

MAX_PATH_BYTES = 900
"""S3 keys end at 1,024 bytes (UTF-8), and `models/<name>/<commit>/` comes before the path."""
MAX_NAME_BYTES = 255  # NAME_MAX of the file systems behind a volume

# fmt: off
WEIGHT_SUFFIXES = frozenset((
    ".safetensors", ".bin", ".ckpt", ".gguf", ".h5", ".joblib", ".msgpack", ".npy", ".npz", ".onnx", ".pkl",
    ".pt", ".pth", ".tflite",
))
# fmt: on
"""Suffixes under which weights are published; only the first is taken without being asked for."""

_TAKEN_SUFFIXES = frozenset((".safetensors", ".json", ".jinja", ".model", ".tiktoken"))
_TAKEN_NAMES = frozenset(("vocab.txt", "merges.txt"))
# Reachable by a pattern whose suffix is a wildcard; anything else needs its suffix in the pattern.
_INERT_SUFFIXES = _TAKEN_SUFFIXES | {".txt", ".md"}
# The same weights once more, for another runtime.
_OTHER_RUNTIMES = frozenset(("original", "onnx", "openvino", "coreml", "metal", "gguf", "flax", "tflite"))

# Names that git never tracks, and the folder of our own completion marker.
_RESERVED = frozenset((".git", ".modelyard"))
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}){0,3}")
_DRIVE = re.compile(r"[A-Za-z]:")

_VARIANT = r"fp16|bf16|fp32|fp8|int8|non_ema"
_WEIGHTS = re.compile(rf"(?P<stem>.+?)(\.(?P<variant>{_VARIANT}))?(?P<shard>-[0-9]{{5}}-of-[0-9]{{5}})?\.safetensors")
_INDEX = re.compile(rf"(?P<stem>.+?)\.safetensors(?P<shard>\.index)(\.(?P<variant>{_VARIANT}))?\.json")
_SINGLE, _SHARDS, _OTHER_PRECISION = range(3)


def choose(paths: Iterable[str], allow: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[str, ...]:
    """The paths to stage, sorted.

    `allow` adds to the default choice, `ignore` takes away from both; patterns are those of `fnmatch` on the
    whole POSIX path, and one that ends in `/` means all below. A file whose format can carry code needs an
    `allow` pattern that spells its suffix out: `*` and `pytorch_model.*` do not take `pytorch_model.bin`.
    """
    kept = without(paths, ignore)
    asked = {path for path in kept if any(_asks_for(pattern, path) for pattern in allow)}
    usual = [path for path in kept if _is_usual(path)]
    return tuple(sorted(asked.union(_without_copies(usual))))


def without(paths: Iterable[str], ignore: Sequence[str]) -> list[str]:
    """The paths that no pattern of `ignore` matches."""
    return [path for path in paths if not any(_compiled(pattern).match(path) for pattern in ignore)]


def is_weights(path: str) -> bool:
    """Whether the file holds weights, in any format."""
    return _suffix(path) in WEIGHT_SUFFIXES


def path_fault(path: str) -> str:
    """Why `path` may be neither a bucket key nor a file below a folder; empty when it may (promise P9)."""
    if _PLAIN_PATH.fullmatch(path):
        return ""
    if not path.isprintable():
        return "holds a control or invisible character"
    if "\\" in path:
        return "holds a backslash"
    if path.startswith("/") or _DRIVE.match(path):
        return "is absolute"
    if len(path.encode()) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    return next(filter(None, map(_part_fault, path.split("/"))), "")


def _part_fault(part: str) -> str:
    if not part:
        return "has an empty part"
    if part in (".", ".."):
        return f"has a part `{part}`"
    if part.casefold() in _RESERVED:
        return f"has the reserved part `{part}`"
    if part != part.strip():
        return "has a part that starts or ends with a space"
    if len(part.encode()) > MAX_NAME_BYTES:
        return f"has a part longer than {MAX_NAME_BYTES} bytes"
    return ""


def path_faults(paths: Collection[str]) -> Iterator[tuple[str, str]]:
    """`(path, why)` for every path that is unsafe alone or beside another one.

    Two names that differ only in case or Unicode form are one file on some volumes; a file `a` beside `a/b`
    is hidden by Mountpoint for S3.
    """
    for path in paths:
        if why := path_fault(path):
            yield path, why
    yield from _clashes(paths)


def _clashes(paths: Collection[str]) -> Iterator[tuple[str, str]]:
    seen: dict[str, str] = {}
    for path in paths:
        folded = _folded(path)
        if folded in seen:
            other = seen[folded]
            yield path, "is listed twice" if other == path else f"differs from {other!r} only in case or form"
        seen.setdefault(folded, path)
    for path in paths:
        if "/" in path:
            above = (str(folder) for folder in PurePosixPath(_folded(path)).parents)
            yield from ((path, f"is below {seen[folder]!r}, which is a file") for folder in above if folder in seen)


def _folded(path: str) -> str:
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path.casefold())


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _is_usual(path: str) -> bool:
    *folders, name = path.split("/")
    if any(part.startswith(".") for part in (*folders, name)) or _OTHER_RUNTIMES.intersection(folders[:1]):
        return False
    if name.endswith(".index.json") and not name.endswith(".safetensors.index.json"):
        return False  # lists the parts of a format that is not taken
    return name in _TAKEN_NAMES or _suffix(name) in _TAKEN_SUFFIXES


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern + "*" if pattern.endswith("/") else pattern))


def _asks_for(pattern: str, path: str) -> bool:
    """Whether the pattern matches, and spells the suffix out where the format may carry code."""
    if not _compiled(pattern).match(path):
        return False
    suffix = _suffix(path)
    if suffix in _INERT_SUFFIXES:
        return True
    if suffix:
        return pattern.lower().endswith(suffix)
    return pattern.rsplit("/", 1)[-1] == path.rsplit("/", 1)[-1]


def _without_copies(paths: Sequence[str]) -> Iterator[str]:
    """Without second copies of the same weights.

    Of one stem in one folder the best form stays: a single file (transformers looks for it first), else
    shards with their index, else another precision. `consolidated*` (Mistral's own format) goes where
    `model*` is.
    """
    forms = {path: form for path in paths if (form := _weight_form(path))}
    best: dict[tuple[str, str], int] = {}
    for folder, stem, rank in forms.values():
        best[folder, stem] = min(rank, best.get((folder, stem), rank))
    for path in paths:
        if path not in forms or _is_first_choice(*forms[path], best):
            yield path


def _is_first_choice(folder: str, stem: str, form: int, best: Mapping[tuple[str, str], int]) -> bool:
    if stem.startswith("consolidated") and (folder, "model") in best:
        return False
    return form == best[folder, stem]


def _weight_form(path: str) -> tuple[str, str, int] | None:
    folder, _, name = path.rpartition("/")
    found = _WEIGHTS.fullmatch(name) or _INDEX.fullmatch(name)
    if found is None:
        return None
    form = _OTHER_PRECISION if found["variant"] else _SHARDS if found["shard"] else _SINGLE
    return folder, found["stem"], form
