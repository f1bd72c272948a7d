"""One run: look at what is there, copy what is not, write the manifest last."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import closing

from generator.prestage import audit, manifest, sources, targets
from generator.prestage.copy import Copy
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError
from generator.prestage.manifest import Entry, Manifest
from generator.prestage.outcome import Tally
from generator.prestage.plan import File, Plan
from generator.prestage.publishing import publish
from generator.prestage.settings import Settings
from generator.prestage.sources.base import Source
from generator.prestage.targets.base import Held, Target

ROUNDS = 3  # of writing the manifest while other runs do

__all__ = ["Tally", "preview", "stage"]


def stage(plan: Plan, source: str | None, target: str, settings: Settings, tally: Tally, *, hold: bool = False) -> None:
    """Makes `target` hold what the plan says. Raises PrestageError; what was copied then is kept for another run.

    With `hold` no reader sees it yet: it waits for its load test, unless such a copy was published before.
    """
    to = targets.opened(target, settings)
    with to.held(to.name):
        _stage(plan, source, to, settings, tally, hold=hold)


def _stage(plan: Plan, source: str | None, target: Target, settings: Settings, tally: Tally, *, hold: bool) -> None:
    real = target.manifest()
    if real and manifest.covers(real.manifest, plan):
        _mended(plan, source, target, real.manifest, settings, tally)
        target.sweep()  # a run may have been killed after its manifest
        _said_already(plan, settings, tally, "its manifest")
        return
    held = target.manifest(manifest.HELD)
    if held and manifest.covers(held.manifest, plan):
        _mended(plan, source, target, held.manifest, settings, tally)
        if not hold:
            publish(target, held, settings)
        target.sweep(holding=hold)
        tally.held = hold
        _said_already(plan, settings, tally, "its manifest, which waits for the load test" if hold else "a held copy")
        return
    with closing(sources.opened(source, plan, settings)) as origin:
        files = origin.files()
        _count(tally, files)
        for _ in range(ROUNDS):
            if _copied(plan, origin, target, (real, held), files, settings, tally, hold=hold):
                return
            real, held = target.manifest(), target.manifest(manifest.HELD)  # another run has written one since
            tally.held = _lists(held, files) and hold and not _lists(real, files)
            if tally.held or _lists(real, files):
                tally.already = tally.copied == 0
                settings.events.emit("already", model=plan.model, by="another run, which finished first")
                target.sweep(holding=tally.held)
                return
    raise PrestageError(PrestageExit.TRANSIENT, "other runs write this manifest all the time", "run again")


def _mended(plan: Plan, source: str | None, target: Target, listed: Manifest, settings: Settings, tally: Tally) -> None:
    """Looks at a copy that has its manifest, and copies again what is damaged."""
    _count(tally, listed.files)
    damaged = audit.faults(target, listed, settings)
    for path, why in sorted(damaged.items()):
        settings.events.emit("damaged", path=path, reason=why)
    if damaged:
        _repair(plan, source, target, listed, damaged, settings, tally)
    tally.already = not damaged


def _said_already(plan: Plan, settings: Settings, tally: Tally, by: str) -> None:
    if tally.already:
        settings.events.emit("already", model=plan.model, by=by)


def _lists(found: Held | None, files: Sequence[File]) -> bool:
    return found is not None and not manifest.missing(found.manifest, files)


def _copied(
    plan: Plan,
    source: Source,
    target: Target,
    before: tuple[Held | None, Held | None],
    files: Sequence[File],
    settings: Settings,
    tally: Tally,
    *,
    hold: bool,
) -> bool:
    """False where another run wrote the manifest first. `before`: the real one and the held one, as far as they are."""
    kept = _kept(*before)
    wanted = manifest.missing(kept, files) if kept else tuple(files)
    entries = _copy(plan, source, target, wanted, settings, tally, [file.path for file in files])
    new = manifest.of(plan, (*(kept.files if kept else ()), *entries))
    path, former = (manifest.HELD, before[1]) if hold else (manifest.PATH, before[0])
    replaces = former.version if former else ""
    written = settings.patience.call("write", lambda: target.write_manifest(new, replaces, path), path=path)
    if not written:
        now = target.manifest(path)
        written = now is not None and now.manifest == new  # an answer that was lost, or the same from another run
        if written:
            settings.events.emit("already", model=plan.model, by="another run, which finished first")
    if written:
        target.sweep(holding=hold)
        tally.held = hold
    return written


def _kept(real: Held | None, held: Held | None) -> Manifest | None:
    """What was verified before, in one manifest."""
    if real is None or held is None:
        found = real or held
        return found.manifest if found else None
    return manifest.joined(real.manifest, held.manifest)


def _copy(
    plan: Plan,
    source: Source,
    target: Target,
    files: Sequence[File],
    settings: Settings,
    tally: Tally,
    paths: Collection[str],
) -> Iterable[Entry]:
    total = sum(file.size for file in files)
    settings.events.emit(
        "start",
        model=plan.model,
        commit=plan.commit,
        source=source.name,
        target=target.name,
        files=len(files),
        bytes=total,
    )
    target.survey(total)
    copy = Copy(source, target, files, paths, settings)
    try:
        return copy.run().values()
    finally:
        tally.copied += copy.copied


def _repair(
    plan: Plan,
    source: str | None,
    target: Target,
    listed: Manifest,
    damaged: Iterable[str],
    settings: Settings,
    tally: Tally,
) -> None:
    """Copies again what the manifest lists and the target does not hold; the manifest was right all the time."""
    by_path = listed.by_path()
    planned = {file.path: file for file in plan.files or ()}
    files = [
        planned.get(path) or File(path, by_path[path].size, f"sha256:{by_path[path].sha256}")
        for path in sorted(damaged)
    ]
    with closing(sources.opened(source, plan, settings)) as origin:
        _copy(plan, origin, target, files, settings, tally, by_path)


def preview(plan: Plan, source: str | None, target: str | None, settings: Settings) -> dict[str, str]:
    """Says what a run would copy; touches nothing. With `verify: full` it reads what is there: an audit.

    Returns what is wrong with a copy that says it is complete, by path.
    """
    to = targets.opened(target, settings) if target else None
    found = to.manifest() if to else None
    complete = found is not None and manifest.covers(found.manifest, plan)
    if found and complete:
        files: Sequence[File] = [File(e.path, e.size, f"sha256:{e.sha256}") for e in found.manifest.files]
        wrong = audit.faults(to, found.manifest, settings) if to else {}
    else:
        with closing(sources.opened(source, plan, settings)) as origin:
            files, wrong = origin.files(), {}
    there = {} if to is None else settings.patience.call("list", to.sizes)
    copied = 0
    for file in files:
        keep = file.path not in wrong if complete else there.get(file.path) == file.size
        copied += 0 if keep else file.size
        action = "keep" if keep else "copy"
        settings.events.emit("planned", path=file.path, size=file.size, action=action, reason=wrong.get(file.path, ""))
    held = not complete and to is not None and to.manifest(manifest.HELD) is not None
    settings.events.emit(
        "plan",
        model=plan.model,
        files=len(files),
        bytes=sum(file.size for file in files),
        copy=copied,
        complete=complete,
        held=held,
    )
    return wrong


def _count(tally: Tally, files: Iterable[File] | Iterable[Entry]) -> None:
    sizes = [file.size for file in files]
    tally.files, tally.bytes = len(sizes), sum(sizes)
