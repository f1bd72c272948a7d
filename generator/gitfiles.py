"""Files as they are at a revision, read from Git's objects: no checkout, no filter, no attribute has a say."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast

from generator.errors import UserError

_HINT = "check --revision, and run it in the repository"
_NO_GIT = "install git"


class Spot(NamedTuple):
    """A path inside a repository; `path` is relative to `top`, with slashes."""

    top: Path
    path: str


def read(revision: str, path: Path) -> bytes | None:
    """A file; None where `revision` has none. Raises UserError where there is no such revision, or no repository."""
    at = spot(path)
    files = [blob for name, blob in _listed(revision, at) if name == at.path]
    return next(contents(at.top, files), None)


def below(revision: str, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below `folder` by its path in there, sorted; none where `revision` has no such folder."""
    at = spot(folder)
    start = "" if at.path == "." else f"{at.path}/"
    found = [(name.removeprefix(start), blob) for name, blob in _listed(revision, at) if name.startswith(start)]
    return zip((name for name, _ in found), contents(at.top, [blob for _, blob in found]), strict=True)


def spot(path: Path, hint: str = _HINT) -> Spot:
    """Where `path`, which need not be there now, lies in its repository. Raises UserError where there is none."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - a link at the end is what Git holds, and stays
    around = next(folder for folder in (whole, *whole.parents) if folder.is_dir() and not folder.is_symlink())
    top = Path(os.fsdecode(git(around, "rev-parse", "--show-toplevel", hint=hint)).removesuffix("\n"))
    inside = PurePosixPath(around.resolve() / whole.relative_to(around)).relative_to(top)
    return Spot(top, str(inside))


def _listed(revision: str, at: Spot) -> list[tuple[str, str]]:
    """Path and object of every file at or below the spot; links and submodules are left out."""
    commit = git(at.top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    paths = () if at.path == "." else (at.path,)
    tree = git(at.top, "ls-tree", "-r", "-z", "--full-tree", commit.decode().strip(), "--", *paths)
    rows = (row.partition("\t") for row in os.fsdecode(tree).split("\0") if row)
    facts = ((*row.split(" "), name) for row, _, name in rows)
    return [(name, blob) for mode, _, blob, name in facts if mode.startswith("100")]


def contents(top: Path, blobs: Iterable[str]) -> Iterator[bytes]:
    """The bytes of each object, one at a time, from one `git cat-file --batch`. Raises UserError for one that lacks.

    An answer is `<id> blob <size>`, the bytes, a line end; Git answers each line before it reads the next.
    """
    command = ["git", "-C", str(top), "cat-file", "--batch"]
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
    except OSError as error:
        raise UserError.of(f"git cannot be run: {error.strerror}", hint=_NO_GIT) from error
    with process:
        asked, answers = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
        for blob in blobs:
            asked.write(f"{blob}\n".encode())
            asked.flush()
            facts = answers.readline().split()
            if len(facts) != 3:
                raise UserError.of(f"Git lacks the object {blob}", hint="run `git fsck`, or clone the repository again")
            size = int(facts[2])
            yield answers.read(size + 1)[:size]


def git(folder: Path, *arguments: str, asked: bytes = b"", hint: str = _HINT) -> bytes:
    """What a command of Git says. Raises UserError with `hint` where it fails."""
    try:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, input=asked, capture_output=True, check=True)  # noqa: S603
    except OSError as error:
        raise UserError.of(f"git cannot be run: {error.strerror}", hint=_NO_GIT) from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip() or f"there is no {arguments[-1].removesuffix('^{commit}')}"
        raise UserError.of(f"cannot read Git: {said}", hint=hint) from error
    return done.stdout
