"""Judges a copy, and publishes it where it is sound: the real manifest is written, the held one goes."""

from __future__ import annotations

from generator.prestage import manifest, targets
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError
from generator.prestage.loadtest import judging
from generator.prestage.manifest import Manifest
from generator.prestage.outcome import Tally
from generator.prestage.plan import Plan, summary
from generator.prestage.publishing import publish
from generator.prestage.settings import Settings
from generator.prestage.targets.base import Held, Target

SHOWN = 3  # faults in the reason; all of them are events
_HINT = "the revision in service stays: choose another one, or repair this one in its repository"


def test(plan: Plan, target: str, settings: Settings, tally: Tally) -> None:
    """Judges what the plan asks for at `target`. Raises PrestageError; then nothing is published."""
    to = targets.opened(target, settings)
    _candidate(plan, to)  # before anything is locked, as that would make the folder of a mistyped path
    with to.held(to.name):
        found, waits = _candidate(plan, to)
        tally.files, tally.bytes = len(found.manifest.files), sum(entry.size for entry in found.manifest.files)
        _judge(to, found.manifest, settings)
        if waits:
            publish(to, found, settings)
        to.sweep()
    tally.held, tally.already = False, tally.already or not waits
    if waits:
        settings.events.emit("published", model=plan.model, commit=plan.commit, target=to.name)


def _candidate(plan: Plan, target: Target) -> tuple[Held, bool]:
    """The manifest of the copy that is judged, and whether it is a held one."""
    for path in (manifest.HELD, manifest.PATH):
        found = target.manifest(path)
        if found and manifest.covers(found.manifest, plan):
            return found, path == manifest.HELD
    reason = f"{target.name} holds no copy of {summary(plan)} with all files of the plan"
    raise PrestageError(PrestageExit.NOT_FOUND, reason, "stage it first: python -m generator.prestage … --hold")


def _judge(target: Target, listed: Manifest, settings: Settings) -> None:
    faults = []
    for kind, path, text in judging.findings(target, listed, settings):
        if kind == "fault":
            faults.append(f"{path}: {text}")
            settings.events.emit("fault", path=path, reason=text)
        elif kind == "untested":
            settings.events.emit("untested", path=path, reason=text)
        else:
            settings.events.emit("judged", path=path, what=text)
    if faults:
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        reason = f"{listed.source} at {listed.commit[:12]} fails its load test: {'; '.join(faults[:SHOWN])}{more}"
        raise PrestageError(PrestageExit.INTEGRITY, reason, _HINT)
