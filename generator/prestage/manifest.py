"""`.modelyard/manifest.json`: what a complete model consists of. Written last; readers start only when it is there.

A copy that waits for its load test has the same content in `.modelyard/held.json` instead: no reader looks there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from generator import filechoice
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError
from generator.prestage.plan import File, Plan, checked_size

PATH = ".modelyard/manifest.json"
HELD = ".modelyard/held.json"
VERSION = 1
_HINT = "the folder was not written by modelyard, or was changed since: stage to an empty one, or remove the manifest"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as it stands at the target; `crc32` (8 hex digits) is what S3 states of the object."""

    path: str
    size: int
    sha256: str
    crc32: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of one commit, sorted by path, and by which choice they were taken."""

    model: str
    source: str
    commit: str
    files: tuple[Entry, ...]
    allow: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def by_path(self) -> Mapping[str, Entry]:
        return {entry.path: entry for entry in self.files}


def of(plan: Plan, entries: Iterable[Entry]) -> Manifest:
    """The manifest of `plan` over these files."""
    files = tuple(sorted(entries, key=lambda entry: entry.path))
    return Manifest(plan.model, plan.repo, plan.commit, files, plan.allow, plan.ignore)


def write(manifest: Manifest) -> bytes:
    """Canonical JSON: the same files give the same bytes."""
    return json.dumps({"version": VERSION, **asdict(manifest)}, sort_keys=True, indent=1).encode() + b"\n"


def read(content: bytes, where: str) -> Manifest:
    """Raises PrestageError where `content`, found at `where`, is none of ours."""
    try:
        data = json.loads(content)
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']!r}")
        files = tuple(_entry(entry) for entry in data["files"])
        if list(filechoice.path_faults([entry.path for entry in files])):
            raise ValueError("unsafe file names")
        allow, ignore = (tuple(map(str, data.get(key, ()))) for key in ("allow", "ignore"))
        return Manifest(str(data["model"]), str(data.get("source", "")), str(data["commit"]), files, allow, ignore)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise PrestageError(PrestageExit.INTEGRITY, f"{where} cannot be read: {error!r}", _HINT) from error


def _entry(data: Mapping[str, Any]) -> Entry:
    path, sha256, crc32 = str(data["path"]), str(data["sha256"]), str(data.get("crc32", ""))
    if not re.fullmatch("[0-9a-f]{64}", sha256) or not re.fullmatch("([0-9a-f]{8})?", crc32):
        raise ValueError(f"digests of {path!r}")
    return Entry(path, checked_size(data["size"], path), sha256, crc32)


def covers(manifest: Manifest, plan: Plan) -> bool:
    """Whether the manifest holds what `plan` asks for, without asking the Hub. Raises PrestageError if it contradicts.

    A plan with a list needs its files; one without needs the same choice of the same commit.
    """
    if manifest.commit != plan.commit:
        reason = f"the target holds commit {manifest.commit}, not {plan.commit}"
        raise PrestageError(PrestageExit.INTEGRITY, reason, _HINT)
    if plan.files is None:
        return (manifest.allow, manifest.ignore) == (plan.allow, plan.ignore)
    return not missing(manifest, plan.files)


def missing(manifest: Manifest, files: Iterable[File]) -> tuple[File, ...]:
    """The files that the manifest does not list. Raises PrestageError where it lists another content."""
    listed = manifest.by_path()
    for file in files:
        entry = listed.get(file.path)
        if entry and (entry.size != file.size or _differs(entry, file)):
            reason = f"{file.path} stands in the manifest with sha256:{entry.sha256}, the plan says {file.digest}"
            raise PrestageError(PrestageExit.INTEGRITY, reason, _HINT)
    return tuple(file for file in files if file.path not in listed)


def _differs(entry: Entry, file: File) -> bool:
    return file.digest.startswith("sha256:") and file.digest != f"sha256:{entry.sha256}"


def joined(manifest: Manifest, other: Manifest | None) -> Manifest:
    """`manifest` with the files that only `other` lists; both are of one commit."""
    if other is None:
        return manifest
    files = {**other.by_path(), **manifest.by_path()}
    return replace(manifest, files=tuple(files[path] for path in sorted(files)))
