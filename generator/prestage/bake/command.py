"""`python -m generator.prestage.bake`: stages the models of several plans below one folder, one after the other."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import click

from generator.prestage import options
from generator.prestage.command import outcome, said_done
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError, Transient, wrong_plan
from generator.prestage.outcome import Report, Tally
from generator.prestage.plan import Plan
from generator.prestage.process import EXITS, leave, load, perform
from generator.prestage.settings import Settings

TOKEN = Path("/run/secrets/hf-token")  # where BuildKit mounts the secret with the id hf-token
_OF_BUILD = "hf-token of the build (in CI, the variable HF_TOKEN)"
_READABLE = 0o022  # umask: the pods that read the image are of another user


@click.command(name="python -m generator.prestage.bake", epilog=EXITS, context_settings=options.HELP)
@click.argument("plans", metavar="PLANS", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--root",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder that gets DIR/<model>/<the first 12 digits of its commit>.",
)
@click.option(
    "--load-test",
    "load_test",
    metavar="MODEL",
    multiple=True,
    envvar="LOAD_TEST",
    help="A model that is tried before it counts as complete; several times, or names in LOAD_TEST.",
)
@options.chosen("verify", "workers", "deadline", "token-file", "output")
def main(plans: Path, **given: Any) -> NoReturn:
    """Copy the models of an image, verified, while it is built.

    PLANS is a folder of plan.json files, as `modelyard render` writes it beside the Dockerfile. Each model gets its
    manifest last; a model that is there already is left as it is. What fails ends the build.

    \b
    HF_ENDPOINT  the Hub
    HF_TOKEN     its token; else /run/secrets/hf-token, a secret of BuildKit
    """
    leave(lambda: run(plans, **given))


def run(
    plans: Path, *, root: Path, load_test: Collection[str] = (), token_file: Path | None = None, **given: Any
) -> int:
    """One run from start to end; returns the exit status. `given`: see `process.perform`."""
    return perform(Baking(plans, root, frozenset(load_test)), token_file=token_file or _mounted(), **given)


def _mounted() -> Path | None:
    """The secret of the build, unless the environment holds a token."""
    return TOKEN if not os.environ.get("HF_TOKEN", "").strip() and TOKEN.is_file() else None


@dataclass(slots=True)
class Baking:
    """The task. Models in `tested` have to pass their load test."""

    folder: Path
    root: Path
    tested: frozenset[str]

    def work(self, settings: Settings) -> int:
        os.umask(_READABLE)
        told = replace(settings, token_secret=settings.token_secret or _OF_BUILD)
        for plan in self._plans():
            with _named(plan):
                self._bake(plan, told)
        return PrestageExit.DONE

    def _plans(self) -> tuple[Plan, ...]:
        """All of them, before the first byte is fetched. Raises PrestageError."""
        files = sorted(self.folder.glob("*.json"))
        if not files:
            raise wrong_plan(f"{self.folder} holds no plan", "give the folder `plans` that was rendered")
        plans = tuple(map(load, files))
        if unknown := sorted(self.tested - {plan.model for plan in plans}):
            raise wrong_plan(f"no plan in {self.folder} is of {', '.join(unknown)}", "check --load-test")
        return plans

    def _bake(self, plan: Plan, settings: Settings) -> None:
        from generator.prestage import run as flow  # imports what a --help does not need

        started, tally = time.monotonic(), Tally()
        target, tested = str(self.root / plan.model / plan.commit[:12]), plan.model in self.tested
        flow.stage(plan, None, target, settings, tally, hold=tested)
        if tested and tally.held:
            from generator.prestage.loadtest import publication

            publication.test(plan, target, settings, tally)
        said_done(outcome(plan, target, tally, started, settings, None), settings)

    def report(self, error: PrestageError | None, started: float, settings: Settings) -> Report | None:
        """Nobody but the build is told."""
        return None


@contextmanager
def _named(plan: Plan) -> Iterator[None]:
    """Faults say of which model they are."""
    try:
        yield
    except PrestageError as error:
        raise PrestageError(error.exit, f"{plan.model}: {error.reason}", error.hint) from error
    except Transient as error:
        raise PrestageError(error.exit, f"{plan.model}: {error.reason}", error.hint) from error
