"""`rollback`: serve an earlier revision of a model again, by its entry of models.lock.yaml in the history of Git."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from generator import compile, gitfiles, lock, naming, report
from generator.errors import Diagnostic, ExitCode, UserError
from generator.files import replace_file
from generator.load import load
from generator.lock import LockedModel
from generator.versions import back, history, locktext
from generator.versions.back import Wanted
from generator.versions.history import History, Revision


def roll_back(catalogue: Path, name: str, revision: str | None, *, dry_run: bool, output: str) -> ExitCode:
    """Write the earlier entry of one model into the lock; the rest stays byte for byte.

    Raises UserError where there is no such revision, or where models.yaml asks for something else by now.
    """
    document = compile.read_catalogue(catalogue)
    loaded = load(document)
    if loaded.spec is None:
        raise UserError(loaded.diagnostics)
    wanted = back.wanted(document, loaded.spec, name)
    path = catalogue.with_name(lock.FILE)
    before = path.read_bytes() if path.is_file() else b""
    now: Mapping[str, LockedModel] = lock.read(before, str(path)).models if before else {}
    found = history.read(path, now, [name])
    row, entry = _target(found, wanted, revision, str(path))
    after = locktext.with_entry(before.decode(), name, entry, str(path)).encode()
    kept = None
    if after != before and not dry_run:
        kept = _kept(found, path, before)
        replace_file(path, after)
    show = _show_json if output == "json" else _show
    show(path, row, now.get(name), entry, found.notes, kept=kept, changed=after != before, dry_run=dry_run)
    return ExitCode.OK


def _target(found: History, wanted: Wanted, revision: str | None, file: str) -> tuple[Revision, LockedModel]:
    """The revision and its entry; a fault of a clone that ends somewhere says so."""
    name = wanted.model.name
    try:
        row = back.choose(found.revisions.get(name, ()), revision, name, file)
    except UserError as error:
        raise UserError((*error.diagnostics, *found.notes)) from error
    return row, back.entry_for(row, wanted)


def _kept(found: History, path: Path, before: bytes) -> str | None:
    """The blob that now holds the lock as it was, where no commit has it; None where HEAD has these bytes."""
    if before and gitfiles.read("HEAD", path) != before:
        return gitfiles.git(found.top, "hash-object", "-w", "--stdin", asked=before).decode().strip()
    return None


def _show(
    path: Path,
    row: Revision,
    old: LockedModel | None,
    new: LockedModel,
    notes: tuple[Diagnostic, ...],
    *,
    kept: str | None,
    changed: bool,
    dry_run: bool,
) -> None:
    report.diagnostics(notes, output="text")
    name, short = row.model, naming.short_commit(new.commit)
    if not changed:
        report.line(f"{path}: {name} is at {short} already")
        return
    since = f", locked {row.since.date:%Y-%m-%d} by {row.since.short}" if row.since else ""
    verb = "would go" if dry_run else "goes"
    origin = naming.short_commit(old.commit) if old else "nothing"
    report.line(f"{path}: {name} {verb} from {origin} to {short} ({back.what(new)}{since})")
    if kept:
        report.line(f"{path}: what was there is in no commit; it is kept: git cat-file blob {kept}")
    if not dry_run:
        report.line(f"next: `modelyard render`, then commit; served again: {naming.model_key(name, new.commit)}")
        report.line(f"forward again: `modelyard lock --upgrade {name}`")


def _show_json(
    path: Path,
    row: Revision,
    old: LockedModel | None,
    new: LockedModel,
    notes: tuple[Diagnostic, ...],
    *,
    kept: str | None,
    changed: bool,
    dry_run: bool,
) -> None:
    data = {
        "event": "unchanged" if not changed else "would roll back" if dry_run else "rolled back",
        "lock": str(path),
        "model": row.model,
        "from": old and old.commit,
        "to": new.commit,
        "key": naming.model_key(row.model, new.commit),
        "size": new.size,
        "git": row.since and row.since.commit,
        "kept": kept,
    }
    report.line(json.dumps(data | {"diagnostics": report.as_data(notes)}))
