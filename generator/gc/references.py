"""What catalogues and rendered trees refer to, in the working tree and at revisions of Git, without a checkout.

Where it cannot be told what a place refers to, that is a fault: nothing is taken for unreferenced by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from generator import checks, gitfiles, lock, naming, yamlio
from generator.errors import UserError
from generator.gc.prefixes import named_in
from generator.load import load
from generator.lock import Lock
from generator.spec import Spec

# Values with which a chart is tried out; the models in them are made up.
_EXAMPLE = re.compile("(.*/)?charts/[^/]+/ci/")


class Place(Protocol):
    """Where files are read: the working tree, or a commit."""

    @property
    def suffix(self) -> str:
        """What follows a path in messages: ` at v1.0`."""

    def read(self, path: Path) -> bytes | None:
        """A file; None where there is none."""

    def below(self, folder: Path) -> Iterator[tuple[str, bytes]]:
        """Every file of a folder by its path in there; none where there is no such folder."""


@dataclass(frozen=True, slots=True)
class WorkingTree:
    """Files as they are now."""

    suffix: str = ""

    def read(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UserError.of(f"cannot read: {error.strerror}", file=str(path)) from error

    def below(self, folder: Path) -> Iterator[tuple[str, bytes]]:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield path.relative_to(folder).as_posix(), self.read(path) or b""


@dataclass(frozen=True, slots=True)
class Revision:
    """Files as they were at a commit, a tag or a branch."""

    name: str

    @property
    def suffix(self) -> str:
        return f" at {self.name}"

    def read(self, path: Path) -> bytes | None:
        return gitfiles.read(self.name, path)

    def below(self, folder: Path) -> Iterator[tuple[str, bytes]]:
        return gitfiles.below(self.name, folder)


def gather(
    catalogues: Sequence[Path], trees: Sequence[Path], revisions: Iterable[str], *, allow_empty: bool = False
) -> dict[str, frozenset[str]]:
    """Keys by the place that names them. Without `trees`, those where each catalogue renders to, if they are there.

    Raises UserError where a place cannot be read, and where one names nothing unless `allow_empty`: that would be
    the wrong directory. A tree may be absent from a revision that is older than it.
    """
    for tree in trees:
        if not tree.is_dir():
            raise UserError.of("there is no such folder", file=str(tree), hint="name a rendered tree with --rendered")
    found: dict[str, frozenset[str]] = {}
    places: tuple[Place, ...] = (WorkingTree(), *map(Revision, revisions))
    for place in places:
        for catalogue in catalogues:
            spec, keys = _catalogue(place, catalogue)
            found[f"{catalogue}{place.suffix}"] = keys
            if not trees:
                found |= _tree(place, catalogue.parent / spec.platform.repository.path)
        for tree in trees:
            found |= _tree(place, tree)
    empty = [name for name, keys in found.items() if not keys]
    if empty and not allow_empty:
        raise UserError.of("refers to no model", file=empty[0], hint="is it the right one? else add --allow-empty")
    return found


def _tree(place: Place, folder: Path) -> dict[str, frozenset[str]]:
    files = [content for name, content in place.below(folder) if not _EXAMPLE.match(name)]
    keys = frozenset(key for content in files for key in named_in(content.decode("utf-8", "replace")))
    return {f"{folder}{place.suffix}": keys} if files else {}


def _catalogue(place: Place, path: Path) -> tuple[Spec, frozenset[str]]:
    """The catalogue and its models' keys. A stale entry of the lock counts too, as it may be what is staged."""
    name = f"{path}{place.suffix}"
    content = place.read(path)
    if content is None:
        raise UserError.of("there is no such catalogue", file=name, hint="name it with --file")
    loaded = load(yamlio.load(content, name))
    if loaded.spec is None:
        raise UserError(loaded.diagnostics)
    beside = path.with_name(lock.FILE)
    text = place.read(beside)
    locked = Lock() if text is None else lock.read(text, f"{beside}{place.suffix}")
    return loaded.spec, frozenset(_keys(loaded.spec, locked, name))


def _keys(spec: Spec, locked: Lock, name: str) -> Iterator[str]:
    for model in spec.models:
        entry = locked.models.get(model.name)
        commits = {entry.commit} if entry else set()
        if checks.is_commit(model.source.revision):
            commits.add(model.source.revision)
        if not commits:
            message = f"model `{model.name}` is not locked: nobody can tell which copy it refers to"
            raise UserError.of(message, file=name, hint=f"run `modelyard lock {model.name}`")
        yield from (naming.model_key(model.name, commit) for commit in commits)
