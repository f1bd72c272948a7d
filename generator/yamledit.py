"""Edits of a YAML text that leave every other byte as it is: comments, blank lines, quotes, line ends.

libyaml's events say where things stand, the writer renders what is new, the strict reader proves the result.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from yaml import events

from generator import yamlio
from generator.errors import Diagnostic, UserError, dotted
from generator.errors import Path as Place
from generator.yamlio.positions import LOADER, start_of
from generator.yamlio.scalars import double_quoted, is_plain

FILE = "models.yaml"
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A key of the top level with the events of its value; with the first of them where it is not asked for."""

    key: Any
    value: tuple[Any, ...]

    @property
    def is_empty(self) -> bool:
        """Nothing, null or `[]`."""
        first = self.value[0]
        if isinstance(first, events.ScalarEvent):
            return bool(first.implicit[0]) and first.value in ("", "~", "null")
        return isinstance(first, events.SequenceStartEvent) and len(self.value) == 2

    @property
    def is_block_list(self) -> bool:
        return isinstance(self.value[0], events.SequenceStartEvent) and not self.value[0].flow_style


def append_item(text: str, key: str, item: Mapping[str, object], file: str = FILE) -> str:
    """`text` with `item` as the last of the top-level list `key`, which is made where it is missing or empty.

    Comments behind the last item that are indented stay with the list, others with what follows. Raises
    UserError where `text` has faults, or where the list is not in block style.
    """
    old = yamlio.load(text, file).data
    body = text.removeprefix(_BOM)
    top, entries = _top_level(body, key)
    found = next((entry for entry in entries if entry.key.value == key), None)
    if top.flow_style:
        raise _refused(file, top, (), "the file is one mapping in braces", "write it in block style")
    if found is None:
        new = _with_new_list(body, key, item, top, entries)
    elif found.is_empty:
        new = _with_first_item(body, item, top, entries, found, file)
    elif found.is_block_list:
        new = _with_last_item(body, item, top, found)
    elif isinstance(found.value[0], events.SequenceStartEvent):
        hint = "write it in block style, one `- ` item a line"
        raise _refused(file, found.value[0], (key,), "the list is written in brackets", hint)
    else:
        raise _refused(file, found.value[0], (key,), "not a list", "write `- ` items under it")
    items = [*(old.get(key) or []), item]
    return _proved(text, new, {**old, key: items}, (key, len(items) - 1), file)


def set_scalar(text: str, place: Place, value: str | int | bool | None, file: str = FILE) -> str:
    """`text` with `value` for the scalar at `place`. Raises UserError where there is none on one line."""
    document = yamlio.load(text, file)
    body = text.removeprefix(_BOM)
    at = document.locate(place)
    # No key and no collection starts where a value does, so the place tells the event.
    event: Any = next(e for e in _events(body) if isinstance(e, events.NodeEvent) and start_of(e) == at)
    if isinstance(_at(document.data, place), dict | list) or event.start_mark.line != event.end_mark.line:
        raise UserError((document.fault(place, "no value on one line", "write the value behind its key"),))
    new = yamlio.dump(value).decode().rstrip("\n")
    if isinstance(value, str) and not (is_plain(value) and "," not in value):  # a comma ends it inside braces
        new = double_quoted(value)
    start, end = event.start_mark.index, event.end_mark.index
    gap = " " if body[start - 1 : end] == ":" else ""
    return _proved(text, body[:start] + gap + new + body[end:], _with(document.data, place, value), place, file)


def _refused(file: str, event: Any, place: Place, message: str, hint: str) -> UserError:
    line, column = start_of(event)
    return UserError((Diagnostic(message, file, line, column, dotted(place), hint),))


def _proved(text: str, new: str, data: Mapping[str, Any], place: Place, file: str) -> str:
    """`new`, with the byte order mark of `text`, if it says exactly `data`."""
    try:
        loaded = yamlio.load(new, file).data
    except UserError as error:  # the lines would be those of a text that nobody has
        raise UserError(replace(fault, line=0, column=0) for fault in error.diagnostics) from error
    # JSON for what is new, because True == 1 == 1.0, tuples come back as lists, and the order of keys counts.
    wanted = json.loads(json.dumps(_at(data, place), default=dict))
    if json.dumps(wanted) != json.dumps(_at(loaded, place)) or loaded != _with(data, place, wanted):
        message = "the file is laid out so that it cannot be edited without changing what it says"
        raise UserError((Diagnostic(message, file, path=dotted(place), hint="make the change by hand"),))
    return _BOM + new if text.startswith(_BOM) else new


def _top_level(text: str, key: str) -> tuple[Any, list[_Entry]]:
    """The start of the top-level mapping and its entries, that of `key` in full."""
    stream = _events(text)
    top = next(event for event in stream if isinstance(event, events.MappingStartEvent))
    entries = []
    while isinstance(name := next(stream), events.ScalarEvent):
        node = _node(stream)
        first = next(node)
        rest = tuple(node) if name.value == key else deque(node, maxlen=0)
        entries.append(_Entry(name, (first, *rest)))
    return top, entries


def _events(text: str) -> Iterator[Any]:
    following: Callable[[], Any] = LOADER(text).get_event
    return iter(following, None)


def _node(stream: Iterator[Any]) -> Iterator[Any]:
    """The events of the next node."""
    depth = 0
    for event in stream:
        yield event
        if type(event) is not events.ScalarEvent:
            depth += 1 if isinstance(event, events.CollectionStartEvent) else -1
        if not depth:
            return


def _at(data: Any, place: Place) -> Any:
    """The value at `place`; an empty mapping where there is none."""
    for part in place:
        known = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
        if part not in known:
            return {}
        data = data[part]
    return data


def _with(data: Any, place: Place, value: object) -> Any:
    """A copy of `data` with `value` at `place`."""
    if not place:
        return value
    copy = data.copy()
    copy[place[0]] = _with(data[place[0]], place[1:], value)
    return copy


def _with_last_item(text: str, item: Mapping[str, object], top: Any, entry: _Entry) -> str:
    lines = text.split("\n")
    starts = [event.start_mark.line for event in _children(entry.value)]
    last = _last_line_of_list(lines, _last_line(entry.value, lines), top.start_mark.column)
    column = entry.value[0].start_mark.column
    return _inserted(text, last, item, column, spaced=len(starts) > 1 and _is_spaced(lines, starts[-1]))


def _with_first_item(
    text: str, item: Mapping[str, object], top: Any, entries: list[_Entry], entry: _Entry, file: str
) -> str:
    """`text` where the empty list has its first item; `[]`, `~` or `null` goes away."""
    start, end = entry.value[0].start_mark, entry.value[-1].end_mark
    if start.line != end.line:
        hint = "empty the brackets, or write an item by hand"
        raise _refused(file, entry.value[0], (entry.key.value,), "the empty list spans several lines", hint)
    without = text[: start.index].rstrip(" \t") + text[end.index :] if start.index != end.index else text
    last = _last_line_of_list(without.split("\n"), end.line, top.start_mark.column)
    return _inserted(without, last, item, _dash_column(top, entries))


def _with_new_list(text: str, key: str, item: Mapping[str, object], top: Any, entries: list[_Entry]) -> str:
    """`text` with the list at its end, behind a blank line where the last key has one before it."""
    lines = text.split("\n")
    last = len(lines) - 1 if lines[-1] else len(lines) - 2
    for marker in {"...", "...\r"} & set(lines):
        last = lines.index(marker) - 1
    starts = [entry.key.start_mark.line for entry in entries]
    spaced = bool(lines[last].strip()) and len(starts) > 1 and _is_spaced(lines, starts[-1])
    name = yamlio.dump({key: []}).decode().removesuffix(" []\n")
    head = " " * top.start_mark.column + name
    return _inserted(text, last, item, _dash_column(top, entries), head=head, spaced=spaced)


def _dash_column(top: Any, entries: list[_Entry]) -> int:
    """Where the dashes of a new list stand: as in the file's other lists, else two columns in."""
    columns = (entry.value[0].start_mark.column for entry in entries if entry.is_block_list)
    return int(next(columns, top.start_mark.column + 2))


def _children(value: tuple[Any, ...]) -> Iterator[Any]:
    """The first event of each item of a list."""
    stream = iter(value[1:-1])
    while node := tuple(_node(stream)):
        yield node[0]


def _last_line(value: tuple[Any, ...], lines: list[str]) -> int:
    """The index of the last line that a block list's content stands on."""
    leaf: Any = next(e for e in reversed(value) if isinstance(e, events.ScalarEvent) or _closes_flow(e))
    end: Any = leaf.end_mark
    if getattr(leaf, "style", None) not in ("|", ">"):
        return int(end.line)
    last = end.line if end.column else end.line - 1
    keeps = "+" in lines[leaf.start_mark.line][leaf.start_mark.column :].split("#")[0]
    while not keeps and not lines[last].strip():
        last -= 1  # blank lines behind a block belong to it only where it says so
    return int(last)


def _closes_flow(event: Any) -> bool:
    """Whether the event is a closing bracket or brace: the end of a block has no width."""
    has_width: bool = event.start_mark.index != event.end_mark.index
    return has_width and isinstance(event, events.CollectionEndEvent)


def _last_line_of_list(lines: list[str], last: int, column: int) -> int:
    """`last`, or the last of the comments behind it that are indented more than the keys of the top level."""
    for number in range(last + 1, len(lines)):
        content = lines[number].lstrip(" ")
        if content.startswith("#") and len(lines[number]) - len(content) > column:
            last = number
        elif content.strip():
            break
    return last


def _is_spaced(lines: list[str], start: int) -> bool:
    """Whether a blank line stands before line `start` and the comments right above it."""
    before = start - 1
    while before >= 0 and _is_comment_or_dash(lines[before].strip()):
        before -= 1
    return before >= 0 and not lines[before].strip()


def _is_comment_or_dash(line: str) -> bool:
    return line == "-" or line.startswith(("#", "- #"))


def _inserted(
    text: str, last: int, item: Mapping[str, object], column: int, *, head: str = "", spaced: bool = False
) -> str:
    """`text` with `item` behind line `last`, its dash in `column`, in the line ends of the text."""
    lines = text.split("\n")
    end = "\r" if "\r\n" in text else ""
    rendered = yamlio.dump([item]).decode().removesuffix("\n").split("\n")
    new = [" " * column + line if line else "" for line in rendered]
    new = [*([""] if spaced else []), *([head] if head else []), *new]
    before, after = lines[: last + 1], lines[last + 1 :]
    if not after:  # the text has no final newline
        before[-1] += end
        after = [""]
    return "\n".join([*before, *(line + end for line in new), *after])
