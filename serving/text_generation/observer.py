"""What the engine tells of itself, while it works."""

from __future__ import annotations

from typing import Literal, Protocol

Reason = Literal["stop", "length", "cancelled", "error"]


class Observer(Protocol):
    """Called from the engine's thread, so it must be quick. Times in seconds, lengths in tokens."""

    def stepped(self, running: int, waiting: int, new_tokens: int, cached: int) -> None:
        """A forward pass has ended; `cached` tokens lie in the slots. Also called when the last request has gone."""

    def started(self, prompt_tokens: int, waited: float) -> None:
        """A request has left the queue."""

    def first_token(self, seconds: float) -> None:
        """Since it was asked."""

    def finished(self, reason: Reason, tokens: int, seconds: float) -> None:
        """A request has ended after `tokens` tokens."""


class Silent:
    """Nobody listens."""

    def stepped(self, running: int, waiting: int, new_tokens: int, cached: int) -> None: ...

    def started(self, prompt_tokens: int, waited: float) -> None: ...

    def first_token(self, seconds: float) -> None: ...

    def finished(self, reason: Reason, tokens: int, seconds: float) -> None: ...
