"""Literal values of a template against the schema of its kind, as kro's parser holds them.

Source: kro v0.9.3, pkg/graph/parser/parser.go: unknown fields and values of another JSON type are refused; enum,
pattern and required are left to the API server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from generator.errors import Fault, Path
from generator.kro.expressions import START, NestedExpression, scan
from generator.kro.types import WORDS, kind_of
from generator.suggest import suggest

Schema = Mapping[str, Any]


def faults(node: Any, schema: Schema | None, place: Path) -> Iterator[Fault]:
    """What of `node` kro would refuse."""
    kind = kind_of(schema)
    if schema is None or node is None or kind == "dyn":
        return
    if isinstance(node, dict):
        yield from _object(node, schema, kind, place)
    elif isinstance(node, list):
        if kind == "list":
            for index, item in enumerate(node):
                yield from faults(item, schema["items"], (*place, index))
        else:
            yield _other(kind, "a list", place)
    elif isinstance(node, str):
        if kind != "string" and not _whole(node):
            hint = "remove the quotes" if kind in ("integer", "number", "boolean") and START not in node else ""
            yield _other(kind, "text", place, hint)
    else:
        yield from _scalar(node, kind, place)


def _object(node: dict[str, Any], schema: Schema, kind: str, place: Path) -> Iterator[Fault]:
    if kind not in ("message", "map"):
        yield _other(kind, "an object", place)
        return
    fields = schema.get("properties", {})
    rest = schema.get("additionalProperties")
    for name, value in node.items():
        if name in fields:
            yield from faults(value, fields[name], (*place, str(name)))
        elif isinstance(rest, dict):
            yield from faults(value, rest, (*place, str(name)))
        elif not rest:
            yield Fault((*place, str(name)), "the kind has no such field", suggest(str(name), fields))


def _scalar(node: Any, kind: str, place: Path) -> Iterator[Fault]:
    given = "boolean" if isinstance(node, bool) else "integer" if isinstance(node, int) else "number"
    if given != kind and not (given == "integer" and kind == "number"):
        hint = "put quotes around it" if kind == "string" else ""
        yield _other(kind, WORDS[given], place, hint)


def _other(kind: str, given: str, place: Path, hint: str = "") -> Fault:
    return Fault(place, f"the field takes {WORDS[kind]}, and this is {given}", hint)


def _whole(text: str) -> bool:
    try:
        return scan(text).whole
    except NestedExpression:
        return True  # told with the expressions
