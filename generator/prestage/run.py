"""One run: look at what is there, copy what is not, write the manifest last."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

from generator.prestage import audit, manifest, sources, targets
from generator.prestage.copy import Copy
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError
from generator.prestage.manifest import Entry
from generator.prestage.outcome import Outcome
from generator.prestage.plan import File, Plan
from generator.prestage.settings import Settings
from generator.prestage.sources.base import Source
from generator.prestage.targets.base import Held, Target

ROUNDS = 3  # of writing the manifest while other runs do


@dataclass(slots=True)
class Tally:
    """What has happened so far; also what is left of a run that failed."""

    files: int = 0
    bytes: int = 0
    copied: int = 0
    already: bool = False


def stage(plan: Plan, source: str | None, target: str, settings: Settings, tally: Tally) -> None:
    """Makes `target` hold what the plan says. Raises PrestageError; what was copied then is kept for another run."""
    to = targets.opened(target, settings)
    with to.held(to.name):
        _stage(plan, source, to, settings, tally)


def _stage(plan: Plan, source: str | None, target: Target, settings: Settings, tally: Tally) -> None:
    held = target.manifest()
    if held and manifest.covers(held.manifest, plan):
        _count(tally, held.manifest.files)
        damaged = audit.faults(target, held.manifest, settings)
        if not damaged:
            target.sweep()  # a run may have been killed after its manifest
            tally.already = True
            settings.events.emit("already", model=plan.model, by="its manifest")
            return
        for path, why in sorted(damaged.items()):
            settings.events.emit("damaged", path=path, reason=why)
        _repair(plan, source, target, held, damaged, settings, tally)
        return
    with closing(sources.opened(source, plan, settings)) as origin:
        files = origin.files()
        _count(tally, files)
        for _ in range(ROUNDS):
            if _copied(plan, origin, target, held, files, settings, tally):
                return
            held = target.manifest()  # another run has written one since
            if held and not manifest.missing(held.manifest, files):
                tally.already = tally.copied == 0
                settings.events.emit("already", model=plan.model, by="another run, which finished first")
                target.sweep()
                return
    raise PrestageError(PrestageExit.TRANSIENT, "other runs write this manifest all the time", "run again")


def _copied(
    plan: Plan,
    source: Source,
    target: Target,
    held: Held | None,
    files: Sequence[File],
    settings: Settings,
    tally: Tally,
) -> bool:
    """False where another run wrote the manifest first."""
    wanted = manifest.missing(held.manifest, files) if held else tuple(files)
    entries = _copy(plan, source, target, wanted, settings, tally, [file.path for file in files])
    kept = held.manifest.files if held else ()
    new = manifest.of(plan, (*kept, *entries))
    replaces = held.version if held else ""
    written = settings.patience.call("write", lambda: target.write_manifest(new, replaces), path=manifest.PATH)
    if not written:
        now = target.manifest()
        written = now is not None and now.manifest == new  # an answer that was lost, or the same from another run
        if written:
            settings.events.emit("already", model=plan.model, by="another run, which finished first")
    if written:
        target.sweep()
    return written


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
    held: Held,
    damaged: Iterable[str],
    settings: Settings,
    tally: Tally,
) -> None:
    """Copies again what the manifest lists and the target does not hold; the manifest was right all the time."""
    listed = held.manifest.by_path()
    planned = {file.path: file for file in plan.files or ()}
    files = [
        planned.get(path) or File(path, listed[path].size, f"sha256:{listed[path].sha256}") for path in sorted(damaged)
    ]
    with closing(sources.opened(source, plan, settings)) as origin:
        _copy(plan, origin, target, files, settings, tally, listed)
    target.sweep()


def preview(plan: Plan, source: str | None, target: str | None, settings: Settings) -> dict[str, str]:
    """Says what a run would copy; touches nothing. With `verify: full` it reads what is there: an audit.

    Returns what is wrong with a copy that says it is complete, by path.
    """
    to = targets.opened(target, settings) if target else None
    held = to.manifest() if to else None
    complete = held is not None and manifest.covers(held.manifest, plan)
    if held and complete:
        files: Sequence[File] = [File(e.path, e.size, f"sha256:{e.sha256}") for e in held.manifest.files]
        wrong = audit.faults(to, held.manifest, settings) if to else {}
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
    total = sum(file.size for file in files)
    settings.events.emit("plan", model=plan.model, files=len(files), bytes=total, copy=copied, complete=complete)
    return wrong


def _count(tally: Tally, files: Iterable[File] | Iterable[Entry]) -> None:
    sizes = [file.size for file in files]
    tally.files, tally.bytes = len(sizes), sum(sizes)


def outcome(
    plan: Plan, target: str, tally: Tally, started: float, retries: int, error: PrestageError | None
) -> Outcome:
    """`started` by time.monotonic()."""
    return Outcome(
        model=plan.model,
        commit=plan.commit,
        target=target,
        exit=int(error.exit if error else PrestageExit.DONE),
        seconds=round(time.monotonic() - started, 3),
        bytes_total=tally.bytes,
        bytes_copied=tally.copied,
        retries=retries,
        files=tally.files,
        already=tally.already,
        reason=error.reason if error else "",
    )
