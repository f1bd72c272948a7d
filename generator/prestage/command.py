"""`python -m generator.prestage`: stages one model; also what `modelyard prestage` runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import click

from generator.prestage import options, results
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError, wrong_plan
from generator.prestage.outcome import Outcome, Report, Tally
from generator.prestage.plan import Plan, parse
from generator.prestage.process import EXITS, leave, load, perform
from generator.prestage.settings import Settings

__all__ = ["leave", "load", "main", "parse", "run"]


@click.command(name="python -m generator.prestage", epilog=EXITS, context_settings=options.HELP)
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path))
@options.options
@options.chosen("hold", "load-test", "wait", "outputs", "tell")
def main(plan_file: Path, **given: Any) -> NoReturn:
    """Copy a model to S3 or a volume, verified, exactly once.

    PLAN is the plan.json that `modelyard render` wrote for the Job.

    \b
    HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH  the Hub and its token
    AWS_*                                 credentials, region, AWS_ENDPOINT_URL
    MODELYARD_WEBHOOK_URL                 told how it ended (Slack and alike)
    """
    leave(lambda: run(lambda: load(plan_file), **given))


def run(
    read: Callable[[], Plan],
    *,
    target: str | None,
    source: str | None = None,
    preview: bool = False,
    hold: bool = False,
    load_test: bool = False,
    outputs: Path | None = None,
    tell: str = "all",
    **given: Any,
) -> int:
    """One run from start to end: says what happens, and returns the exit status. `given`: see `process.perform`."""
    return perform(Staging(read, source, target, preview, hold, load_test, outputs, tell), **given)


@dataclass(slots=True)
class Staging:
    """The task: copy what the plan says, or show what would be copied.

    With `hold` the copy waits for its load test; with `load_test` it is tested here, and published if it is sound.
    """

    read: Callable[[], Plan]
    source: str | None
    target: str | None
    preview: bool
    hold: bool
    load_test: bool
    outputs: Path | None
    tell: str
    plan: Plan | None = None
    tally: Tally = field(default_factory=Tally)

    def work(self, settings: Settings) -> int:
        from generator.prestage import run as flow  # imports what a --help does not need

        started = time.monotonic()
        self.plan = plan = self.read()
        if self.preview:
            return PrestageExit.INTEGRITY if flow.preview(plan, self.source, self.target, settings) else 0
        if self.target is None:
            raise wrong_plan("--target is missing", "add --target s3://bucket/prefix")
        flow.stage(plan, self.source, self.target, settings, self.tally, hold=self.hold or self.load_test)
        if self.load_test and self.tally.held:
            from generator.prestage.loadtest import publication

            publication.test(plan, self.target, settings, self.tally)
        results.write(self.outputs, plan, self.target, self.tally, time.monotonic() - started)
        return PrestageExit.DONE

    def report(self, error: PrestageError | None, started: float, settings: Settings) -> Report | None:
        if self.plan is None or (self.preview and error is None):
            return None
        ended = outcome(self.plan, self.target or "", self.tally, started, settings, error)
        if error is None:
            said_done(ended, settings, held=self.tally.held)
            if self.tally.held:
                what = f"{self.plan.model} at {self.plan.commit[:12]}"
                ended = replace(ended, status="held", text=f"{what} is copied, and waits for its load test")
        silent = error is None and self.tell == "failures"
        return Report(ended.exit, None if silent else ended, ended)


def said_done(ended: Outcome, settings: Settings, *, held: bool = False) -> None:
    """The last event of a run that copied, or found everything in place."""
    settings.events.emit(
        "done",
        model=ended.model,
        commit=ended.commit,
        target=ended.target,
        files=ended.files,
        bytes=ended.bytes_total,
        copied=ended.bytes_copied,
        seconds=ended.seconds,
        bytes_per_second=round(ended.bytes_copied / max(ended.seconds, 1e-3)),
        retries=ended.retries,
        already=ended.already,
        held=held,
    )


def outcome(
    plan: Plan, target: str, tally: Tally, started: float, settings: Settings, error: PrestageError | None
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
        retries=settings.events.retries,
        files=tally.files,
        already=tally.already,
        reason=settings.events.safe(error.reason) if error else "",
    )
