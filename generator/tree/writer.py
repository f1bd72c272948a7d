"""Makes a folder what a render makes: all of it or nothing. The package's docstring tells the protocol."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from generator.errors import Diagnostic, UserError
from generator.tree import journal as journals
from generator.tree.apply import Move, apply, undo
from generator.tree.difference import JOURNAL, Difference, look
from generator.tree.files import MANIFEST, Tree
from generator.tree.folders import WORK, create, names, naming, os_fault, read
from generator.tree.journal import Journal
from generator.tree.lock import IGNORE, LOCK, Site, locked
from generator.tree.ownership import read_manifest

JOURNAL_PATH = f"{WORK}/{JOURNAL}"
JOURNAL_DRAFT = "journal.draft"
WAIT = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Report:
    """Sorted paths by what became of them.

    `recovered`: an interrupted render was completed first. `left`: what that one should have written or
    removed, and did not because somebody had changed it since.
    """

    written: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    recovered: bool = False
    left: tuple[str, ...] = ()


def write(out: Path, tree: Tree, *, wait: float = WAIT) -> Report:
    """Make the folder `out` hold `tree` and whatever is not ours; wait up to `wait` seconds for another
    render.

    Raises UserError when edited or foreign files are in the way (all of them named), when another render does
    not end in time, or with the reason of the operating system. Nothing is then changed, unless the hint or
    the message says so.
    """
    with locked(out, wait) as site:
        recovered, left = _recover(site)
        try:
            survey = look(site.root, tree, out)
            difference = survey.difference
            _refuse_conflicts(out, tree, difference)
            manifest = hashlib.sha256(tree.manifest).hexdigest()
            planned = journals.plan(tree, difference, survey.owned, manifest)
            if planned.changes:
                _stage(site, tree, planned)
                _commit(site, planned)
        finally:
            _clear(site.work)
        return Report(
            tuple(sorted(difference.added + difference.changed)),
            difference.removed,
            difference.unchanged,
            recovered,
            left,
        )


def _refuse_conflicts(out: Path, tree: Tree, difference: Difference) -> None:
    conflicts = [
        *(_edited(out, path, made=path in tree.files) for path in difference.edited),
        *(_foreign(out, path) for path in difference.foreign),
    ]
    if conflicts:
        raise UserError(sorted(conflicts, key=Diagnostic.sort_key))


def _edited(out: Path, path: str, *, made: bool) -> Diagnostic:
    file = str(out / path)
    quoted = shlex.quote(file)
    drop = f"`git checkout HEAD -- {quoted}` drops the edit" if made else f"`git rm -f {quoted}` deletes it"
    return Diagnostic(
        "edited since modelyard wrote it" + ("" if made else ", and no longer part of the output"),
        file=file,
        hint=f"put the change into models.yaml, or move the file away; {drop}; then run render again",
    )


def _foreign(out: Path, path: str) -> Diagnostic:
    file = str(out / path)
    return Diagnostic(
        "in the way: modelyard writes here, and did not make what is there now",
        file=file,
        hint=f"move it away, or delete it (`git rm -rf {shlex.quote(file)}`), and run render again",
    )


def _stage(site: Site, tree: Tree, journal: Journal) -> None:
    for number, change in enumerate(journal.changes):
        if change.new is None:
            continue
        content = tree.manifest if change.path == MANIFEST else tree.files[change.path]
        with naming(change.path):
            create(site.work, f"{number}.new", content)
    with naming(JOURNAL_PATH):
        create(site.work, JOURNAL_DRAFT, journals.dump(journal))


def _commit(site: Site, journal: Journal) -> None:
    """From here on the new tree wins: whatever happens, somebody completes it or we put everything back."""
    moves: list[Move] = []
    try:
        with naming(JOURNAL_PATH):
            os.rename(JOURNAL_DRAFT, JOURNAL, src_dir_fd=site.work, dst_dir_fd=site.work)
        left = apply(site, journal, range(len(journal.changes)), moves)
        with naming(JOURNAL_PATH):
            os.unlink(JOURNAL, dir_fd=site.work)
    except BaseException as error:
        if not _undone(site, moves) and isinstance(error, OSError):
            hint = "the tree is half written: mend this and run render again, it completes what was begun"
            raise os_fault(site.out, error, hint) from error
        raise
    if left:
        raise UserError(_left(site.out, path) for path in left)


def _left(out: Path, path: str) -> Diagnostic:
    return Diagnostic(
        "changed by somebody else while the render ran; left as it is, everything else is written",
        file=str(out / path),
        hint="put the change into models.yaml, or move the file away, and run render again",
    )


def _undone(site: Site, moves: Sequence[Move]) -> bool:
    """Whether the old tree is back and the journal gone."""
    try:
        undo(site, moves)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(JOURNAL, dir_fd=site.work)
    except OSError:
        return False
    return True


def _recover(site: Site) -> tuple[bool, tuple[str, ...]]:
    """Complete what a dead run had committed, or throw away what it had not.

    Gives whether there was something to complete, and the paths that were left alone.

    A file that somebody changed since is left alone. When the manifest is neither the one before nor the one
    after, the tree was replaced meanwhile (another branch, say), and the journal no longer speaks of it.
    """
    try:
        with naming(JOURNAL_PATH):
            text = read(site.work, JOURNAL)
    except FileNotFoundError:
        _clear(site.work)
        return False, ()
    left: tuple[str, ...] = ()
    journal = journals.load(text, str(site.out / JOURNAL_PATH))
    manifest = read_manifest(site.root)
    if manifest is None or hashlib.sha256(manifest).hexdigest() in journal.manifests:
        staged = names(site.work)
        open_changes = (
            number for number, change in enumerate(journal.changes) if change.new is None or f"{number}.new" in staged
        )
        left = apply(site, journal, tuple(open_changes), [])
    with naming(JOURNAL_PATH):
        os.unlink(JOURNAL, dir_fd=site.work)
    _clear(site.work)
    return True, left


def _clear(work: int) -> None:
    """Throw away the staging unless a journal needs it; what cannot be removed goes with the next run."""
    with contextlib.suppress(OSError):
        found = names(work)
        if JOURNAL in found:
            return
        for name in found - {LOCK, IGNORE}:
            _discard(work, name)


def _discard(work: int, name: str) -> None:
    with contextlib.suppress(OSError):
        try:
            os.unlink(name, dir_fd=work)
        except (IsADirectoryError, PermissionError):  # Linux; POSIX and macOS
            os.rmdir(name, dir_fd=work)
