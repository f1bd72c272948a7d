"""`python -m generator.prestage.ended`: tells how a whole Workflow ended."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from generator.prestage import options
from generator.prestage.ended import failures
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError
from generator.prestage.outcome import Outcome, Report
from generator.prestage.process import leave, perform
from generator.prestage.settings import Settings

SUCCEEDED = "Succeeded"
TIMEOUT = 10.0  # seconds for all who are told; nothing else waits for this program


@click.command(name="python -m generator.prestage.ended", context_settings=options.HELP)
@click.option("--model", required=True, help="Name of the model.")
@click.option("--commit", required=True, help="The commit that was staged.")
@click.option("--target", metavar="URL", required=True, help="Where it was staged to.")
@options.chosen("tell", "notify-sns", "output")
def main(**given: Any) -> NoReturn:
    """Tell how a Workflow ended: its exit handler. One message, with what the failing step said last.

    \b
    MODELYARD_WORKFLOW_STATUS    Succeeded, Failed or Error: {{workflow.status}}
    MODELYARD_WORKFLOW_FAILURES  the steps that failed: {{workflow.failures}}
    MODELYARD_WEBHOOK_URL        told (Slack and alike)
    AWS_*                        credentials and region for SNS

    Exit status: 0 all were told; 64 an argument is wrong; 75 somebody could not be told; 143 interrupted.
    """
    leave(lambda: run(**given))


def run(
    *, model: str, commit: str, target: str, tell: str = "all", notify_sns: str | None = None, output: str = "auto"
) -> int:
    """Tells those who asked; returns the exit status."""
    status = os.environ.get("MODELYARD_WORKFLOW_STATUS", "").strip()
    found = failures.read(os.environ.get("MODELYARD_WORKFLOW_FAILURES", ""))
    return perform(Ending(model, commit, target, tell, notify_sns, status, found), output=output)


@dataclass(frozen=True, slots=True)
class Ending:
    """The task."""

    model: str
    commit: str
    target: str
    tell: str
    topic: str | None
    status: str
    found: tuple[failures.Failure, ...]

    @property
    def reason(self) -> str:
        if self.status == SUCCEEDED:
            return ""
        return (
            failures.sentence(self.found) or f"the Workflow ended as {self.status or 'unknown'}, and no step says why"
        )

    def work(self, settings: Settings) -> int:
        settings.events.emit(
            "ended",
            model=self.model,
            commit=self.commit,
            target=self.target,
            status=self.status,
            reason=self.reason,
        )
        if self.status == SUCCEEDED and self.tell == "failures":
            return PrestageExit.DONE
        from generator.prestage.announcing import announce

        webhook = os.environ.get("MODELYARD_WEBHOOK_URL", "")
        faults = announce(self._outcome(settings), topic=self.topic, webhook=webhook, timeout=TIMEOUT)
        if faults:
            raise PrestageError(PrestageExit.TRANSIENT, "; ".join(map(str, faults)), "check who is to be told")
        return PrestageExit.DONE

    def report(self, error: PrestageError | None, started: float, settings: Settings) -> Report | None:
        """Everybody was told in `work`."""
        return None

    def _outcome(self, settings: Settings) -> Outcome:
        what = f"{self.model} at {self.commit[:12]}"
        reason = settings.events.safe(self.reason)
        if self.status == SUCCEEDED:
            exit, text = int(PrestageExit.DONE), f"{what} is ready at {self.target}"
        else:
            exit = next((failure.exit for failure in reversed(self.found) if failure.exit), 1)
            text = f"{what} failed: {reason}"
        return Outcome(
            model=self.model,
            commit=self.commit,
            target=self.target,
            exit=exit,
            seconds=0.0,
            bytes_total=0,
            bytes_copied=0,
            retries=0,
            files=0,
            already=False,
            reason=reason,
            status="" if exit in list(PrestageExit) else "failed",
            text=text,
        )
