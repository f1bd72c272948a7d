"""Markers of a SimpleSchema field: what stands behind the `|`, such as `required=true default="x"`.

Source: kro v0.9.3, pkg/simpleschema/markers.go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from generator.kro.instance import compiled

Schema = dict[str, Any]

NAMES = (
    "required",
    "default",
    "description",
    "minimum",
    "maximum",
    "validation",
    "enum",
    "immutable",
    "pattern",
    "uniqueItems",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "listType",
    "listMapKey",
)
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}  # strconv.ParseBool
_UNKNOWN_TO_RE2 = re.compile(r"\(\?<?[=!]|\(\?>|(?<!\\)(?:\\\\)*\\[1-9]")


class MarkerFault(ValueError):
    """A marker that kro refuses. `hint` says how to mend it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def split(text: str) -> list[tuple[str, str]]:
    """The markers of `text` as (name, value), quotes and escapes removed. Raises MarkerFault."""
    found: list[tuple[str, str]] = []
    name, buffer, quoted, escaped, brackets = "", "", False, False, 0
    for character in text:
        if character == "=" and not name and not quoted and not brackets:
            name, buffer = _known(buffer.strip()), ""
            continue
        if character.isspace() and not quoted and not brackets:
            if name:
                found.append((name, _value(buffer)))
                name, buffer = "", ""
            continue
        if character == '"' and not escaped:
            quoted = not quoted
        elif not quoted:
            brackets += (character in "{[") - (character in "}]")
            if brackets < 0:
                raise MarkerFault(f"`{character}` closes a bracket that was not opened")
        escaped = character == "\\" and quoted and not escaped
        buffer += character
    if quoted or brackets:
        raise MarkerFault("a quote is not closed" if quoted else "a bracket is not closed")
    if name:
        found.append((name, _value(buffer)))
    elif buffer:
        raise MarkerFault(
            f"the marker `{buffer}` has no value", "write name=value, without spaces around the equals sign"
        )
    return found


def _known(name: str) -> str:
    if name in NAMES:
        return name
    if "|" in name:
        raise MarkerFault("a second `|`", "markers are separated by spaces; only the first `|` ends the type")
    if not name:
        raise MarkerFault("a value without a marker's name")
    raise MarkerFault(f"unknown marker `{name}`", f"kro knows {', '.join(NAMES)}")


def _value(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r'\\(["\\])', r"\1", text[1:-1])
    return text.strip()


def apply(schema: Schema, name: str, value: str) -> None:
    """Put one marker (all but `required`, which belongs to the parent) into `schema`. Raises MarkerFault."""
    _APPLY[name](schema, name, value)


def boolean(name: str, value: str) -> bool:
    if value not in _BOOLEANS:
        raise MarkerFault(f"{name}={value}: neither true nor false")
    return _BOOLEANS[value]


def _default(schema: Schema, _: str, value: str) -> None:
    """Text is put between quotes as it is; anything else is JSON."""
    kind = schema.get("type")
    try:
        schema["default"] = json.loads(f'"{value}"' if kind == "string" else value)
    except ValueError:
        hint = 'leave `"` and `\\` out of a default' if kind == "string" else 'write JSON: {}, [], {"key": "value"}'
        raise MarkerFault(f"default={value} is no JSON for type {kind}", hint) from None


def _text(schema: Schema, name: str, value: str) -> None:
    schema[name] = value


def _number(schema: Schema, name: str, value: str) -> None:
    try:
        schema[name] = float(value) if not re.fullmatch(r"[-+]?\d+", value) else int(value)
    except ValueError:
        raise MarkerFault(f"{name}={value} is no number") from None


def _count(kind: str) -> Callable[[Schema, str, str], None]:
    def apply_count(schema: Schema, name: str, value: str) -> None:
        _only(schema, name, kind)
        if not re.fullmatch(r"[-+]?\d+", value):
            raise MarkerFault(f"{name}={value} is no whole number")
        schema[name] = int(value)

    return apply_count


def _only(schema: Schema, name: str, *kinds: str) -> None:
    if schema.get("type") not in kinds:
        raise MarkerFault(f"{name} goes with type {' or '.join(kinds)} only, not with {schema.get('type', 'any')}")


def _enum(schema: Schema, name: str, value: str) -> None:
    _only(schema, name, "string", "integer")
    schema["enum"] = list(_choices(schema, value))


def _choices(schema: Schema, value: str) -> Iterator[Any]:
    for choice in (part.strip() for part in value.split(",")):
        if not choice:
            raise MarkerFault("an empty choice in enum", "write enum=a,b without a comma at the end")
        if schema["type"] == "string":
            yield choice
        elif re.fullmatch(r"[-+]?\d+", choice):
            yield int(choice)
        else:
            raise MarkerFault(f"the choice `{choice}` of enum is no whole number")


def _pattern(schema: Schema, name: str, value: str) -> None:
    _only(schema, name, "string")
    if not value:
        raise MarkerFault("pattern is empty")
    if _UNKNOWN_TO_RE2.search(value):
        raise MarkerFault(f"pattern {value!r}: Go's RE2 has no look-around and no back-references")
    try:
        compiled(value)
    except re.error as error:
        raise MarkerFault(f"pattern {value!r}: {error}") from None
    schema["pattern"] = value


def _rule(schema: Schema, name: str, value: str) -> None:
    if not value.strip():
        raise MarkerFault("validation is empty")
    schema.setdefault("x-kubernetes-validations", []).append({"rule": value})


def _immutable(schema: Schema, name: str, value: str) -> None:
    if boolean(name, value):
        _rule(schema, name, "self == oldSelf")


def _unique(schema: Schema, name: str, value: str) -> None:
    _only(schema, name, "array")
    if boolean(name, value):
        schema["x-kubernetes-list-type"] = "set"


def _list_type(schema: Schema, name: str, value: str) -> None:
    _only(schema, name, "array")
    if value not in ("atomic", "set", "map"):
        raise MarkerFault(f"listType={value}: it is atomic, set or map")
    schema["x-kubernetes-list-type"] = value


def _list_key(schema: Schema, name: str, value: str) -> None:
    _only(schema, name, "array")
    schema.setdefault("x-kubernetes-list-map-keys", []).append(value)


_APPLY: dict[str, Callable[[Schema, str, str], None]] = {
    "default": _default,
    "description": _text,
    "minimum": _number,
    "maximum": _number,
    "validation": _rule,
    "enum": _enum,
    "immutable": _immutable,
    "pattern": _pattern,
    "uniqueItems": _unique,
    "minLength": _count("string"),
    "maxLength": _count("string"),
    "minItems": _count("array"),
    "maxItems": _count("array"),
    "listType": _list_type,
    "listMapKey": _list_key,
}
