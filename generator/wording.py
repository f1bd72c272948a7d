"""pydantic's errors in the words of this language, with a hint that says how to mend them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from generator.errors import Path, visible
from generator.spec import Spec
from generator.spec.base import PATTERN_HINTS
from generator.suggest import suggest

_SHOWN = 60

# Message by type of error (pydantic 2 errors.md): from the value and the error's context.
_MESSAGES: Mapping[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "string_type": lambda value, _: f"wants text, not {shown(value)}",
    "int_type": lambda value, _: f"wants a whole number, not {shown(value)}",
    "bool_type": lambda value, _: f"wants true or false, not {shown(value)}",
    "tuple_type": lambda value, _: f"wants a list, not {shown(value)}",
    "dict_type": lambda value, _: f"wants a mapping, not {shown(value)}",
    "model_type": lambda value, _: f"wants a mapping, not {shown(value)}",
    "greater_than_equal": lambda value, context: f"{shown(value)} is below {context['ge']}",
    "less_than_equal": lambda value, context: f"{shown(value)} is above {context['le']}",
    "string_too_short": lambda value, context: "is empty",
    "string_too_long": lambda value, context: f"has {len(value)} characters, {context['max_length']} at most",
    "too_short": lambda value, context: _too_short(context["actual_length"], context["min_length"]),
    "too_long": lambda value, context: f"has {context['actual_length']} items, {context['max_length']} at most",
    "string_pattern_mismatch": lambda value, _: f"{shown(value)} is not allowed here",
}


def say(detail: ErrorDetails, path: Path) -> tuple[str, str]:
    """Message and hint of one error at `path`."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    key, loc = visible(str(path[-1])) if path else "", detail["loc"]
    if kind == "extra_forbidden":
        return f"unknown key `{key}`", suggest(key, known_keys(loc[:-1]))
    if kind == "missing":
        return f"missing key `{key}`", purpose(loc)
    if kind == "union_tag_not_found":
        return "missing key `type`", purpose((*loc, "type"))
    if kind in ("literal_error", "union_tag_invalid"):
        value = context.get("tag", value)
        listed = str(context.get("expected_tags") or context["expected"])
        allowed = [word.strip("'") for word in listed.replace(" or ", ", ").split(", ")]
        return f"{shown(value)} is not one of {', '.join(allowed)}", suggest(str(value), allowed, listing=False)
    message = _MESSAGES[kind](value, context) if kind in _MESSAGES else _sentence(str(detail["msg"]))
    return message, _hint(kind, value, context, loc) or purpose(loc)


def _hint(kind: str, value: Any, context: Mapping[str, Any], loc: Path) -> str:
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f'put quotes around it: "{str(value).lower() if isinstance(value, bool) else value}"'
    if (kind == "int_type" and str(value).isdecimal()) or (kind == "bool_type" and value in ("true", "false")):
        return "write it without quotes"
    if kind == "string_pattern_mismatch":
        return PATTERN_HINTS.get(str(context["pattern"])) or _pattern(str(context["pattern"]), loc)
    return ""


def _pattern(pattern: str, loc: Path) -> str:
    """What is wanted, an example, and the pattern; of an item, what its list is for."""
    wanted = purpose(loc[:-1] if loc and isinstance(loc[-1], int) else loc)
    return f"{wanted}; it must match {pattern}" if wanted else f"it must match {pattern}"


def _too_short(length: int, least: int) -> str:
    return f"has {length} item{'s' * (length > 1)}, {least} at least" if length else "the list is empty"


def _sentence(message: str) -> str:
    text = message.removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def shown(value: Any) -> str:
    """A value for a message, cut where it is long."""
    if value is None or isinstance(value, dict | list):
        return "nothing" if value is None else "a mapping" if isinstance(value, dict) else "a list"
    text = str(value).lower() if isinstance(value, bool) else visible(str(value))
    return f"`{text[:_SHOWN]}…`" if len(text) > _SHOWN else f"`{text}`"


def known_keys(loc: Path) -> tuple[str, ...]:
    """The keys that the language knows at `loc`, empty where any key may stand."""
    nodes = _nodes_at(loc)
    return tuple(dict.fromkeys(field.alias or name for node in nodes for name, field in node.model_fields.items()))


def purpose(loc: Path) -> str:
    """What the key at `loc` is for, with an example; empty for what the language does not know."""
    field = next((found for node in _nodes_at(loc[:-1]) if (found := _field(node, loc[-1]))), None) if loc else None
    return purpose_of(field) if field else ""


def purpose_of(field: FieldInfo) -> str:
    """What a field of the language is for, with an example."""
    if not field.examples:
        return str(field.description)
    first = field.examples[0]
    example = json.dumps(first, ensure_ascii=False) if isinstance(first, dict | list) else first
    return f"{field.description} Example: {example}"


@lru_cache(maxsize=256)
def _nodes_at(loc: Path) -> tuple[type[BaseModel], ...]:
    """The mappings that may stand at `loc`, a place as pydantic names it: with the branches of unions."""
    nodes: tuple[type[BaseModel], ...] = (Spec,)
    for part in loc:
        if isinstance(part, str):
            branch = tuple(node for node in nodes if len(nodes) > 1 and _is_branch(node, part))
            nodes = branch or tuple(
                inner for node in nodes if (field := _field(node, part)) for inner in _models_in(field.annotation)
            )
    return nodes


def _field(node: type[BaseModel], key: str | int) -> FieldInfo | None:
    return next((field for name, field in node.model_fields.items() if (field.alias or name) == key), None)


def _is_branch(node: type[BaseModel], tag: str) -> bool:
    """Whether a union is this mapping where its `type` is `tag`."""
    kind = _field(node, "type")
    return kind is not None and get_args(kind.annotation) == (tag,)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
