"""The files of a commit as the Hub lists them: which to stage, and whether they are safe and whole."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from posixpath import dirname, join

from huggingface_hub.hf_api import RepoSibling

from generator import filechoice
from generator.errors import Diagnostic, UserError
from generator.hubread import Place, read_json
from generator.lock import LockedFile, ModelSource

MAX_INDEX = 64 * 2**20  # the index of a model of 100,000 tensors takes about 10 MB


def chosen(source: ModelSource, siblings: Iterable[RepoSibling]) -> tuple[LockedFile, ...]:
    """The files to stage. Raises UserError for an unsafe name anywhere, and where no weights may be taken."""
    by_path = {str(sibling.rfilename): sibling for sibling in siblings}
    paths = filechoice.choose(by_path, source.allow, source.ignore)
    listed = filechoice.without(by_path, source.ignore)
    faults = dict(filechoice.path_faults(paths)) | {p: why for p in listed if (why := filechoice.path_fault(p))}
    if faults:
        raise UserError(_unsafe(source, path, why) for path, why in sorted(faults.items()))
    if not any(map(filechoice.is_weights, paths)):
        raise _no_weights(source, by_path)
    return tuple(_file(source, by_path[path]) for path in paths)


def _unsafe(source: ModelSource, path: str, why: str) -> Diagnostic:
    hint = "do not use this repository; a harmless name can be left out with source.ignore"
    return Diagnostic(f"{source.repo} has a file {path!r}, which {why}", hint=hint)


def _no_weights(source: ModelSource, paths: Iterable[str]) -> UserError:
    others = sorted(path for path in paths if filechoice.is_weights(path))
    if not others:
        return UserError.of(f"{source.repo} has no weights", hint="name a repository that holds a model")
    suffixes = sorted({os.path.splitext(path)[1] for path in others})  # noqa: PTH122 - a name on the Hub
    some = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    patterns = ", ".join(f"'*{suffix}'" for suffix in suffixes)
    return UserError.of(
        f"{source.repo} has no safetensors that is taken, only {some}",
        hint=f"choose a revision with safetensors; or, where you trust the file, source.allow: [{patterns}]",
    )


def _file(source: ModelSource, sibling: RepoSibling) -> LockedFile:
    """Size and digest as the Hub states them: sha256 of large files, the git blob id of others."""
    lfs = sibling.lfs
    size = lfs.size if lfs else sibling.size
    digest = f"sha256:{lfs.sha256}" if lfs else f"git:{sibling.blob_id}"
    if type(size) is not int or size < 0 or not re.fullmatch("sha256:[0-9a-f]{64}|git:[0-9a-f]{40}", digest):
        raise UserError.of(
            f"the Hub states no size and digest of {source.repo}/{sibling.rfilename}",
            hint="check HF_ENDPOINT",
        )
    return LockedFile(sibling.rfilename, size, digest)


def check_indexes(place: Place, files: Sequence[LockedFile]) -> None:
    """Every part that an index names must be staged: a name from outside would be a way out of the folder."""
    staged = {file.path for file in files}
    for index in (path for path in staged if path.endswith(".safetensors.index.json")):
        parts = read_json(place, index, MAX_INDEX).get("weight_map")
        named = set(parts.values()) if isinstance(parts, dict) and all(map(_is_text, parts.values())) else {None}
        lost = sorted(str(part) for part in named if part is None or join(dirname(index), part) not in staged)
        if lost:
            raise UserError.of(
                f"{place.source.repo}/{index} names `{lost[0]}`, which is not among the files to stage",
                hint="check source.allow and source.ignore, or choose another revision",
            )


def _is_text(value: object) -> bool:
    return isinstance(value, str)
