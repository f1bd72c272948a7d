"""pydantic's errors in the words of this language, with a hint that says how to mend them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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
    key = visible(str(path[-1])) if path else ""
    if kind == "extra_forbidden":
        return f"unknown key `{key}`", suggest(key, known_keys(path[:-1]))
    if kind == "missing":
        return f"missing key `{key}`", purpose(path)
    if kind == "literal_error":
        allowed = [word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
        return f"{shown(value)} is not one of {', '.join(allowed)}", suggest(str(value), allowed, listing=False)
    message = _MESSAGES[kind](value, context) if kind in _MESSAGES else _sentence(str(detail["msg"]))
    return message, _hint(kind, value, context) or purpose(path)


def _hint(kind: str, value: Any, context: Mapping[str, Any]) -> str:
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f'put quotes around it: "{str(value).lower() if isinstance(value, bool) else value}"'
    if (kind == "int_type" and str(value).isdecimal()) or (kind == "bool_type" and value in ("true", "false")):
        return "write it without quotes"
    if kind == "string_pattern_mismatch":
        return PATTERN_HINTS.get(str(context["pattern"]), f"it must match {context['pattern']}")
    return ""


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


def known_keys(path: Path) -> tuple[str, ...]:
    """The keys that the language knows at `path`, empty where any key may stand."""
    node = _node_at(path)
    return tuple(field.alias or name for name, field in node.model_fields.items()) if node else ()


def purpose(path: Path) -> str:
    """What the key at `path` is for, with an example; empty for what the language does not know."""
    node = _node_at(path[:-1]) if path else None
    for name, field in node.model_fields.items() if node else ():
        if (field.alias or name) == path[-1]:
            return purpose_of(field)
    return ""


def purpose_of(field: FieldInfo) -> str:
    """What a field of the language is for, with an example."""
    if not field.examples:
        return str(field.description)
    first = field.examples[0]
    example = json.dumps(first, ensure_ascii=False) if isinstance(first, dict | list) else first
    return f"{field.description} Example: {example}"


@lru_cache(maxsize=256)
def _node_at(path: Path) -> type[BaseModel] | None:
    node: type[BaseModel] | None = Spec
    for part in path:
        if isinstance(part, int):
            continue
        field = next((f for n, f in node.model_fields.items() if (f.alias or n) == part), None) if node else None
        node = _model_in(field.annotation) if field else None
    return node


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _model_in(argument))), None)
