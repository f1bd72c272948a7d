"""A text of the caller becomes the prompt of the model."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from common.errors import PromptRefused, StartRefused

INPUT = "{input}"
MOST = 100_000  # characters of a caller's text, before the model counts its tokens
_LINE_ENDS = re.compile("\r\n?|\u2028|\u2029")
_BLANKS = re.compile(r"[^\S\n]+")
_EMPTY_LINES = re.compile(r" ?\n(?: ?\n)+ ?")


@dataclass(frozen=True, slots=True)
class Template:
    """What stands before and after the caller's text."""

    before: str
    after: str

    def around(self, text: str) -> str:
        return f"{self.before}{text}{self.after}"


def read(config: Any) -> Template:
    """The template in `user_config`. Nothing but the first and only `{input}` means anything. Raises StartRefused."""
    if not isinstance(config, dict) or set(config) != {"prompt"} or not isinstance(config["prompt"], str):
        raise StartRefused(f"user_config of Preprocessor has the key prompt, a text, not {config!r}")
    parts = config["prompt"].split(INPUT)
    if len(parts) != 2:
        raise StartRefused(f"the prompt holds {len(parts) - 1} times {INPUT}, not once")
    return Template(*parts)


def normalise(text: str) -> str:
    """One form of each character (NFC), one kind of line end, single blanks, no control characters, nothing around it.

    Raises PromptRefused for a text that is empty then, or too long.
    """
    if len(text) > MOST:
        raise PromptRefused(f"the text has {len(text)} characters, at most {MOST} are allowed")
    lines = _LINE_ENDS.sub("\n", unicodedata.normalize("NFC", text))
    visible = "".join(c for c in lines if c in "\n\t" or unicodedata.category(c) != "Cc")
    plain = _EMPTY_LINES.sub("\n\n", _BLANKS.sub(" ", visible)).strip()
    if not plain:
        raise PromptRefused("the text is empty")
    return plain
