"""`gc`: list what a bucket holds and nothing refers to, and delete it when asked to."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from generator import naming, quantities, report
from generator.errors import Diagnostic, ExitCode, UserError, exit_code
from generator.gc import prefixes, references, removal
from generator.gc.bucket import Bucket
from generator.gc.prefixes import Held, Prefix


def collect(
    bucket: str,
    catalogues: Sequence[Path],
    rendered: Sequence[Path],
    revisions: Sequence[str],
    *,
    older_than: str | None,
    delete: bool,
    allow_empty: bool,
    endpoint_url: str | None,
    output: str,
    now: datetime | None = None,
) -> ExitCode:
    """List the prefixes that nothing refers to; with `delete`, remove those that are as old as `older_than`."""
    limit = prefixes.age(older_than) if older_than else None
    if delete and limit is None:
        raise UserError.of("--delete needs an age", hint="add --older-than, such as --older-than 30d")
    named = references.gather(catalogues, rendered, revisions, allow_empty=allow_empty)
    store, now = Bucket(bucket, endpoint_url), now or datetime.now(UTC)
    top = f"{naming.MODELS_PREFIX}/"
    found = prefixes.held(store.objects(top), store.uploads(top))
    loose = prefixes.unreferenced(found.prefixes, named)
    old = [prefix.key for prefix in loose if limit is not None and prefix.older_than(limit, now)]
    show = _show_json if output == "json" else _show
    show(bucket, found, loose, named, now, old if limit is not None else None)
    if not delete or limit is None:
        return ExitCode.OK
    faults = [fault for key in old for fault in _removed(store, key, limit, now, output)]
    if faults:
        report.diagnostics(faults, output=output)
    return exit_code(faults)


def _removed(store: Bucket, key: str, limit: timedelta, now: datetime, output: str) -> list[Diagnostic]:
    """Removes one prefix and says so; returns what could not be deleted."""
    said = partial(_progress, key) if output == "text" and sys.stderr.isatty() else None
    try:
        done = removal.remove(store, key, limit, now, said)
    except UserError as error:
        return list(error.diagnostics)
    if output == "json":
        event = "kept" if done.kept else "deleted"
        report.line(json.dumps({"event": event, "prefix": key, "objects": done.objects, "reason": done.kept}))
    elif done.kept:
        report.line(f"kept     {key}: {done.kept}")
    elif done.objects or done.uploads:
        report.line(f"deleted  {key}: {done.objects} objects, {done.uploads} unfinished uploads")
    hint = "run it again, with credentials that may delete here"
    return [Diagnostic(f"stays: {why}", f"s3://{store.name}/{name}", hint=hint) for name, why in done.refused]


def _progress(key: str, done: int, total: int) -> None:
    report.line(f"{key}: {done} of {total} objects", sys.stderr)


def _show_json(
    bucket: str,
    found: Held,
    loose: Sequence[Prefix],
    named: Mapping[str, Collection[str]],
    now: datetime,
    old: Collection[str] | None,
) -> None:
    rows = [
        asdict(prefix)
        | {"newest": prefix.newest.isoformat(), "age_seconds": round((now - prefix.newest).total_seconds())}
        | ({} if old is None else {"old_enough": prefix.key in old})
        for prefix in loose
    ]
    facts = {"event": "listed", "bucket": bucket, "prefixes": len(found.prefixes), "strangers": found.strangers}
    report.line(json.dumps(facts | {"places": {k: sorted(v) for k, v in named.items()}, "unreferenced": rows}))


def _show(
    bucket: str,
    found: Held,
    loose: Sequence[Prefix],
    named: Mapping[str, Collection[str]],
    now: datetime,
    old: Collection[str] | None,
) -> None:
    head = ("prefix", "objects", "size", "newest", "complete", *(() if old is None else ("old enough",)))
    if loose:
        report.table(head, [_row(prefix, now, old) for prefix in loose])
    size = quantities.human(sum(prefix.size for prefix in loose))
    report.line(
        f"s3://{bucket}: {len(found.prefixes)} models at some commit, {len(loose)} of them ({size}) in none of: "
        + ", ".join(named)
    )
    if found.strangers:
        report.line(f"s3://{bucket}: {found.strangers} objects below models/ are not modelyard's, and are left alone")


def _row(prefix: Prefix, now: datetime, old: Collection[str] | None) -> tuple[str, ...]:
    last = () if old is None else ("yes" if prefix.key in old else "no",)
    size, complete = quantities.human(prefix.size), "yes" if prefix.complete else "no"
    return (prefix.key, str(prefix.objects), size, ago(now - prefix.newest), complete, *last)


def ago(age: timedelta) -> str:
    """`41 days`, or `5 hours` within the first two days."""
    hours = max(age // timedelta(hours=1), 0)
    return f"{hours} hours" if hours < 48 else f"{hours // 24} days"
