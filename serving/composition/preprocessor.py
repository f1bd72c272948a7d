"""The way from a text to an answer: normal form, prompt, model."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol

from common.errors import Unavailable
from text_generation.backend import Asked, Complete, Health

from composition import prompt

USUAL = 128  # tokens of an answer, where a request does not say it


class Model(Protocol):
    """A deployment of text generation (text_generation.remote.Remote)."""

    def complete(self, asked: Asked) -> Awaitable[Complete]:
        """The whole answer."""

    async def health(self) -> Health:
        """Raises nothing."""


class Preprocessor:
    """Serve calls `reconfigure` with the user_config: at the start, and when it changes."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._template: prompt.Template | None = None

    def reconfigure(self, user_config: Any) -> None:
        """Takes effect with the next request. Raises StartRefused, and goes on as before."""
        self._template = prompt.read(user_config)

    async def complete(self, text: str, max_tokens: int | None = None, temperature: float = 0.0) -> Complete:
        """Raises PromptRefused for a text that is empty or too long, and what the model raises."""
        if self._template is None:
            raise Unavailable("there is no prompt yet")
        whole = self._template.around(prompt.normalise(text))
        return await self._model.complete(Asked(whole, max_tokens=max_tokens, usual=USUAL, temperature=temperature))

    async def health(self) -> Health:
        return await self._model.health()
