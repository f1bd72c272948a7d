"""The renames between the commit point and the end of a write, and the way back."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from generator.tree.folders import BLOCKED, Cursor, digest, names, naming
from generator.tree.journal import Journal
from generator.tree.lock import Site

_NOT_EMPTY = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR})


@dataclass(frozen=True, slots=True)
class Move:
    """A step begun: `path` goes to (`aside`) or comes from the name `staged`; no name: a folder is made."""

    path: str
    staged: str = ""
    aside: bool = False


def apply(site: Site, journal: Journal, numbers: Sequence[int], moves: list[Move]) -> tuple[str, ...]:
    """Do what is open of a journal, and add each step to `moves` as it is begun. Gives the paths left alone.

    `numbers` are the indexes of the changes that are still to do. A path is left alone when it holds neither
    what we left there nor what comes there. Doing a change twice, or after a death halfway through it, is
    harmless.
    """
    left = set(_retire(site, journal, numbers, moves))
    _drop_folders(site, journal.folders)
    left.update(_place(site, journal, numbers, moves))
    return tuple(sorted(left))


def _retire(site: Site, journal: Journal, numbers: Sequence[int], moves: list[Move]) -> Iterator[str]:
    """Move the old files aside; gives the paths that hold something else."""
    with Cursor(site.root) as cursor:
        for number in numbers:
            change = journal.changes[number]
            if change.old is None:
                continue
            with naming(change.path), contextlib.suppress(FileNotFoundError, NotADirectoryError):
                folder, name = cursor.parent(change.path)
                found = digest(folder, name)
                if found == change.old:
                    moves.append(Move(change.path, f"{number}.old", aside=True))
                    os.rename(name, f"{number}.old", src_dir_fd=folder, dst_dir_fd=site.work)
                elif found is not None and found != change.new:
                    yield change.path


def _drop_folders(site: Site, folders: Iterable[str]) -> None:
    """Remove the folders that are empty now; one that holds somebody's file stays."""
    with Cursor(site.root) as cursor:
        for path in folders:
            try:
                folder, name = cursor.parent(path)
                os.rmdir(name, dir_fd=folder)
            except OSError as error:
                if error.errno not in _NOT_EMPTY:
                    error.filename = path
                    raise


def _place(site: Site, journal: Journal, numbers: Sequence[int], moves: list[Move]) -> Iterator[str]:
    """Rename the staged files into place; gives the paths where something else stands."""
    with Cursor(site.root, site.work, lambda path: moves.append(Move(path))) as cursor:
        for number in numbers:
            change = journal.changes[number]
            if change.new is None:
                continue
            with naming(change.path):
                found = _found(cursor, change.path)
                if found is None:
                    folder, name = cursor.parent(change.path)
                    moves.append(Move(change.path, f"{number}.new"))
                    os.rename(f"{number}.new", name, src_dir_fd=site.work, dst_dir_fd=folder)
                elif found != change.new:
                    yield change.path


def _found(cursor: Cursor, path: str) -> str | None:
    """The digest of what is at `path`, "" when a file or a link stands where a folder of it should be."""
    try:
        return digest(*cursor.parent(path))
    except OSError as error:
        if error.errno in BLOCKED:
            return ""
        raise


def undo(site: Site, moves: Sequence[Move]) -> None:
    """Take back the steps, the last one first; one that was begun and not taken is passed over."""
    staged = names(site.work)
    with Cursor(site.root, site.work) as cursor:
        for move in reversed(moves):
            with naming(move.path):
                if not move.staged:
                    _drop_folders(site, [move.path])
                    continue
                if move.aside is not (move.staged in staged):
                    continue
                folder, name = cursor.parent(move.path)
                if move.aside:
                    os.rename(move.staged, name, src_dir_fd=site.work, dst_dir_fd=folder)
                else:
                    os.rename(name, move.staged, src_dir_fd=folder, dst_dir_fd=site.work)
