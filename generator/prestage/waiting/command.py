"""`python -m generator.prestage.waiting`: ends when a volume holds a complete model, at one commit."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click

from generator.prestage import manifest, options
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError, Stopped, wrong_plan
from generator.prestage.manifest import Manifest
from generator.prestage.outcome import Report
from generator.prestage.process import EXITS, leave, perform
from generator.prestage.settings import Settings

INTERVAL = 3.0  # seconds between two looks
_HINT = "see how its Job goes: kubectl get jobs -l modelyard.dev/model={}"


@click.command(name="python -m generator.prestage.waiting", epilog=EXITS, context_settings=options.HELP)
@click.option("--path", metavar="DIR", required=True, type=click.Path(path_type=Path), help="Folder of the model.")
@click.option("--model", metavar="NAME", required=True, help="Its name.")
@click.option("--commit", metavar="COMMIT", required=True, help="Its commit, 40 digits.")
@click.option(
    "--wait",
    "seconds",
    metavar="SECONDS",
    required=True,
    type=click.FloatRange(min=0),
    help="How long to wait for it; 0 looks once.",
)
@options.chosen("output")
def main(**given: Any) -> NoReturn:
    """Wait until a mounted volume holds a complete model.

    The manifest is written last: where it is there, so is everything that it lists. Another model or another commit in
    the folder ends the wait at once.
    """
    leave(lambda: run(**given))


def run(*, path: Path, model: str, commit: str, seconds: float, output: str = "auto") -> int:
    """One wait from start to end; returns the exit status."""
    return perform(Waiting(path, model, commit, seconds), output=output)


@dataclass(slots=True)
class Waiting:
    """The task."""

    path: Path
    model: str
    commit: str
    seconds: float

    def work(self, settings: Settings) -> int:
        if not re.fullmatch("[0-9a-f]{40}", self.commit):
            raise wrong_plan(f"--commit {self.commit!r} is no commit", "give all 40 digits of it")
        began = time.monotonic()
        found = self._wait(settings, began + self.seconds)
        settings.events.emit(
            "ready",
            model=found.model,
            commit=found.commit,
            target=str(self.path),
            files=len(found.files),
            bytes=sum(file.size for file in found.files),
            seconds=round(time.monotonic() - began, 3),
        )
        return PrestageExit.DONE

    def _wait(self, settings: Settings, until: float) -> Manifest:
        """The manifest, once it is there. Raises PrestageError when it is late or wrong, Stopped on a signal."""
        named = f"{self.model} at {self.commit[:12]} in {self.path}"
        settings.events.emit("waiting", reason=f"waiting for {named}, {self.seconds:g} s at most")
        while True:
            settings.patience.check()
            if (found := self._look()) is not None:
                return found
            left = until - time.monotonic()
            if left <= 0:
                reason = f"no {manifest.PATH} of {named} after {self.seconds:g} s"
                raise PrestageError(PrestageExit.TRANSIENT, reason, _HINT.format(self.model))
            if settings.patience.stop.wait(min(INTERVAL, left)):
                raise Stopped

    def report(self, error: PrestageError | None, started: float, settings: Settings) -> Report | None:
        """Nobody is told: the copy itself says how it ended."""
        return None

    def _look(self) -> Manifest | None:
        """Raises PrestageError for a manifest of something else."""
        file = self.path / manifest.PATH
        try:
            content = file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            reason = f"{file} cannot be read: {error.strerror}"
            raise PrestageError(PrestageExit.STORAGE, reason, "look who owns the files of the volume") from error
        found = manifest.read(content, str(file))
        if (found.model, found.commit) != (self.model, self.commit):
            reason = f"{self.path} holds {found.model} at {found.commit}, not {self.model} at {self.commit}"
            raise PrestageError(PrestageExit.INTEGRITY, reason, "mount the claim of this commit")
        return found
