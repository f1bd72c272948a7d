"""Is this folder a complete model? The stager writes `.modelyard/manifest.json` after everything else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from common.errors import StartRefused

MANIFEST = ".modelyard/manifest.json"
INDEX = "model.safetensors.index.json"
FAULTS_SHOWN = 5
AT_ONCE = 16 * 2**20  # bytes a read: a bucket that is mounted answers one long read faster than many short ones

Verify = Literal["sizes", "digests", "off"]


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as the manifest states it: bytes, and sha256 as 64 hex digits."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Staged:
    """Of which model and commit the folder is the copy."""

    model: str
    commit: str
    files: Mapping[str, Listed]


def check(folder: Path, *, verify: Verify) -> Staged | None:
    """Raise StartRefused unless `folder` holds config, safetensors and what its manifest lists; None when `off`.

    `sizes` compares those: the stager has hashed every byte, and reading a model twice doubles the time to start.
    `digests` reads them all the same.
    """
    faults = list(_incomplete(folder))
    staged = None
    if verify != "off" and not faults:
        staged = _staged(folder)
        faults = list(_unlisted(folder, staged.files)) or list(_changed(folder, staged.files, verify))
    if faults:
        more = f"; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
        raise _refused(folder, "; ".join(faults[:FAULTS_SHOWN]) + more)
    return staged


def _refused(folder: Path, reason: str) -> StartRefused:
    return StartRefused(f"the model in {folder} is refused: {reason}")


def _incomplete(folder: Path) -> Iterator[str]:
    if not (folder / "config.json").is_file():
        yield "config.json is missing"
    if not any(folder.glob("*.safetensors")):
        yield "it has no *.safetensors, and no other format of weights is loaded"
    if (folder / INDEX).is_file():
        for shard in sorted(_shards(folder)):
            # transformers opens whatever the index names, `../` included.
            if PurePosixPath(shard).name != shard or not (folder / shard).is_file():
                yield f"{INDEX} names {shard!r}, which is not in the folder"


def _shards(folder: Path) -> set[str]:
    shards: set[str] = _read(folder, INDEX, lambda index: set(map(str, index["weight_map"].values())))
    return shards


def _read(folder: Path, name: str, take: Callable[[Any], Any]) -> Any:
    try:
        return take(json.loads((folder / name).read_bytes()))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _refused(folder, f"{name} cannot be read: {error!r}") from error


def _staged(folder: Path) -> Staged:
    if not (folder / MANIFEST).is_file():
        raise _refused(folder, f"{MANIFEST} is missing, so staging has not ended")
    staged: Staged = _read(folder, MANIFEST, _manifest)
    return staged


def _manifest(content: Any) -> Staged:
    """The shape that generator/prestage/manifest.py writes."""
    if content["version"] != 1:
        raise ValueError(f"version is {content['version']!r}, not 1")
    files = {str(file["path"]): Listed(int(file["size"]), str(file["sha256"])) for file in content["files"]}
    return Staged(str(content["model"]), str(content["commit"]), files)


def _unlisted(folder: Path, listed: Mapping[str, Listed]) -> Iterator[str]:
    for file in sorted(folder.glob("*.safetensors")):
        if file.name not in listed:
            yield f"{file.name} is not in the manifest"
    if "config.json" not in listed:
        yield "config.json is not in the manifest"


def _changed(folder: Path, listed: Mapping[str, Listed], verify: Verify) -> Iterator[str]:
    sized = True
    for path, file in listed.items():
        for fault in _off_size(folder, path, file.size):
            sized = False
            yield fault
    if verify == "digests" and sized:  # what is too short need not be read
        yield from (
            f"{path} has another sha256" for path, file in listed.items() if _digest(folder / path) != file.sha256
        )


def _off_size(folder: Path, path: str, size: int) -> Iterator[str]:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        yield f"the manifest lists {path!r}, which is outside of the folder"
    elif not (folder / path).is_file():
        yield f"{path} is missing"
    elif (actual := (folder / path).stat().st_size) != size:
        yield f"{path} has {actual} bytes, the manifest says {size}"


def _digest(path: Path) -> str:
    """sha256 of a file, read from its beginning to its end."""
    digest, block = hashlib.sha256(), memoryview(bytearray(AT_ONCE))
    with path.open("rb", buffering=0) as file:
        while read := file.readinto(block):
            digest.update(block[:read])
    return digest.hexdigest()
