"""`python -m generator.prestage.loadtest`: tests a copy that is there, and lets readers see it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import click

from generator.prestage import metrics, options, results
from generator.prestage.command import outcome
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError, wrong_plan
from generator.prestage.outcome import Report, Tally
from generator.prestage.plan import Plan
from generator.prestage.process import EXITS, leave, load, perform
from generator.prestage.settings import Settings


@click.command(name="python -m generator.prestage.loadtest", epilog=EXITS, context_settings=options.HELP)
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path))
@options.chosen("target", "outputs", "deadline", "endpoint-url", "metrics-file", "push-gateway", "notify-sns", "output")
def main(plan_file: Path, **given: Any) -> NoReturn:
    """Test whether a staged copy is a model that can be loaded, and publish it.

    PLAN is that of the run before: `python -m generator.prestage PLAN --target URL --hold`. The configuration parses
    and names a kind of model; the headers of safetensors files agree with the format, the sizes and the index; the
    tokenizer gives back what it was given. Of the weights, only headers are read.

    A sound copy gets its manifest, so that readers see it. A faulty one does not: what is in service stays.

    \b
    AWS_*                  credentials, region, AWS_ENDPOINT_URL
    MODELYARD_WEBHOOK_URL  told how it ended (Slack and alike)
    """
    leave(lambda: run(lambda: load(plan_file), **given))


def run(read: Callable[[], Plan], *, target: str | None, outputs: Path | None = None, **given: Any) -> int:
    """One test from start to end; returns the exit status."""
    return perform(Testing(read, target, outputs), **given)


@dataclass(slots=True)
class Testing:
    """The task."""

    read: Callable[[], Plan]
    target: str | None
    outputs: Path | None
    plan: Plan | None = None
    tally: Tally = field(default_factory=Tally)

    def work(self, settings: Settings) -> int:
        from generator.prestage.loadtest import publication  # imports what a --help does not need

        started = time.monotonic()
        self.plan = self.read()
        if self.target is None:
            raise wrong_plan("--target is missing", "add the --target of the run before")
        publication.test(self.plan, self.target, settings, self.tally)
        results.write(self.outputs, self.plan, self.target, self.tally, time.monotonic() - started)
        return PrestageExit.DONE

    def report(self, error: PrestageError | None, started: float, settings: Settings) -> Report | None:
        if self.plan is None:
            return None
        ended = outcome(self.plan, self.target or "", self.tally, started, settings, error)
        if error is None:
            settings.events.emit(
                "tested",
                model=ended.model,
                commit=ended.commit,
                target=ended.target,
                files=ended.files,
                bytes=ended.bytes_total,
                seconds=ended.seconds,
                retries=ended.retries,
                already=ended.already,
            )
            state = "was published before" if ended.already else "is published"
            text = f"{ended.model} at {ended.commit[:12]} has passed its load test, and {state}"
            ended = replace(ended, status="tested", text=text)
        return Report(ended.exit, ended, metrics.tested(ended))
