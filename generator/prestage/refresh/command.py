"""`python -m generator.prestage.refresh`: looks for a new commit, stages it beside the old one, tells."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import click

from generator.prestage import metrics, options
from generator.prestage.command import outcome, said_done
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError
from generator.prestage.outcome import Outcome, Report, Tally
from generator.prestage.plan import Plan
from generator.prestage.process import EXITS, leave, load, perform
from generator.prestage.settings import Settings

NEWER = "newer"  # the event, and the status of its message


@click.command(name="python -m generator.prestage.refresh", epilog=EXITS, context_settings=options.HELP)
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path))
@click.option("--revision", metavar="BRANCH", required=True, help="The branch that is looked at.")
@click.option("--root", metavar="URL", required=True, help="Where the model's commits lie: s3://bucket/models/NAME.")
@options.chosen("load-test")
@click.option(
    "--tell",
    type=click.Choice(["all", NEWER]),
    default="all",
    show_default=True,
    help="Notify of a new commit and of failures, or of a new commit alone, where an exit handler tells failures.",
)
@options.chosen(
    "verify",
    "workers",
    "deadline",
    "token-file",
    "endpoint-url",
    "metrics-file",
    "push-gateway",
    "notify-sns",
    "output",
)
def main(plan_file: Path, **given: Any) -> NoReturn:
    """Look for a new commit on a branch, and stage it beside the one in service.

    PLAN is that of the commit in service. A new commit goes to ROOT/<its first 12 digits>, with the files that the
    plan's rules choose; it is told once. Nothing changes in service: `modelyard lock --upgrade MODEL` adopts it.

    \b
    HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH  the Hub and its token
    AWS_*                                 credentials, region, AWS_ENDPOINT_URL
    MODELYARD_WEBHOOK_URL                 told of a new commit (Slack and alike)
    """
    leave(lambda: run(lambda: load(plan_file), **given))


def run(
    read: Callable[[], Plan], *, revision: str, root: str, load_test: bool = False, tell: str = "all", **given: Any
) -> int:
    """One look from start to end; returns the exit status. `given`: see `process.perform`."""
    return perform(Refreshing(read, revision, root.rstrip("/"), load_test, tell), **given)


@dataclass(slots=True)
class Refreshing:
    """The task. `found`: the branch's commit, once the Hub has said it."""

    read: Callable[[], Plan]
    branch: str
    root: str
    load_test: bool
    tell: str
    plan: Plan | None = None
    found: str = ""
    tally: Tally = field(default_factory=Tally)

    @property
    def target(self) -> str:
        return f"{self.root}/{self.found[:12]}" if self.found else self.root

    def work(self, settings: Settings) -> int:
        from generator.prestage import place  # imports what a --help does not need
        from generator.prestage.sources.hub import HubSource

        plan = self.plan = self.read()
        place.parse(self.root)
        with closing(HubSource(plan, settings)) as hub:
            self.found = hub.head(self.branch)
        if self.found == plan.commit:
            settings.events.emit("current", model=plan.model, branch=self.branch, commit=plan.commit)
        else:
            self._stage(replace(plan, commit=self.found, files=None), settings)
        return PrestageExit.DONE

    def _stage(self, newer: Plan, settings: Settings) -> None:
        from generator.prestage import run as flow

        flow.stage(newer, None, self.target, settings, self.tally, hold=self.load_test)
        if self.load_test and self.tally.held:
            from generator.prestage.loadtest import publication

            self.tally.already = False  # copied by a run before, published by this one
            publication.test(newer, self.target, settings, self.tally)

    def report(self, error: PrestageError | None, started: float, settings: Settings) -> Report | None:
        plan = self.plan
        if plan is None:
            return None
        commit = self.found or plan.commit
        ended = outcome(replace(plan, commit=commit), self.target, self.tally, started, settings, error)
        moved = error is None and commit != plan.commit
        if moved:
            said_done(ended, settings)
            facts = {"from": plan.commit, "to": commit}
            already = self.tally.already
            settings.events.emit(
                NEWER, model=plan.model, branch=self.branch, **facts, target=self.target, already=already
            )
        measured = metrics.checked(ended, self.branch, answered=bool(self.found), newer=moved)
        return Report(ended.exit, self._told(ended, plan, moved=moved), measured)

    def _told(self, ended: Outcome, plan: Plan, *, moved: bool) -> Outcome | None:
        """A commit is told once, when it was staged; a look that finds nothing new is not worth a message."""
        if ended.exit != PrestageExit.DONE:
            text = f"the look for a new commit of {plan.model} on {self.branch} failed: {ended.reason}"
            return replace(ended, text=text) if self.tell == "all" else None
        if not moved or self.tally.already:
            return None
        text = (
            f"{plan.model} has a new commit on {self.branch}: {ended.commit[:12]}, staged at {self.target} beside "
            f"{plan.commit[:12]}, which stays in service. To adopt it: modelyard lock --upgrade {plan.model}, "
            "modelyard render, and commit"
        )
        return replace(ended, status=NEWER, text=text)
