"""What a render makes: a write-once map of relative path to content, and the manifest that claims it.

A path that breaks a rule here is our bug, not the user's: names from models.yaml are checked long before.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

META = ".modelyard"
MANIFEST_NAME = "manifest.json"
MANIFEST = f"{META}/{MANIFEST_NAME}"
MANIFEST_VERSION = 1

MAX_PATH = 4096  # bytes; PATH_MAX of Linux
MAX_SEGMENT = 255  # bytes; NAME_MAX of ext4, xfs, APFS and NTFS
MAX_DEPTH = 64  # segments; a walk holds one descriptor open for each

#  What Windows refuses in a file name; the colon also makes drive letters and NTFS streams, the backslash
# UNC names
_NOT_PORTABLE = re.compile(r'[<>:"|?*\\]')


@dataclass(frozen=True, slots=True)
class Tree:
    """All that one render makes. `files` and `digests` (sha256, hex) have the same keys, sorted."""

    files: Mapping[str, bytes]
    digests: Mapping[str, str]
    manifest: bytes


def build(files: Iterable[tuple[str, bytes]], *, generator: str) -> Tree:
    """Collect pairs of POSIX relative path and content; `generator` is the version that the manifest records.

    Raises ValueError for a path that is claimed twice, is reserved, or cannot be checked out on every
    platform.
    """
    claimed: dict[str, bytes] = {}
    ordinals: dict[str, int] = {}
    for ordinal, (path, content) in enumerate(files, start=1):
        reason = refusal(path)
        if reason:
            raise ValueError(f"{path!r} (file {ordinal}) {reason}")
        if path in claimed:
            raise ValueError(f"{path!r} is made twice: by file {ordinals[path]} and by file {ordinal}")
        claimed[path] = content
        ordinals[path] = ordinal
    _refuse_clashes(claimed)
    ordered = dict(sorted(claimed.items()))
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in ordered.items()}
    return Tree(MappingProxyType(ordered), MappingProxyType(digests), _manifest(digests, generator))


def refusal(path: str) -> str:
    """Why `path` may not be written, "" when it may."""
    segments = path.split("/")
    if not path.isprintable():
        return "holds a control or unprintable character"
    if path.startswith("/"):
        return "is absolute"
    if _NOT_PORTABLE.search(path):
        return "holds a character that not every platform allows in a file name"
    if any(segment in ("", ".", "..") for segment in segments):
        return "has an empty, '.' or '..' segment"
    if segments[0].casefold() == META or ".git" in path.casefold().split("/"):
        return f"is reserved ({META}/ and .git/ belong to the tools)"
    return _too_long(path, segments)


def _too_long(path: str, segments: list[str]) -> str:
    if len(segments) > MAX_DEPTH:
        return f"has more than {MAX_DEPTH} segments"
    if len(path.encode()) > MAX_PATH:
        return f"is longer than {MAX_PATH} bytes"
    if any(len(segment.encode()) > MAX_SEGMENT for segment in segments):
        return f"has a segment longer than {MAX_SEGMENT} bytes"
    return ""


def parents(path: str) -> Iterator[str]:
    """The folders of `path`, innermost first: "a/b/c" gives "a/b", "a"."""
    folder = path.rpartition("/")[0]
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]


def _fold(path: str) -> str:
    """Equal for two names that a file system of macOS or Windows takes for one (Unicode 15, D145)."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def _refuse_clashes(paths: Iterable[str]) -> None:
    """Raise ValueError when two names are one where case does not count, or a file is a folder too."""
    folders: dict[str, str] = {}
    files: dict[str, str] = {}
    for path in paths:
        other = files.setdefault(_fold(path), path)
        if other != path:
            raise ValueError(f"{path!r} and {other!r} differ only in case or Unicode form")
        for folder in parents(path):
            spelling = folders.setdefault(_fold(folder), folder)
            if spelling != folder:
                raise ValueError(f"folders {folder!r} and {spelling!r} differ only in case or Unicode form")
    for folded in files.keys() & folders.keys():
        raise ValueError(f"{files[folded]!r} is both a file and a folder")


def _manifest(digests: Mapping[str, str], generator: str) -> bytes:
    """One line per file, so that Git merges two renders line by line."""
    document = {"version": MANIFEST_VERSION, "generator": generator, "files": dict(digests)}
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()
