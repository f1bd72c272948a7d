"""`versions`: the revisions of models, in the history of the lock or in a bucket or volume."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from generator import compile, lock, naming, quantities, report
from generator.errors import Diagnostic, ExitCode, Severity, UserError
from generator.gc import references
from generator.gc.prefixes import Item
from generator.suggest import suggest
from generator.versions import copies, history, stores
from generator.versions.copies import Copy
from generator.versions.history import Revision

HISTORY = "Git history"


def list_versions(
    catalogue: Path,
    names: Sequence[str],
    *,
    bucket: str | None,
    volume: Path | None,
    endpoint_url: str | None,
    output: str,
) -> ExitCode:
    """List what Git has locked; with `bucket` or `volume`, what is staged there."""
    if bucket is not None and volume is not None:
        raise UserError.of("--bucket and --volume exclude each other", hint="ask for one, then for the other")
    if bucket is None and volume is None:
        return _from_git(catalogue, names, output)
    part = stores.bucket_part(bucket) if bucket is not None else None
    items = stores.in_bucket(part, endpoint_url) if part else stores.on_volume(volume or Path())
    return _from_store(catalogue, names, str(part or volume), items, output)


def _from_git(catalogue: Path, names: Sequence[str], output: str) -> ExitCode:
    path = catalogue.with_name(lock.FILE)
    found = history.read(path, compile.read_lock(catalogue).models, names)
    _refuse_unknown(names, found.revisions, lambda: history.read(path, {}).revisions)
    if output == "json":
        models = {name: [_revision_data(row) for row in rows] for name, rows in found.revisions.items()}
        facts = {"event": "versions", "from": "git", "shallow": found.shallow, "commits": found.changes}
        report.line(json.dumps(facts | {"models": models, "diagnostics": report.as_data(found.notes)}))
        return ExitCode.OK
    report.diagnostics(found.notes, output=output)
    rows = [_revision_row(row) for rows in found.revisions.values() for row in rows]
    if rows:
        report.table(("model", "revision", "locked (UTC)", "by", "size", "files", ""), rows)
    report.line(f"{path}: {len(rows)} revisions of {len(found.revisions)} models, {found.changes} commits of Git")
    return ExitCode.OK


def _revision_row(row: Revision) -> tuple[str, ...]:
    entry, since = row.newest, row.since
    size = "" if entry.size is None else quantities.human(entry.size)
    files = "" if entry.files is None else str(len(entry.files))
    when, by = (_minute(since.date), since.short) if since else ("", "")
    return (row.model, naming.short_commit(row.commit), when, by, size, files, ", ".join(_remarks(row)))


def _remarks(row: Revision) -> Iterator[str]:
    if row.served:
        yield "served"
    if row.since is None:
        yield "not committed"
    elif not row.landed:
        yield "only on a branch that was merged"


def _revision_data(row: Revision) -> dict[str, Any]:
    entry, since = row.newest, row.since
    source = {"huggingface": entry.source.repo, "revision": entry.source.revision}
    return {
        "commit": row.commit,
        "key": naming.model_key(row.model, row.commit),
        "served": row.served,
        "source": source | {"allow": entry.source.allow, "ignore": entry.source.ignore},
        "size": entry.size,
        "files": None if entry.files is None else len(entry.files),
        "git": since and {"commit": since.commit, "date": since.date.isoformat(), "landed": since.landed},
    }


def _from_store(catalogue: Path, names: Sequence[str], store: str, items: Iterable[Item], output: str) -> ExitCode:
    places, served, notes = _references(catalogue)
    rows = copies.copies(items, served, places)
    known = {row.model for row in rows} | {key.split("/")[1] for key in served}
    _refuse_unknown(names, known, lambda: known)
    rows = [row for row in rows if not names or row.model in names]
    here = {row.key for row in rows}
    absent = [key for key in sorted(served - here) if not names or key.split("/")[1] in names]
    if output == "json":
        facts = {"event": "versions", "from": store, "copies": [_copy_data(row) for row in rows], "absent": absent}
        report.line(json.dumps(facts | {"diagnostics": report.as_data(notes)}))
        return ExitCode.OK
    report.diagnostics(notes, output=output)
    if rows:
        head = ("model", "revision", "staged (UTC)", "files", "size", "state", "referred to by", "")
        report.table(head, [_copy_row(row) for row in rows])
    loose = [row for row in rows if not row.places]
    size = quantities.human(sum(row.size for row in loose))
    report.line(f"{store}: {len(rows)} revisions, {len(loose)} of them ({size}) in nothing of Git")
    for key in absent:
        report.line(f"{store}: {key} is served and is not here")
    return ExitCode.OK


def _references(catalogue: Path) -> tuple[dict[str, frozenset[str]], frozenset[str], list[Diagnostic]]:
    """Keys by the place that names them, those served now, and what to know. Without Git, the working tree alone."""
    places = references.gather([catalogue], [], [], allow_empty=True)
    served = places[str(catalogue)]
    try:
        found = history.read(catalogue.with_name(lock.FILE), {})
    except UserError as error:
        message = f"no history to compare with: {error}"
        return places, served, [Diagnostic(message, str(catalogue), severity=Severity.WARNING)]
    keys = frozenset(naming.model_key(model, commit) for model, commit in found.named())
    return {**places, HISTORY: keys}, served, list(found.notes)


def _copy_row(row: Copy) -> tuple[str, ...]:
    staged = _minute(row.staged) if row.staged else ""
    size, places = quantities.human(row.size), ", ".join(row.places) or "nothing"
    served = "served" if row.served else ""
    return (row.model, row.revision, staged, str(row.files), size, row.state, places, served)


def _copy_data(row: Copy) -> dict[str, Any]:
    dates = {"staged": row.staged and row.staged.isoformat(), "newest": row.newest.isoformat()}
    return asdict(row) | dates


def _minute(date: datetime) -> str:
    return f"{date.astimezone(UTC):%Y-%m-%d %H:%M}"


def _refuse_unknown(names: Sequence[str], known: Collection[str], every: Callable[[], Iterable[str]]) -> None:
    """Raises UserError for names that nothing has; `every` gives the names to suggest."""
    if missing := [name for name in names if name not in known]:
        candidates = sorted(every())
        raise UserError(Diagnostic(f"no revision of `{name}`", hint=suggest(name, candidates)) for name in missing)
