"""What a program came to, for metrics, notifications and the exit status; and that somebody could not be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """What has happened so far; also what is left of a run that failed. `held`: the copy waits for its load test."""

    files: int = 0
    bytes: int = 0
    copied: int = 0
    already: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """`exit`: a PrestageExit; `bytes_copied`: those that came from the source; `already`: nothing had to be copied.

    `status` and `text` replace the name of the exit status and the sentence that is made of the other facts.
    """

    model: str
    commit: str
    target: str
    exit: int
    seconds: float
    bytes_total: int
    bytes_copied: int
    retries: int
    files: int
    already: bool
    reason: str
    status: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """Gauges of a program that is not the copy itself.

    `job` groups them at a Pushgateway and begins their names. `gauges`: help text, value and further labels by name.
    Where `whole` is false, gauges of an earlier run stay beside these: what is not known now was known then.
    """

    job: str
    model: str
    gauges: Mapping[str, tuple[str, float, Mapping[str, str]]]
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    """How a program ended: its exit status, what people are told, and what Prometheus is told."""

    exit: int
    outcome: Outcome | None = None
    measured: Outcome | Measured | None = None


class AnnouncementError(Exception):
    """Metrics or a notification failed: one sentence that holds no secret. It changes nothing of how the run ended."""
