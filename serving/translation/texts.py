"""What goes into the translator, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event
from typing import Literal, NamedTuple


class Languages(NamedTuple):
    """Codes as the model's tokenizer has them; None where the model knows one pair, or takes it from the text."""

    source: str | None = None
    target: str | None = None


ONE_PAIR = Languages()


@dataclass(frozen=True, slots=True)
class Job:
    """One text. `left` is set when nobody waits for it any more."""

    text: str
    languages: Languages = ONE_PAIR
    left: Event = field(default_factory=Event)


@dataclass(frozen=True, slots=True)
class Translation:
    """`completion_tokens` counts the end-of-text token too, which `text` does not show."""

    text: str
    finish_reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int
