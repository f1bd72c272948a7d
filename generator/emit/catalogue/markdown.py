"""Markdown of the catalogue page: texts stay texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_[]#!|"} | {c: f"&#{ord(c)};" for c in "<>&@$~"})
# GitHub links bare addresses, with or without a scheme.
_AUTOLINK = re.compile(r"(?<=www)\.|:(?=\S)", re.IGNORECASE)


def escape(text: str) -> str:
    """Text as Markdown that shows it and does nothing else: no markup, HTML or link, no new cell or line."""
    # Backslashes for what every renderer takes them for, character references for the rest.
    escaped = " ".join(text.split()).translate(_MARKDOWN)
    return _AUTOLINK.sub(lambda match: f"&#{ord(match[0])};", escaped)


def code(text: str) -> str:
    """Text as a code span; its fence is longer than any run of backticks inside."""
    text = " ".join(text.split()).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table of cells that are Markdown already."""
    for cells in (columns, ["---"] * len(columns), *rows):
        yield f"| {' | '.join(cells)} |"
    yield ""


def names(names: Iterable[str]) -> str:
    return ", ".join(code(name) for name in names)


def from_to(low: str, high: str) -> str:
    """A range, or the one number that it is."""
    return low if low == high else f"{low} to {high}"
