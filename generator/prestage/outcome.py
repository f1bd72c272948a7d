"""What a run came to, for metrics, notifications and the exit status; and that somebody could not be told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """`exit`: a PrestageExit; `bytes_copied`: those that came from the source; `already`: nothing had to be copied."""

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


class AnnouncementError(Exception):
    """Metrics or a notification failed: one sentence that holds no secret. It changes nothing of how the run ended."""
