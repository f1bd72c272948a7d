"""The strict reader: YAML text to plain data, or every fault with its line and column.

One pass over libyaml's events builds plain dicts and lists; positions are kept nowhere. A later fault asks
`Document.locate`, which parses the text again, once, into an index of positions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from generator.errors import Diagnostic, UserError
from generator.errors import Path as Place
from generator.yamlio.construct import LIMITS, Faults, Limits, StopReading, construct
from generator.yamlio.positions import (
    Branch,
    Position,
    build_index,
    key_position_of,
    path_text,
    position_of,
)
from generator.yamlio.scalars import double_quoted, unsafe_in_source


@dataclass(frozen=True)
class Document:
    """The data of one file and the way back to its lines; `text` is without a byte order mark."""

    data: dict[str, Any]
    file: str
    text: str = field(repr=False)
    limits: Limits = field(default=LIMITS, repr=False)

    @cached_property
    def _index(self) -> Branch:
        return build_index(self.text, self.limits.depth)

    def locate(self, place: Place) -> Position:
        """Line and column of the value at `place`, or of the deepest value around it that exists."""
        return position_of(self._index, place)

    def locate_key(self, place: Place) -> Position:
        """Line and column of the key at `place`; of the value where the last part is no key of the text."""
        return key_position_of(self._index, place)

    def fault(self, place: Place, message: str, hint: str = "", *, at_key: bool = False) -> Diagnostic:
        """A diagnostic that stands at `place`."""
        line, column = (self.locate_key if at_key else self.locate)(place)
        return Diagnostic(message, self.file, line, column, path_text(place), hint)


def load_file(path: Path, name: str | None = None, limits: Limits = LIMITS) -> Document:
    """`load` of a file that diagnostics call `name`; one above the limit is not read to its end.

    Raises UserError, also where the file cannot be read.
    """
    shown_name = str(path) if name is None else name
    try:
        with path.open("rb") as stream:
            content = stream.read(limits.file_bytes + 1)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        hint = "check the name and the folder" if missing else "check that it is a file that you may read"
        raise UserError.of(f"cannot read the file: {error.strerror}", file=shown_name, hint=hint) from error
    return load(content, shown_name, limits)


def load(text: bytes | str, file: str, limits: Limits = LIMITS) -> Document:
    """The one document of `text` as plain data.

    The top level is a mapping, keys are strings, and what YAML parsers read differently is refused. Raises
    UserError with all faults that can be told apart, in the order of the text.
    """
    source = _decoded(text, file, limits)
    faults = Faults(file, limits.faults)
    data: Any = None
    try:
        readable = _without_unsafe(source, faults)
        data = construct(readable, limits, faults)
    except StopReading:
        pass
    except yaml.YAMLError as error:
        faults.found.append(_syntax_fault(error, source, file))
    if faults.found:
        raise UserError(sorted(_with_first_places(faults, source, limits), key=Diagnostic.sort_key))
    return Document(data, file, source, limits)


def _decoded(text: bytes | str, file: str, limits: Limits) -> str:
    """The text without a byte order mark. Raises UserError for too many bytes and for what is not UTF-8."""
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if len(raw) > limits.file_bytes:
        message = f"the file is larger than {limits.file_bytes} bytes"
        raise UserError.of(message, file=file, hint="split it into several files")
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = text[: error.start].decode("utf-8").removeprefix("\ufeff")
        line, column = _position_in(before, len(before))
        message = f"the file is not UTF-8: byte 0x{text[error.start]:02x} at offset {error.start}"
        raise UserError((Diagnostic(message, file, line, column, hint="save the file as UTF-8"),)) from error


def _position_in(text: str, index: int) -> Position:
    return Position(text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


def _without_unsafe(source: str, faults: Faults) -> str:
    """`source` with a stand-in for each kind of unsafe character, so that the rest can be read."""
    unsafe = unsafe_in_source(source)
    if not unsafe:
        return source
    for index in islice(unsafe, faults.limit):
        character = source[index]
        hint = f"remove it, or write it as an escape in double quotes: {double_quoted(character)}"
        if character == "\r":
            hint = "end lines with LF or with CR LF"
        elif "\ud800" <= character <= "\udfff":
            hint = "remove it: half of a surrogate pair is no character"
        message = f"invisible or control character U+{ord(character):04X}"
        faults.add(_position_in(source, index), message, hint)
    kinds = sorted({source[index] for index in unsafe})
    # Distinct stand-ins keep distinct keys distinct; private use is itself unsafe, so none of them is taken.
    return source.replace("\r\n", "\n").translate(
        {ord(kind): 0xE000 + number % 6400 for number, kind in enumerate(kinds)}
    )


def _syntax_fault(error: yaml.YAMLError, source: str, file: str) -> Diagnostic:
    problem = getattr(error, "problem", None) or "the text cannot be read"
    context = getattr(error, "context", None) or ""
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    started = getattr(error, "context_mark", None)
    if context and started and started.line + 1 != line:
        context += f" that starts in line {started.line + 1}"
    message = f"not valid YAML: {problem} {context}".rstrip()
    hint = _syntax_hint(problem, _character(source, line, column))
    return Diagnostic(message, file, line, column, hint=hint)


def _character(source: str, line: int, column: int) -> str:
    lines = source.split("\n", line)
    return lines[line - 1][column - 1 : column] if 0 < line <= len(lines) else ""


def _syntax_hint(problem: str, character: str) -> str:
    if character == "\t":
        return "indent with spaces, not with tabs"
    if character and character in "@`%":
        return f"put quotes around text that starts with {character}"
    if "mapping values are not allowed" in problem:
        return "put quotes around text that holds a colon and a space, or mend the indentation"
    return "check the indentation, brackets and quotes here and on the line before"


def _with_first_places(faults: Faults, source: str, limits: Limits) -> Iterable[Diagnostic]:
    """The faults, where those of a key given twice say in which line it stands first."""
    if not faults.repeated:
        return faults.found
    index = build_index(source, limits.depth)
    for number, place in faults.repeated:
        old = faults.found[number]
        hint = f"keep one of the two; the first is in line {key_position_of(index, place).line}"
        faults.found[number] = Diagnostic(old.message, old.file, old.line, old.column, old.path, hint)
    return faults.found
