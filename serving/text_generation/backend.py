"""What the HTTP layer asks, and who may answer: the model of this replica, or deployments behind a handle.

All of it is plain data that travels between processes. Lengths are in tokens.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Message:
    """A turn of a chat, as templates know it."""

    role: str
    content: str
    name: str | None = None


Prompt = str | tuple[int, ...] | tuple[Message, ...]
"""A text that is continued, the tokens of one, or a chat that is answered."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, valid as far as that can be told without the model.

    `max_tokens` None is `usual` or what fits, whichever is less; `usual` None is what fits. `model` None is any.
    """

    prompt: Prompt
    model: str | None = None
    max_tokens: int | None = None
    usual: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Started:
    """The first event: `model` has taken the request."""

    model: str
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Piece:
    """More of the answer; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The last event. `completion_tokens` counts the end-of-text token too, which no piece shows."""

    finish_reason: Finish
    completion_tokens: int


Event = Started | Piece | Done


@dataclass(frozen=True, slots=True)
class Complete:
    """A whole answer."""

    model: str
    text: str
    finish_reason: Finish
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Health:
    """`ready`: the model is loaded, has answered, and its engine lives; else `reason`. `load` is seconds by phase."""

    ready: bool
    reason: str = ""
    running: int = 0
    waiting: int = 0
    load: Mapping[str, float] = field(default_factory=dict)


class Backend(Protocol):
    """`headers` are those of the HTTP request, in lower case.

    `complete` and `answer` raise PromptRefused and Unavailable (Overloaded is one); `answer` before its first event.
    Who leaves early cancels `complete`, or closes the iterator.
    """

    def models(self) -> Sequence[str]:
        """Names of the models, as requests give them."""

    async def complete(self, asked: Asked, headers: Mapping[str, str]) -> Complete:
        """The whole answer at once."""

    def answer(self, asked: Asked, headers: Mapping[str, str]) -> AsyncIterator[Event]:
        """The answer while it is made."""

    async def health(self) -> Health:
        """Never waits for a generation."""
