"""YAML that was rendered, by us or by helm."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from generator import yamlio

Object = Mapping[str, Any]

# Rendered files nest deeper and hold longer texts (zips, plans) than what people write.
RENDERED = yamlio.Limits(file_bytes=64 * 2**20, depth=40, scalar_bytes=2 * 2**20)


def documents(text: str, origin: str) -> Iterator[dict[str, Any]]:
    """The documents of a stream, without those that hold comments only. Raises UserError."""
    for part in parts(text):
        yield yamlio.load(part, origin, RENDERED).data


def parts(text: str) -> Iterator[str]:
    """The text of each document that holds more than comments."""
    for part in re.split(r"^---$", text, flags=re.MULTILINE):
        if any(line and not line.startswith("#") for line in part.splitlines()):
            yield part
