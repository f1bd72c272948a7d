"""A model in another deployment, behind a handle of Serve: for applications that put something in front of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

from text_generation.backend import Asked, Complete, Health

PATIENCE = 5.0  # seconds for a model to say how it is
REMEMBERED = 60.0  # seconds that its last answer counts, when it is too busy to say


class Remote:
    """`handle` leads to text_generation.replica.Replica; `busy` is what it raises when the queue there is full."""

    def __init__(self, handle: Any, busy: type[Exception]) -> None:
        self._handle, self._streaming, self._busy = handle, handle.options(stream=True), busy
        self._said: Health | None = None
        self._at = 0.0

    def complete(self, asked: Asked) -> Awaitable[Complete]:
        """Serve cancels the request there when the task that awaits it is cancelled (Ray 2.60, serve/handle.py)."""
        answer: Awaitable[Complete] = self._handle.complete.remote(asked, {})
        return answer

    def answer(self, asked: Asked) -> Any:
        """Asynchronous iterator of events; its method `cancel` ends the request there."""
        return self._streaming.answer.remote(asked, {})

    async def health(self) -> Health:
        """What the model says; a model too busy to answer is as it was."""
        try:
            said: Health = await asyncio.wait_for(_awaited(self._handle.health.remote()), PATIENCE)
        except (TimeoutError, self._busy) as error:
            if self._said is not None and time.monotonic() - self._at < REMEMBERED:
                return self._said
            return Health(ready=False, reason=f"does not say how it is: {type(error).__name__}")
        except Exception as error:
            return Health(ready=False, reason=f"cannot be reached: {type(error).__name__}")
        self._said, self._at = said, time.monotonic()
        return said


async def _awaited(answer: Any) -> Any:
    """Serve's answers are awaitable and no coroutine."""
    return await answer
