"""The ways to say no. Their arguments are all that they are, so that they survive the way between processes."""

from __future__ import annotations


class StartRefused(RuntimeError):
    """The service does not start; the message is the reason."""


class PromptRefused(ValueError):
    """This model cannot answer the request; the message tells the caller why."""


class Unavailable(RuntimeError):
    """Not now: come back after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message, retry_after)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return str(self.args[0])


class Overloaded(Unavailable):
    """Slots and queue are full."""
