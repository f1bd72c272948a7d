"""How often and how long something is tried again: exponential, with jitter, as long as the run may take."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from generator.prestage.events import Events
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError, Stopped, Transient

T = TypeVar("T")

MAX_WAIT = 30.0  # seconds between two tries of ours
MAX_ASKED = 300.0  # seconds that a Retry-After may ask for
TRIES_OF_WRONG_BYTES = 3  # what is wrong rather than late does not get better by waiting


@dataclass(slots=True)
class Patience:
    """`tries` in a row without any progress end the run, and so does `deadline` (time.monotonic())."""

    events: Events
    tries: int = 8
    first_wait: float = 0.5
    deadline: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    stopped_by: str = ""  # the signal, where it was one

    def call(self, what: str, action: Callable[[], T], *, path: str = "", progress: Callable[[], int] = int) -> T:
        """`action()`, again after a Transient. `progress` grows when a failed try did get further.

        Raises PrestageError when patience ends, Stopped when the run does.
        """
        reached, failures, barren, wrong = progress(), 0, 0, 0
        while True:
            self.check()
            try:
                return action()
            except Transient as error:
                if self.stop.is_set():
                    raise Stopped from error
                failures, barren, wrong = failures + 1, barren + 1, wrong + (error.exit is not PrestageExit.TRANSIENT)
                if progress() > reached:
                    reached, barren, wrong = progress(), 0, 0
                named = f"{what} {path}".strip()
                if wrong >= TRIES_OF_WRONG_BYTES and error.exit is not PrestageExit.TRANSIENT:
                    raise _ended(error, error.exit, f"{named}: {error.reason} ({wrong} tries)") from error
                if barren >= self.tries:
                    code = PrestageExit.TRANSIENT if wrong < barren else error.exit
                    raise _ended(error, code, f"{named}: {error.reason} ({barren} tries)") from error
                self._pause(error, failures, what, path)

    def check(self) -> None:
        """Raises Stopped or PrestageError where nothing more is to be begun."""
        if self.stop.is_set():
            raise Stopped
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise deadline_passed()

    def _pause(self, error: Transient, failures: int, what: str, path: str) -> None:
        """Longer with each failure in a row."""
        wait = max(backoff(failures, self.first_wait), min(error.after or 0.0, MAX_ASKED))
        if self.deadline is not None and time.monotonic() + wait >= self.deadline:
            reason = f"{f'{what} {path}'.strip()}: {error.reason}; the deadline passes before the next try"
            raise PrestageError(error.exit, reason, "what was copied is kept: run again") from error
        self.events.emit("retry", what=what, path=path, reason=error.reason, attempt=failures, wait=round(wait, 2))
        if self.stop.wait(wait):
            raise Stopped


def deadline_passed() -> PrestageError:
    return PrestageError(PrestageExit.TRANSIENT, "the deadline passed", "what was copied is kept: run again")


def _ended(error: Transient, code: PrestageExit, reason: str) -> PrestageError:
    return PrestageError(code, reason, error.hint)


def backoff(attempt: int, first: float) -> float:
    """Seconds after the `attempt`th failure: doubling, and the upper half of it at random."""
    whole = min(first * 2.0 ** min(attempt, 16), MAX_WAIT)
    return whole / 2 + random.random() * whole / 2  # noqa: S311 - jitter, not a secret
