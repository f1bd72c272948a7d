"""Where the CEL expressions of a string are: `${...}` alone, or several inside text.

Source: kro v0.9.3, pkg/graph/parser. Braces nest, and braces inside string literals do not count, so that a literal
`${VAR}` is written `${"${VAR}"}`. A `${` inside an expression and outside a literal is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from generator.errors import Path

START = "${"


class NestedExpression(ValueError):
    """A `${` inside an expression. `offset` is where it stands in the text."""

    def __init__(self, offset: int) -> None:
        super().__init__("expressions do not nest")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Found:
    """One expression; `start` and `end` are offsets of `${` and behind `}`."""

    source: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Scan:
    """The expressions of a text. `whole`: the text is one expression and nothing else.

    `unterminated` is the offset of a `${` without its `}`, which kro leaves in the text.
    """

    text: str
    found: tuple[Found, ...]
    unterminated: int | None = None

    @property
    def whole(self) -> bool:
        return len(self.found) == 1 and self.found[0].start == 0 and self.found[0].end == len(self.text)


def scan(text: str) -> Scan:
    """Find the expressions of `text`. Raises NestedExpression."""
    found: list[Found] = []
    start = 0
    while (begin := text.find(START, start)) >= 0:
        end = _closing(text, begin + len(START))
        if end is None:
            return Scan(text, tuple(found), begin)
        found.append(Found(text[begin + len(START) : end], begin, end + 1))
        start = end + 1
    return Scan(text, tuple(found))


def _closing(text: str, index: int) -> int | None:
    """The offset of the `}` that ends an expression which begins at `index`."""
    depth, quote = 1, ""
    while index < len(text):
        character = text[index]
        if quote:
            if character == "\\":
                index += 1
            elif character == quote:
                quote = ""
        elif character in "\"'":
            quote = character
        elif text.startswith(START, index):
            raise NestedExpression(index)
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if not depth:
                return index
        index += 1
    return None


def strings(node: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every string value inside `node` that holds `${`, with its place."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from strings(value, (*path, str(key)))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from strings(value, (*path, index))
    elif isinstance(node, str) and START in node:
        yield path, node


def keys(node: Any, path: Path = ()) -> Iterator[Path]:
    """Every key inside `node` that holds `${`: kro evaluates values only."""
    if isinstance(node, dict):
        for key, value in node.items():
            here = (*path, str(key))
            if START in str(key):
                yield here
            yield from keys(value, here)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from keys(value, (*path, index))
