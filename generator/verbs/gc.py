"""`gc`: list what a bucket holds and nothing refers to, and delete it when asked to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from generator import assets, compile, gc, lock, naming, report
from generator.errors import ExitCode, Severity, UserError
from generator.gc import Item, Prefix

BATCH = 1000  # keys in one DeleteObjects request (Amazon S3 API)


def collect(
    bucket: str,
    catalogues: Sequence[Path],
    rendered: Sequence[Path],
    revisions: Sequence[str],
    *,
    older_than: str,
    delete: bool,
    endpoint_url: str | None,
    output: str,
) -> ExitCode:
    """List the prefixes that nothing refers to; with `delete`, remove those that are old enough."""
    limit = gc.age(older_than)
    references = _references(catalogues, rendered, revisions)
    if not any(references.values()):
        places = ", ".join(references)
        raise UserError.of(f"no model is referred to in {places}", hint="is this the right directory?")
    store = _store(bucket, endpoint_url)
    held = gc.prefixes(_items(store))
    loose = gc.unreferenced(held, references)
    now = datetime.now(UTC)
    old = tuple(prefix for prefix in loose if prefix.older_than(limit, now))
    _show(bucket, held, loose, old, now, output)
    if not delete or not old:
        return ExitCode.OK
    faults = [fault for prefix in old for fault in _delete(store, prefix, output)]
    if faults:
        raise UserError.of(f"{len(faults)} objects stay: {faults[0]}", hint="check who may delete in this bucket")
    return ExitCode.OK


def _references(catalogues: Sequence[Path], rendered: Sequence[Path], revisions: Sequence[str]) -> dict[str, set[str]]:
    """Keys by the place that names them: each given file and tree, as it is here and at each revision."""
    found = {str(path): _of_catalogue(path) for path in catalogues}
    found |= {str(path): gc.keys_in_tree(path) for path in rendered}
    for revision in revisions:
        found |= {f"{path} at {revision}": _of_catalogue_at(path, revision) for path in catalogues}
        found |= {f"{path} at {revision}": _of_tree_at(path, revision) for path in rendered}
    return found


def _of_catalogue(path: Path) -> set[str]:
    planned = compile.plan_catalogue(path, assets.find())
    if planned.plan is None:
        raise UserError(d for d in planned.diagnostics if d.severity is Severity.ERROR)
    return {model.key for model in planned.plan.models}


def _of_catalogue_at(path: Path, revision: str) -> set[str]:
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder) / path.name
        there.write_bytes(_git("show", f"{revision}:./{os.path.relpath(path)}"))
        locked = path.with_name(lock.FILE)
        if _git("ls-tree", revision, "--", os.path.relpath(locked)):
            there.with_name(lock.FILE).write_bytes(_git("show", f"{revision}:./{os.path.relpath(locked)}"))
        return _of_catalogue(there)


def _of_tree_at(path: Path, revision: str) -> set[str]:
    """`git grep` reads the revision's own files; none that matches is no fault."""
    pattern = "models/[a-z][-a-z0-9]*/[0-9a-f]{12}"
    found = _git("grep", "-hoE", pattern, revision, "--", os.path.relpath(path), none_is_fine=True)
    return set(gc.keys_in(found.decode(errors="replace")))


def _git(*arguments: str, none_is_fine: bool = False) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True)  # noqa: S603, S607 - a list, never a shell
    except OSError as error:
        raise UserError.of(f"git cannot be run: {error}", hint="install git, or leave --revision out") from error
    if done.returncode and not (none_is_fine and done.returncode == 1):
        said = done.stderr.decode(errors="replace").strip()
        raise UserError.of(f"git {arguments[0]}: {said}", hint="check --revision, and run this inside the repository")
    return done.stdout


def _store(bucket: str, endpoint_url: str | None) -> Any:
    """An S3 client; it needs a package that compiling does not."""
    try:
        import botocore.session
    except ModuleNotFoundError as error:
        hint = "pip install 'modelyard[prestage]'"
        raise UserError.of(f"`modelyard gc` needs the package {error.name}", hint=hint) from error
    from generator.prestage.s3listing import Listing

    return Listing(botocore.session.get_session(), bucket, endpoint_url)


def _items(store: Any) -> list[Item]:
    with _explained():
        return [Item(*found) for found in store.objects("models/")]


class _explained:
    """Turns what S3 refuses into a fault of the user's."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        if isinstance(error, (BotoCoreError, ClientError, OSError, ValueError)):
            raise UserError.of(f"the bucket cannot be read or written: {error}", hint="check AWS_* and --bucket")


def _delete(store: Any, prefix: Prefix, output: str) -> list[str]:
    """The manifest first, so that nobody starts from half a model; then everything, then unfinished uploads."""
    with _explained():
        failed = store.delete([f"{prefix.key}/{naming.MANIFEST}"]) if prefix.complete else []
        if failed:
            return list(failed)
        keys = [key for key, _, _ in store.objects(f"{prefix.key}/")]
        for start in range(0, len(keys), BATCH):
            failed += store.delete(keys[start : start + BATCH])
        store.abort_uploads(f"{prefix.key}/")
    if output == "json":
        report.line(json.dumps({"event": "deleted", "prefix": prefix.key, "objects": len(keys) - len(failed)}))
    else:
        report.line(f"deleted {prefix.key}: {prefix.objects} objects", sys.stderr)
    return failed


def _show(
    bucket: str,
    held: Sequence[Prefix],
    loose: Sequence[Prefix],
    old: Sequence[Prefix],
    now: datetime,
    output: str,
) -> None:
    if output == "json":
        rows = [{**asdict(p), "newest": p.newest.isoformat(), "old_enough": p in old} for p in loose]
        report.line(json.dumps({"event": "listed", "bucket": bucket, "prefixes": len(held), "unreferenced": rows}))
        return
    head = ("prefix", "objects", "MiB", "days", "complete", "old enough")
    if loose:
        report.table(head, [_row(prefix, prefix in old, now) for prefix in loose])
    size = sum(prefix.size for prefix in loose) / 2**20
    report.line(f"{bucket}: {len(held)} prefixes, {len(loose)} of them ({size:.0f} MiB) that nothing refers to")


def _row(prefix: Prefix, old: bool, now: datetime) -> tuple[str, ...]:
    days = (now - prefix.newest) // timedelta(days=1)
    size = f"{prefix.size / 2**20:.0f}"
    return prefix.key, str(prefix.objects), size, str(days), "yes" if prefix.complete else "no", "yes" if old else "no"
