"""What people and machines read: diagnostics, differences, tables. Only this module and cli write to the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, TextIO

from generator.credentials import redacted
from generator.errors import Diagnostic, Severity


def diagnostics(found: Iterable[Diagnostic], *, output: str) -> None:
    """All diagnostics once, in the order of the file: text on stderr, or one JSON object on stdout."""
    ordered = sorted(found, key=Diagnostic.sort_key)
    if output == "json":
        line(json.dumps({"diagnostics": as_data(ordered)}, ensure_ascii=False))
        return
    for diagnostic in ordered:
        line(text(diagnostic), sys.stderr)
    errors = sum(d.severity is Severity.ERROR for d in ordered)
    if errors > 1:
        line(f"{errors} errors", sys.stderr)


def as_data(found: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    """Diagnostics for JSON, in the order of the file."""
    return [
        {key: redacted(value) if isinstance(value, str) else value for key, value in asdict(d).items()}
        for d in sorted(found, key=Diagnostic.sort_key)
    ]


def text(diagnostic: Diagnostic) -> str:
    """`models.yaml:14:9: models[2].source.revision: message`, and the hint on a line of its own."""
    place = diagnostic.file
    if diagnostic.line:
        place += f":{diagnostic.line}:{diagnostic.column}"
    warning = "warning" if diagnostic.severity is Severity.WARNING else ""
    parts = [part for part in (place, warning, diagnostic.path, diagnostic.message) if part]
    hint = f"\n    hint: {diagnostic.hint}" if diagnostic.hint else ""
    # A message quotes the value that is wrong; logs are read by more people than the catalogue.
    return redacted(": ".join(parts) + hint)


def line(message: str, stream: TextIO | None = None) -> None:
    print(message, file=stream or sys.stdout)


def piece(text: str) -> None:
    """A part of a line on stdout, seen at once."""
    print(text, end="", flush=True)


def counted(number: int, noun: str) -> str:
    """`1 model`, `2 models`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Columns padded to their widest cell; numbers to the right."""
    cells = [list(map(str, head)), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        padded = (c.rjust(w) if c.isdigit() else c.ljust(w) for c, w in zip(row, widths, strict=True))
        line("  ".join(padded).rstrip())
