"""Where things stand in a YAML text: an index of lines and columns, built only when a fault is reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml
from yaml import events

from generator.errors import Path as Place
from generator.errors import dotted
from generator.yamlio.scalars import shown

# libyaml where PyYAML was built with it (its wheels are); the pure parser gives the same events, some 30
# times slower.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NO_KEY = object()


class Position(NamedTuple):
    """Line and column of a character, both from 1; the column counts characters, a tab as one."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Branch:
    """A mapping or sequence: where it starts, its keys and its children (by key, or by index)."""

    position: Position
    children: dict[str | int, Branch | Position] = field(default_factory=dict)
    keys: dict[str, Position] = field(default_factory=dict)


def path_text(place: Place) -> str:
    """`place` in dots and brackets; keys that could garble a terminal are quoted and escaped."""
    return dotted(tuple(shown(part) if isinstance(part, str) else part for part in place))


def start_of(event: Any) -> Position:
    return Position(event.start_mark.line + 1, event.start_mark.column + 1)


def build_index(text: str, depth: int) -> Branch:
    """The positions of the first document in `text`, down to `depth`.

    The root is child 0 of the branch returned. Of a key given twice the first stands. Where the text is not
    valid YAML the index ends.
    """
    top = Branch(Position(1, 1))
    stack: list[tuple[Branch, object]] = []
    branch = top
    key: Any = None  # None inside a sequence, _NO_KEY before a mapping's next key
    next_event = LOADER(text).get_event
    try:
        while (event := next_event()) is not None and len(stack) <= depth:
            if isinstance(event, events.CollectionEndEvent):
                branch, key = stack.pop()
                key = None if key is None else _NO_KEY
            elif isinstance(event, events.NodeEvent):
                here, value = start_of(event), getattr(event, "value", "")
                if key is _NO_KEY and not isinstance(event, events.CollectionStartEvent):
                    branch.keys.setdefault(value, here)
                    key = value
                    continue
                slot = len(branch.children) if key is None else key
                if not isinstance(event, events.CollectionStartEvent):
                    branch.children.setdefault(slot, here)
                    key = None if key is None else _NO_KEY
                    continue
                child = Branch(here)
                branch.children.setdefault(slot, child)
                stack.append((branch, key))
                branch, key = child, None if isinstance(event, events.SequenceStartEvent) else _NO_KEY
            elif isinstance(event, events.DocumentEndEvent):
                break
    except yaml.YAMLError:
        pass
    return top


def position_of(top: Branch, place: Place) -> Position:
    """The position of the value at `place`, or of the deepest value around it that the text has."""
    node = top.children.get(0, top)
    for part in place:
        if not isinstance(node, Branch) or part not in node.children:
            break
        node = node.children[part]
    return node.position if isinstance(node, Branch) else node


def key_position_of(top: Branch, place: Place) -> Position:
    """The position of the key at `place`; of the value where the last part is an index or absent."""
    parent = top.children.get(0, top)
    for part in place[:-1]:
        child = parent.children.get(part) if isinstance(parent, Branch) else None
        if child is None:
            return position_of(top, place)
        parent = child
    last = place[-1] if place else None
    if isinstance(parent, Branch) and isinstance(last, str) and last in parent.keys:
        return parent.keys[last]
    return position_of(top, place)
