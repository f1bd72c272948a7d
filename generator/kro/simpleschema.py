"""SimpleSchema to the JSON schema of the generated CRD.

Source: kro v0.9.3, pkg/simpleschema (parse.go, transform.go, types/) and its specification on the web site. The result
uses what a structural schema of a CRD knows: type, properties, required, default, enum, x-kubernetes-*.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from generator.errors import Fault, Path, Severity
from generator.kro import markers
from generator.kro.instance import value_faults
from generator.kro.markers import MarkerFault, Schema

ATOMIC = {"string": "string", "integer": "integer", "boolean": "boolean", "float": "number"}
MAX_NESTING = 16
PRESERVE = "x-kubernetes-preserve-unknown-fields"
_MEANT = {
    "int": "integer",
    "int32": "integer",
    "int64": "integer",
    "bool": "boolean",
    "number": "float",
    "double": "float",
    "str": "string",
    "any": "object",
    "map": "map[string]string",
    "array": "[]string",
    "list": "[]string",
    "dict": "map[string]string",
}
_OPENAPI = {"additionalProperties", "default", "description", "enum", "format", "items", "maximum", "minimum"} | {
    "nullable",
    "pattern",
    "properties",
    "required",
    "type",
}


@dataclass(frozen=True, slots=True)
class Converted:
    """The schema of the instances' `spec`, and what kro would refuse. Refused fields are open to any value."""

    schema: Schema
    faults: tuple[Fault, ...]


@dataclass(slots=True)
class _Work:
    types: Mapping[str, Any]
    faults: list[Fault] = field(default_factory=list)
    done: dict[str, tuple[Schema, bool]] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)

    def fault(self, path: Path, message: str, hint: str = "", severity: Severity = Severity.ERROR) -> None:
        self.faults.append(Fault(path, message, hint, severity))


def convert(spec: Any, types: Any = None, path: Path = ("spec", "schema")) -> Converted:
    """The JSON schema of `spec` with the custom `types`; `path` is where both stand in the document."""
    work = _Work(types if isinstance(types, dict) else {})
    for name in work.types:
        _custom(work, name, (*path, "types", name))
    return Converted(_struct(work, spec if isinstance(spec, dict) else {}, (*path, "spec")), tuple(work.faults))


def _struct(work: _Work, fields: Mapping[str, Any], path: Path) -> Schema:
    """An object of named fields. It gets the default {} when a child has a default and none is required."""
    _openapi(work, fields, path)
    schema: Schema = {"type": "object", "properties": {}}
    required = []
    for name, declared in fields.items():
        child, needed = _field(work, declared, (*path, name))
        schema["properties"][name] = child
        if needed:
            required.append(name)
    if required:
        schema["required"] = required
    elif any("default" in child for child in schema["properties"].values()):
        schema["default"] = {}
    return schema


def _field(work: _Work, declared: Any, path: Path) -> tuple[Schema, bool]:
    """The schema of one field, and whether it is required."""
    if isinstance(declared, dict):
        return _struct(work, declared, path), False
    if not isinstance(declared, str):
        hint = 'write a type, as in `string | default="x"`, or nested fields'
        work.fault(path, f"a field is declared by text or by nested fields, not by {_shown(declared)}", hint)
        return {PRESERVE: True}, False
    kind, _, rest = declared.partition("|")
    schema, required = _type(work, kind.strip(), path, 0)
    try:
        found = markers.split(rest)
        if "|" in declared and not found:
            raise MarkerFault("there is a `|` and no marker behind it")
    except MarkerFault as fault:
        work.fault(path, str(fault), fault.hint)
        return schema, required
    for name, value in found:
        try:
            if name == "required":
                required = markers.boolean(name, value) or required
            elif PRESERVE not in schema or schema.get("type") == "object":
                markers.apply(schema, name, value)
        except MarkerFault as fault:
            work.fault(path, str(fault), fault.hint)
    _check_default(work, schema, path)
    return schema, required


def _check_default(work: _Work, schema: Schema, path: Path) -> None:
    """The API server refuses a CRD whose defaults do not fit."""
    for inner, message, _ in value_faults(schema.get("default"), schema) if "default" in schema else ():
        where = "".join(f"[{part}]" for part in inner)
        work.fault(path, f"the default{where} does not fit: {message}", "the API server refuses the CRD of the kind")


def _type(work: _Work, text: str, path: Path, depth: int) -> tuple[Schema, bool]:
    """The schema of a type such as `[]map[string]Person`, and whether it is a custom type that is required."""
    if depth > MAX_NESTING:
        work.fault(path, f"the type nests deeper than {MAX_NESTING}")
    elif text in ATOMIC:
        return {"type": ATOMIC[text]}, False
    elif text == "object":
        return {"type": "object", PRESERVE: True}, False
    elif text.startswith("[]"):
        return {"type": "array", "items": _type(work, text[2:].strip(), path, depth + 1)[0]}, False
    elif text.startswith("map["):
        if found := re.fullmatch(r"map\[string\]\s*(.+)", text, re.DOTALL):
            value = _type(work, found[1].strip(), path, depth + 1)[0]
            return {"type": "object", "additionalProperties": value}, False
        message = "the keys of a map are strings" if not text.startswith("map[string]") else "the values have no type"
        work.fault(path, f"{text}: {message}", "write map[string]string")
    elif text in work.types:
        return _custom(work, text, path)
    else:
        _unknown(work, text, path)
    return {PRESERVE: True}, False


def _unknown(work: _Work, text: str, path: Path) -> None:
    if not text:
        work.fault(path, "the type is missing", "write a type first: string, integer, boolean, float, object")
        return
    meant = _MEANT.get(text.lower())
    known = ", ".join([*ATOMIC, "object", "[]T", "map[string]T", *sorted(work.types)])
    hint = f"did you mean `{meant}`?" if meant else f"kro knows {known}; more go below spec.schema.types"
    work.fault(path, f"unknown type `{text}`", hint)


def _custom(work: _Work, name: str, path: Path) -> tuple[Schema, bool]:
    """A copy of the schema of a type of `types`, and whether the type says that its fields are required."""
    if name in work.open:
        circle = " -> ".join([*work.open[work.open.index(name) :], name])
        work.fault(("spec", "schema", "types", name), f"types refer to one another in a circle: {circle}")
        work.done[name] = {PRESERVE: True}, False
    elif name not in work.done:
        work.open.append(name)
        made = _field(work, work.types[name], ("spec", "schema", "types", name))
        work.open.pop()
        work.done.setdefault(name, made)
    schema, required = work.done[name]
    return copy.deepcopy(schema), required


def _openapi(work: _Work, fields: Mapping[str, Any], path: Path) -> None:
    """OpenAPI below a field is read as nested fields called type, items and so on (kro#1314)."""
    kind = fields.get("type")
    if len(fields) > 1 and set(fields) <= _OPENAPI and kind in ("object", "array", "string", "integer", "number"):
        hint = "write it in one line: `map[string]string | default={}`"
        message = "this looks like OpenAPI; kro reads it as nested fields"
        work.fault(path, message, hint, Severity.WARNING)


def _shown(value: Any) -> str:
    names = {list: "a list", bool: "a boolean", int: "a number", float: "a number", type(None): "nothing"}
    return names.get(type(value), type(value).__name__)
