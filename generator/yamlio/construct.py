"""From libyaml's events to plain dicts and lists, and the faults that the events show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from yaml import events

from generator.errors import Diagnostic
from generator.errors import Path as Place
from generator.yamlio.positions import LOADER, Position, build_index, path_text, position_of, start_of
from generator.yamlio.scalars import (
    NUMERIC_START,
    SPECIAL_WORDS,
    AmbiguousScalarError,
    double_quoted,
    plain_value,
    shown,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may hold, and how many of its faults are reported.

    `depth` counts nested mappings and lists, the top level included; `scalar_bytes` is the UTF-8 of one key
    or value.
    """

    file_bytes: int = 16 * 1024 * 1024
    depth: int = 20
    scalar_bytes: int = 4 * 1024
    faults: int = 100


LIMITS = Limits()


class StopReading(Exception):
    """Ends the reading of a file: the events that follow have no place, or there are faults enough."""


@dataclass(slots=True)
class Faults:
    """The faults of one file, in the order found."""

    file: str
    limit: int
    found: list[Diagnostic] = field(default_factory=list)
    repeated: list[tuple[int, Place]] = field(default_factory=list)  # index into `found`, of duplicate keys

    def add(self, at: Position, message: str, hint: str, place: Place = ()) -> None:
        self.found.append(Diagnostic(message, self.file, at.line, at.column, path_text(place), hint))
        if len(self.found) >= self.limit:
            last = f"more than {self.limit - 1} faults: the rest is not reported"
            self.found[-1] = Diagnostic(last, self.file, at.line, at.column, hint="mend those above first")
            raise StopReading


# While the events are read, `pending` says what the next node of the open collection is: a list's next item,
# a mapping's next key, or the value of the key that it holds.
_ITEM = object()
_KEY = object()
# The collections around the one being filled, each with its `pending`; the first is the root.
_Open = list[tuple[Any, object]]


def construct(source: str, limits: Limits, faults: Faults) -> Any:
    """The data of `source`; its faults go to `faults`. Raises StopReading and yaml.YAMLError.

    The hottest loop of the compiler: what is rare is in functions.
    """
    root: list[Any] = []
    opened: _Open = []
    container: Any = root
    pending: object = _ITEM
    interned: dict[str, str] = {}
    long = limits.scalar_bytes // 4  # so many characters always fit
    next_event = LOADER(source).get_event
    while (event := next_event()) is not None:
        kind = type(event)
        if kind is events.ScalarEvent:
            value = event.value
            if event.tag is not None or event.anchor is not None or len(value) > long:
                _check_node(event, limits, faults, _place(opened, container, pending))
            if event.implicit[0] and (value[:1] in NUMERIC_START or value in SPECIAL_WORDS):
                value = _resolved(event, faults, opened, container, pending)
            if pending is _ITEM:
                container.append(value)
            elif pending is _KEY:
                value = interned.setdefault(value, value)
                if value in container:
                    _add_repeated(event, faults, (*_place(opened, container, pending), value))
                pending = value
            else:
                container[pending] = value
                pending = _KEY
        elif kind is events.MappingStartEvent or kind is events.SequenceStartEvent:
            if event.tag is not None or event.anchor is not None:
                _check_node(event, limits, faults, _place(opened, container, pending))
            if pending is _KEY or len(opened) >= limits.depth:
                _refuse_collection(event, limits, faults, _place(opened, container, pending), pending)
            child: Any = {} if kind is events.MappingStartEvent else []
            if pending is _ITEM:
                container.append(child)
            else:
                container[pending] = child
            opened.append((container, pending))
            container, pending = child, _KEY if kind is events.MappingStartEvent else _ITEM
        elif kind is events.MappingEndEvent or kind is events.SequenceEndEvent:
            container, pending = opened.pop()
            if pending is not _ITEM:
                pending = _KEY
        elif kind is events.AliasEvent:
            _add_alias(event, faults, _place(opened, container, pending))
            if pending is _ITEM:
                container.append(None)
            elif pending is _KEY:
                pending = f"*{event.anchor}"
            else:
                container[pending] = None
                pending = _KEY
        elif kind is events.DocumentStartEvent:
            _check_document_start(event, faults, is_first=not root)
    if not faults.found:
        _check_root(root, source, faults)
    return root[0] if root else None


def _place(opened: _Open, container: Any, pending: object) -> Place:
    """The place of the next node; of its parent where that node is a key."""
    if not opened:
        return ()
    # A collection is attached to the one around it when it opens, so there it is the last item.
    parts: list[Any] = [len(around) - 1 if key is _ITEM else key for around, key in opened[1:]]
    if pending is not _KEY:
        parts.append(len(container) if pending is _ITEM else pending)
    return tuple(parts)


def _check_node(event: Any, limits: Limits, faults: Faults, place: Place) -> None:
    """Faults of a scalar or collection itself: its tag, its anchor, its length."""
    at = start_of(event)
    if event.anchor is not None:
        hint = "remove it and write the content out where it is needed"
        faults.add(at, f"anchor &{shown(event.anchor)}", hint, place)
    if event.tag is not None:
        name = event.tag.replace("tag:yaml.org,2002:", "!!")
        faults.add(at, f"tag {shown(name)}", "remove it; text that looks like a number goes in quotes", place)
    size = len(getattr(event, "value", "").encode())
    if size > limits.scalar_bytes:
        hint = f"at most {limits.scalar_bytes} bytes of UTF-8"
        faults.add(at, f"a text of {size} bytes is too long", hint, place)


def _refuse_collection(event: Any, limits: Limits, faults: Faults, place: Place, pending: object) -> None:
    """The fault of a collection that is a key or lies too deep."""
    message, hint = f"nested deeper than {limits.depth} levels", "flatten it"
    if pending is _KEY:
        message, hint = (
            "a list or a mapping is used as a key",
            "put quotes around text that starts with { or [",
        )
    faults.add(start_of(event), message, hint, place)
    raise StopReading


def _resolved(event: Any, faults: Faults, opened: _Open, container: Any, pending: object) -> Any:
    """The value of a plain scalar; its text where it is ambiguous, or where it is a key and not a string."""
    text: str = event.value
    is_key = pending is _KEY
    try:
        value = plain_value(text)
    except AmbiguousScalarError as error:
        message, hint = error.args
    else:
        if not is_key or isinstance(value, str):
            return value
        message = f"the key {shown(text)} is not a string" if text else "a key is missing before the colon"
        hint = f"put quotes around it: {double_quoted(text)}"
    if is_key and text == "<<":
        message, hint = "merge key <<", "write the keys out where they are needed"
    place = _place(opened, container, pending)
    faults.add(start_of(event), message, hint, (*place, text) if is_key else place)
    return text


def _add_repeated(event: Any, faults: Faults, place: Place) -> None:
    number = len(faults.found)
    faults.add(start_of(event), f"the key {shown(event.value)} is given twice", "", place)
    faults.repeated.append((number, place))


def _add_alias(event: Any, faults: Faults, place: Place) -> None:
    hint = "write the content out: aliases are not followed"
    faults.add(start_of(event), f"alias *{shown(event.anchor)}", hint, place)


def _check_document_start(event: Any, faults: Faults, *, is_first: bool) -> None:
    if event.version is not None or event.tags:
        faults.add(start_of(event), "a %YAML or %TAG directive", "remove the line")
    if not is_first:
        faults.add(start_of(event), "a second document starts", "one document a file: remove the line ---")
        raise StopReading


def _check_root(root: list[Any], source: str, faults: Faults) -> None:
    hint = "write `key: value` lines at the top level"
    if not root or root[0] is None:
        faults.add(Position(1, 1), "the file is empty", hint)
    elif not isinstance(root[0], dict):
        at = position_of(build_index(source, 1), ())
        what = "a list" if isinstance(root[0], list) else "a single value"
        faults.add(at, f"the top level is {what}, not a mapping", hint)
