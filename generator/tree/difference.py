"""How a folder differs from what a render makes. Reads only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from generator.errors import UserError
from generator.tree.files import MANIFEST, Tree, parents
from generator.tree.folders import WORK, Cursor, digest_unless_equal, naming, open_root, os_errors_reported, walk
from generator.tree.ownership import Ownership, ownership, read_manifest

JOURNAL = "journal.json"


@dataclass(frozen=True, slots=True)
class Difference:
    """Sorted paths, each in one class only; the manifest counts as a file like any other.

    added      we make it and it is not there
    changed    ours as we left it, and we now make something else
    removed    ours as we left it, and we make it no longer
    edited     ours, but somebody changed it to what we neither wrote nor make
    foreign    not ours, and in the place where we make a file or a folder
    untracked  not ours, and not in the way
    unchanged  there exactly as we make it, whoever wrote it
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()

    @property
    def drift(self) -> bool:
        """Whether the folder is anything but exactly what the render makes."""
        return any(getattr(self, field.name) for field in fields(self) if field.name != "unchanged")


@dataclass(frozen=True, slots=True)
class Survey:
    """A difference, and whose the files were when it was taken."""

    difference: Difference
    owned: Ownership


def compare(out: Path, tree: Tree) -> Difference:
    """How the folder `out` differs from `tree`; a missing folder lacks everything.

    Raises UserError when a render runs or was interrupted there, when the manifest is unreadable, or with the
    reason of the operating system.
    """
    with os_errors_reported(out), contextlib.ExitStack() as stack:
        root = open_root(out)
        if root is None:
            return Difference(added=tuple(sorted((*tree.files, MANIFEST))))
        stack.callback(os.close, root)
        _refuse_pending(root, out)
        survey = look(root, tree, out)
        _refuse_pending(root, out)
        if read_manifest(root) != survey.owned.manifest:
            message = "a render changed this tree during the comparison"
            raise UserError.of(message, file=str(out), hint="run again")
        return survey.difference


def _refuse_pending(root: int, out: Path) -> None:
    path = f"{WORK}/{JOURNAL}"
    with contextlib.suppress(FileNotFoundError), Cursor(root) as cursor:
        folder, name = cursor.parent(path)
        os.stat(name, dir_fd=folder, follow_symlinks=False)
        raise UserError.of(
            "a render is running, or was interrupted: some files are of the old result and some of the new",
            file=str(out / path),
            hint="run `modelyard render`: it first completes what was begun",
        )


def look(root: int, tree: Tree, out: Path) -> Survey:
    """Compare the open folder `root`; `out` is for messages. The caller knows that there is no journal."""
    owned = ownership(root, str(out / MANIFEST))
    found, folders = _classify_present(root, tree, owned.digests)
    removed = [path for path, kind in found.items() if kind == "removed"]
    for path in tree.files.keys() - found.keys():
        blocked = path in folders and not _vanishes(path, folders, found, removed)
        found[path] = "foreign" if blocked else "added"
    found[MANIFEST] = _classify_manifest(tree, owned)
    return Survey(_difference(found), owned)


def emptied(removed: Iterable[str], kept: Iterable[str]) -> frozenset[str]:
    """The folders above `removed` files that hold none of the `kept` ones."""
    above = {folder for path in removed for folder in parents(path)}
    return frozenset(above - {folder for path in kept for folder in parents(path)})


def _classify_present(root: int, tree: Tree, recorded: Mapping[str, str]) -> tuple[dict[str, str], set[str]]:
    """(class of everything there that is no folder, the folders)."""
    needed = {folder for path in tree.files for folder in parents(path)}
    found: dict[str, str] = {}
    folders: set[str] = set()
    with contextlib.closing(walk(root)) as entries:
        for path, folder, entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.add(path)
            elif path in tree.files or path in recorded:
                found[path] = _classify(path, folder, entry, tree, recorded)
            elif path != MANIFEST:
                found[path] = "foreign" if path in needed else "untracked"
    return found, folders


def _classify(path: str, folder: int, entry: os.DirEntry[str], tree: Tree, recorded: Mapping[str, str]) -> str:
    content, record = tree.files.get(path), recorded.get(path)
    if not entry.is_file(follow_symlinks=False):
        return "foreign" if record is None else "edited"
    with naming(path):
        digest = digest_unless_equal(folder, entry.name, content)
    if not digest:
        return "unchanged"
    if record is None:
        return "foreign"
    if digest != record:
        return "edited"
    return "removed" if content is None else "changed"


def _vanishes(folder: str, folders: set[str], found: Mapping[str, str], removed: Iterable[str]) -> bool:
    """Whether taking away the `removed` files leaves nothing of `folder`: then a file can have its name."""
    going = emptied(removed, ())
    inside = f"{folder}/"
    return all(path in going for path in folders if path == folder or path.startswith(inside)) and all(
        kind == "removed" for path, kind in found.items() if path.startswith(inside)
    )


def _classify_manifest(tree: Tree, owned: Ownership) -> str:
    if owned.manifest is None:
        return "added"
    return "unchanged" if owned.manifest == tree.manifest else "changed"


def _difference(found: Mapping[str, str]) -> Difference:
    classes: dict[str, list[str]] = {field.name: [] for field in fields(Difference)}
    for path, kind in sorted(found.items()):
        classes[kind].append(_printable(path))
    return Difference(**{kind: tuple(paths) for kind, paths in classes.items()})


def _printable(path: str) -> str:
    """A name of somebody else may hold bytes that are no UTF-8; ours never do."""
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")
