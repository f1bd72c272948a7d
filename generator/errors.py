"""Faults as data, and the one map from an outcome to an exit code.

Nothing here prints or exits: `report` renders diagnostics, `cli` exits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Severity(StrEnum):
    """`ERROR` stops the run; `WARNING` is reported and does not change the exit code."""

    ERROR = "error"
    WARNING = "warning"


class ExitCode(IntEnum):
    """Process exit codes; documented in docs/cli.md."""

    OK = 0
    FAULT = 1  # the user's input is wrong, or the tree drifted
    USAGE = 2  # click's own: unknown verb, bad flag
    BUG = 3  # ours


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One fault: where it is, what is wrong, and how to mend it.

    `file` is as the user named it; `line` and `column` count from 1, 0 when unknown;
    `path` is the dotted place inside the document, e.g. `models[2].source.revision`.
    """

    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    path: str = ""
    hint: str = ""
    severity: Severity = Severity.ERROR

    def sort_key(self) -> tuple[str, int, int, str, str]:
        return (self.file, self.line, self.column, self.path, self.message)


Path = tuple[str | int, ...]
"""A place inside a document: `("models", 2, "source")`."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A broken rule at a place of models.yaml, before line and column are known."""

    path: Path
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR


def dotted(path: Path) -> str:
    """`("models", 2, "source")` as `models[2].source`; what a terminal could obey is escaped."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{visible(part)}" if text else visible(part)
    return text


# Printable to Unicode, and yet nothing to see (Default_Ignorable_Code_Point).
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")


def visible(text: str) -> str:
    """`text` with characters that cannot be seen, or that a terminal obeys, as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() and c not in _BLANK else c.encode("unicode_escape").decode() for c in text)


class UserError(Exception):
    """One or more faults that the user can mend. Carries them all; prints nothing."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        super().__init__("; ".join(d.message for d in self.diagnostics))

    @classmethod
    def of(cls, message: str, *, file: str = "", hint: str = "") -> UserError:
        """A single fault that has no place inside a document."""
        return cls((Diagnostic(message, file=file, hint=hint),))


def exit_code(diagnostics: Iterable[Diagnostic], *, drift: bool = False) -> ExitCode:
    """The exit code of a run that reported `diagnostics`; `drift` is a stale tree."""
    failed = drift or any(d.severity is Severity.ERROR for d in diagnostics)
    return ExitCode.FAULT if failed else ExitCode.OK
