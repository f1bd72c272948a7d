"""Files as they are at a revision, read from Git's objects: no checkout, no filter, no attribute has a say."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from generator.errors import UserError


class _Spot(NamedTuple):
    """A path inside a repository."""

    top: Path
    path: str


def read(revision: str, path: Path) -> bytes | None:
    """A file; None where `revision` has none. Raises UserError where there is no such revision, or no repository."""
    spot = _spot(path)
    files = [blob for name, blob in _listed(revision, spot) if name == spot.path]
    return next(_contents(spot.top, files), None)


def below(revision: str, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below `folder` by its path in there, sorted; none where `revision` has no such folder."""
    spot = _spot(folder)
    start = "" if spot.path == "." else f"{spot.path}/"
    found = [(name.removeprefix(start), blob) for name, blob in _listed(revision, spot) if name.startswith(start)]
    return zip((name for name, _ in found), _contents(spot.top, [blob for _, blob in found]), strict=True)


def _spot(path: Path) -> _Spot:
    """Where `path`, which need not be there now, lies in its repository."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - a link at the end is what Git holds, and stays
    around = next(folder for folder in (whole, *whole.parents) if folder.is_dir() and not folder.is_symlink())
    top = Path(os.fsdecode(_git(around, "rev-parse", "--show-toplevel")).removesuffix("\n"))
    inside = PurePosixPath(around.resolve() / whole.relative_to(around)).relative_to(top)
    return _Spot(top, str(inside))


def _listed(revision: str, spot: _Spot) -> list[tuple[str, str]]:
    """Path and object of every file at or below the spot; links and submodules are left out."""
    commit = _git(spot.top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    at = () if spot.path == "." else (spot.path,)
    tree = _git(spot.top, "ls-tree", "-r", "-z", "--full-tree", commit.decode().strip(), "--", *at)
    rows = (row.partition("\t") for row in os.fsdecode(tree).split("\0") if row)
    facts = ((*row.split(" "), name) for row, _, name in rows)
    return [(name, blob) for mode, _, blob, name in facts if mode.startswith("100")]


def _contents(top: Path, blobs: list[str]) -> Iterator[bytes]:
    """Each object of `git cat-file --batch`: `<id> blob <size>`, the bytes, a line end."""
    answer = _git(top, "cat-file", "--batch", asked="".join(f"{blob}\n" for blob in blobs)) if blobs else b""
    at = 0
    while at < len(answer):
        end = answer.index(b"\n", at)
        size = int(answer[at:end].rsplit(b" ", 1)[1])
        yield answer[end + 1 : end + 1 + size]
        at = end + size + 2


def _git(folder: Path, *arguments: str, asked: str = "") -> bytes:
    try:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, input=asked.encode(), capture_output=True, check=True)  # noqa: S603
    except OSError as error:
        raise UserError.of(f"git cannot be run: {error.strerror}", hint="install git") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip() or f"there is no {arguments[-1].removesuffix('^{commit}')}"
        raise UserError.of(f"cannot read Git: {said}", hint="check --revision, and run it in the repository") from error
    return done.stdout
