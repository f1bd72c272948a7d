"""Values against the schema of a CRD: what the API server refuses, and the defaults that it fills in.

Source: Kubernetes' structural schemas (apiextensions-apiserver: defaulting, pruning, validation) as far as
SimpleSchema can write them.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from generator.errors import Path
from generator.suggest import suggest

Found = tuple[Path, str, str]
"""Place inside the value, what is wrong, how to mend it."""

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}
_GO_ALONE = re.compile(r"\\[pPzQEC]|\[\[:|\(\?[a-zA-Z]*U|\\x\{|\(\?<")
_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}
_NAMES = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
}
_QUOTES = {
    "string": "put quotes around it",
    "integer": "remove the quotes",
    "boolean": "write true or false",
    "array": "write - item",
}


def with_defaults(value: Any, schema: Mapping[str, Any]) -> Any:
    """`value` with the defaults of what it leaves out, on every level that is there."""
    if isinstance(value, dict):
        return {**{k: with_defaults(v, _child(schema, k)) for k, v in value.items()}, **_missing(value, schema)}
    if isinstance(value, list):
        return [with_defaults(item, schema.get("items", {})) for item in value]
    return value


def _missing(value: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    out = {}
    for name, child in schema.get("properties", {}).items():
        if value.get(name) is None and "default" in child:
            out[name] = with_defaults(copy.deepcopy(child["default"]), child)
    return out


def _child(schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    child = schema.get("properties", {}).get(name, schema.get("additionalProperties", {}))
    return child if isinstance(child, dict) else {}


def value_faults(value: Any, schema: Mapping[str, Any], path: Path = ()) -> Iterator[Found]:
    """What the API server would refuse in `value`."""
    kind = schema.get("type")
    if kind and not _is(value, kind):
        shown = _NAMES.get(type(value), "nothing")
        yield path, f"must be {_WORDS.get(kind, kind)}, not {shown}", _QUOTES.get(kind, "")
        return
    if "enum" in schema and value not in schema["enum"]:
        choices = [str(choice) for choice in schema["enum"]]
        yield path, f"{value!r} is not one of {', '.join(choices)}", suggest(str(value), choices)
    if isinstance(value, str):
        yield from _text_faults(value, schema, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _number_faults(value, schema, path)
    elif isinstance(value, list):
        yield from _list_faults(value, schema, path)
    elif isinstance(value, dict):
        yield from _object_faults(value, schema, path)


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(kind, (object,)))


def _text_faults(value: str, schema: Mapping[str, Any], path: Path) -> Iterator[Found]:
    if len(value) < schema.get("minLength", 0):
        yield path, f"is shorter than {schema['minLength']} characters", ""
    if len(value) > schema.get("maxLength", len(value)):
        yield path, f"is longer than {schema['maxLength']} characters", ""
    pattern = schema.get("pattern")
    if pattern and not _matches(pattern, value):
        yield path, f"{value!r} does not match {pattern}", ""


def compiled(pattern: str) -> re.Pattern[str] | None:
    """A pattern of Go's RE2, whose `$` is the end of the text; None where Python has no such syntax.

    Raises re.error for what is no pattern.
    """
    if _GO_ALONE.search(pattern):
        return None
    return re.compile(re.sub(r"(\\.)|\$(?=[)|]|\Z)", lambda found: found[1] or r"\Z", pattern))


def _matches(pattern: str, value: str) -> bool:
    try:
        known = compiled(pattern)
    except re.error:
        return True  # told with the marker
    return known is None or known.search(value) is not None


def _number_faults(value: float, schema: Mapping[str, Any], path: Path) -> Iterator[Found]:
    if value < schema.get("minimum", value):
        yield path, f"{value} is less than {schema['minimum']}", ""
    if value > schema.get("maximum", value):
        yield path, f"{value} is more than {schema['maximum']}", ""


def _list_faults(value: list[Any], schema: Mapping[str, Any], path: Path) -> Iterator[Found]:
    if len(value) < schema.get("minItems", 0):
        yield path, f"has fewer than {schema['minItems']} items", ""
    if len(value) > schema.get("maxItems", len(value)):
        yield path, f"has more than {schema['maxItems']} items", ""
    if schema.get("x-kubernetes-list-type") == "set" and any(v in value[:i] for i, v in enumerate(value)):
        yield path, "holds an item twice", "every item may stand once"
    for index, item in enumerate(value):
        yield from value_faults(item, schema.get("items", {}), (*path, index))


def _object_faults(value: dict[str, Any], schema: Mapping[str, Any], path: Path) -> Iterator[Found]:
    fields = schema.get("properties", {})
    for name in schema.get("required", ()):
        if value.get(name) is None and "default" not in fields.get(name, {}):
            yield (*path, name), "is required", "add it"
    is_open = (
        "additionalProperties" in schema
        or "x-kubernetes-preserve-unknown-fields" in schema
        or "properties" not in schema
    )
    for name, inner in value.items():
        if name in fields or is_open:
            if inner is not None:
                yield from value_faults(inner, _child(schema, name), (*path, name))
        else:
            yield (*path, name), "is no field of this kind", suggest(name, list(fields))
