"""The journal: what a write is about to do, so that another process can finish it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from generator.errors import UserError
from generator.tree.difference import Difference, emptied
from generator.tree.files import MANIFEST, Tree, refusal
from generator.tree.ownership import Ownership

VERSION = 1


@dataclass(frozen=True, slots=True)
class Change:
    """One path: sha256 of what we left there (None: nothing) and of what comes there (None: nothing)."""

    path: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Journal:
    """`changes` in the order of their staged names, the manifest's last; `folders` to drop, innermost first.

    `manifests` are the sha256 of the manifest before (None: there was none) and after the write.
    """

    changes: tuple[Change, ...]
    folders: tuple[str, ...]
    manifests: tuple[str | None, str]


def plan(tree: Tree, difference: Difference, owned: Ownership, manifest: str) -> Journal:
    """What leads from `difference` to `tree`, whose manifest has the sha256 `manifest`."""
    old: Mapping[str, str | None] = {**owned.digests, MANIFEST: owned.digest}
    new = {**tree.digests, MANIFEST: manifest}
    changes = [
        *(Change(path, None, new[path]) for path in difference.added),
        *(Change(path, old[path], new[path]) for path in difference.changed),
        *(Change(path, old[path], None) for path in difference.removed),
    ]
    changes.sort(key=lambda change: (change.path == MANIFEST, change.path))
    folders = sorted(emptied(difference.removed, tree.files), reverse=True)
    return Journal(tuple(changes), tuple(folders), (owned.digest, manifest))


def dump(journal: Journal) -> bytes:
    """The bytes that `load` reads."""
    document = {
        "version": VERSION,
        "changes": [[change.path, change.old, change.new] for change in journal.changes],
        "folders": journal.folders,
        "manifests": journal.manifests,
    }
    return json.dumps(document).encode()


def load(text: bytes, shown: str) -> Journal:
    """Read a journal. Raises UserError, for the file `shown`, when it is not one that we wrote."""
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            raise ValueError("version")
        changes = tuple(Change(_path(path), _sha(old), _sha(new)) for path, old, new in document["changes"])
        folders = tuple(_path(folder) for folder in document["folders"])
        before, after = document["manifests"]
        return Journal(changes, folders, (_sha(before), str(after)))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError.of(
            "this journal of an interrupted render cannot be read",
            file=shown,
            hint="delete the folder it is in, restore the tree with `git checkout -- .`, and render again",
        ) from error


def _path(path: object) -> str:
    """The journal is in a folder that anybody may write to: no path of it may lead out of the tree."""
    if not isinstance(path, str) or (path != MANIFEST and refusal(path)):
        raise ValueError("path")
    return path


def _sha(digest: object) -> str | None:
    if digest is not None and not isinstance(digest, str):
        raise ValueError("digest")
    return digest
