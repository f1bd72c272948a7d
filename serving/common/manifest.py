"""Is this folder a complete model? The stager writes `.modelyard/manifest.json` after everything else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from common.errors import StartRefused

MANIFEST = ".modelyard/manifest.json"
INDEX = "model.safetensors.index.json"
FAULTS_SHOWN = 5


def check(folder: Path, *, verify: bool) -> None:
    """Raise StartRefused unless `folder` holds config, safetensors and, to `verify`, what its manifest lists.

    Sizes are compared, not digests: the stager has hashed every byte, and reading a model twice would double
    the time to start.
    """
    faults = list(_incomplete(folder))
    if verify and not faults:
        faults = list(_mismatches(folder, _listed(folder)))
    if faults:
        more = f"; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
        raise _refused(folder, "; ".join(faults[:FAULTS_SHOWN]) + more)


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
    try:
        return {str(shard) for shard in json.loads((folder / INDEX).read_bytes())["weight_map"].values()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _refused(folder, f"{INDEX} cannot be read: {error!r}") from error


def _listed(folder: Path) -> Mapping[str, int]:
    """Size in bytes by path, as the manifest states them."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        if manifest["version"] != 1:
            raise ValueError(f"version is {manifest['version']!r}, not 1")
        return {str(file["path"]): int(file["size"]) for file in manifest["files"]}
    except FileNotFoundError:
        raise _refused(folder, f"{MANIFEST} is missing, so staging has not ended") from None
    except (ValueError, TypeError, KeyError) as error:
        raise _refused(folder, f"{MANIFEST} cannot be read: {error!r}") from error


def _mismatches(folder: Path, listed: Mapping[str, int]) -> Iterator[str]:
    for path, size in listed.items():
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            yield f"the manifest lists {path!r}, which is outside of the folder"
        elif not (folder / path).is_file():
            yield f"{path} is missing"
        elif (actual := (folder / path).stat().st_size) != size:
            yield f"{path} has {actual} bytes, the manifest says {size}"
    for file in sorted(folder.glob("*.safetensors")):
        if file.name not in listed:
            yield f"{file.name} is not in the manifest"
    if "config.json" not in listed:
        yield "config.json is not in the manifest"
