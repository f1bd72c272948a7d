"""JSON schemas as CEL types: protobuf messages for objects with known fields, dyn for what has no certain type.

Follows kro v0.9.3, pkg/cel/schemas.go, where that can say less without saying something else: preserve-unknown-fields,
int-or-string, byte and date formats, and objects with names that are no identifiers are dyn.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from generator.kro.environment import cel, environment
from generator.kro.syntax import Type

Schema = Mapping[str, Any]

_PACKAGE = "kro.types"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SCALARS = {"string": 9, "integer": 3, "number": 1, "boolean": 8}  # FieldDescriptorProto.Type
_MESSAGE, _OPTIONAL, _REPEATED = 11, 1, 3
PRESERVE = "x-kubernetes-preserve-unknown-fields"
_ANYTHING = ".google.protobuf.Value"
MAX_MESSAGES = 4000


@dataclass(slots=True)
class Types:
    """Types by name, and the schemas of the messages among them. Grows while variables are added."""

    variables: dict[str, Any] = field(default_factory=dict)
    schemas: dict[str, Schema] = field(default_factory=dict)
    messages: dict[str, Any] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)

    def add(self, name: str, schema: Schema | None, *, many: bool = False) -> None:
        """Declare the variable `name`; without a schema it may be anything. `many`: a list of such."""
        kind = cel().Type.DYN if schema is None else self._type(schema)
        self.variables[name] = cel().Type.List(kind) if many else kind

    def declare(self, name: str, kind: Type) -> None:
        """Declare the variable `name` with a type that the checker inferred."""
        self.variables[name] = self._inferred(kind)

    def environment(self) -> Any:
        """The environment with these types; with none, should protobuf refuse a message: no alarm that is false."""
        typed = environment(self.variables, self._pool())
        try:
            typed.compile("schema.metadata.name")
        except RuntimeError:
            return environment(dict.fromkeys(self.variables, cel().Type.DYN))
        return typed

    def _inferred(self, kind: Type) -> Any:
        types = cel().Type
        match kind:
            case Type(name="list", parameters=(item,)):
                return types.List(self._inferred(item))
            case Type(name="map", parameters=(key, item)):
                return types.Map(self._inferred(key), self._inferred(item))
        if kind.name in self.schemas:
            return types(kind.name)
        return getattr(types, kind.name.upper(), types.DYN) if kind.name.isalpha() else types.DYN

    def _type(self, schema: Schema) -> Any:
        types = cel().Type
        match _declared(schema):
            case "message":
                return types(self._message(schema))
            case "map":
                return types.Map(types.STRING, self._type(schema["additionalProperties"]))
            case "list":
                return types.List(self._type(schema["items"]))
            case "string" | "integer" | "number" | "boolean" as scalar:
                return {"string": types.STRING, "integer": types.INT, "number": types.DOUBLE, "boolean": types.BOOL}[
                    scalar
                ]
        return types.DYN

    def _message(self, schema: Schema) -> str:
        """The name of the message of an object; one schema object has one message."""
        if id(schema) in self.names:
            return self.names[id(schema)]
        name = f"{_PACKAGE}.T{len(self.names)}"
        self.names[id(schema)] = name
        self.schemas[name] = schema
        descriptors = importlib.import_module("google.protobuf.descriptor_pb2")
        message = descriptors.DescriptorProto(name=name.rpartition(".")[2])
        message.options.deprecated_legacy_json_field_conflicts = True  # fooBar beside foo_bar
        self.messages[name] = message
        for number, (key, child) in enumerate(schema["properties"].items(), start=1):
            self._field(message, number + (1000 if number >= 19000 else 0), key, child)
        return name

    def _field(self, message: Any, number: int, name: str, schema: Schema) -> None:
        made = message.field.add(name=name, number=number, json_name=f"f{number}", label=_OPTIONAL)
        match _declared(schema):
            case "list":
                made.label = _REPEATED
                self._fill(made, schema["items"])
            case "map" if not _taken(message, name):
                entry = message.nested_type.add(name=_entry(name))
                entry.options.map_entry = True
                key = entry.field.add(name="key", number=1, label=_OPTIONAL, type=_SCALARS["string"])
                key.json_name = "key"
                self._fill(entry.field.add(name="value", number=2, label=_OPTIONAL), schema["additionalProperties"])
                made.label, made.type = _REPEATED, _MESSAGE
                made.type_name = f".{_PACKAGE}.{message.name}.{entry.name}"
            case _:
                self._fill(made, schema)

    def _fill(self, made: Any, schema: Schema) -> None:
        kind = _declared(schema)
        if kind in _SCALARS:
            made.type = _SCALARS[kind]
            return
        made.type = _MESSAGE
        known = kind == "message" and len(self.names) < MAX_MESSAGES
        made.type_name = f".{self._message(schema)}" if known else _ANYTHING

    def _pool(self) -> Any:
        pools = importlib.import_module("google.protobuf.descriptor_pool")
        descriptors = importlib.import_module("google.protobuf.descriptor_pb2")
        anything = importlib.import_module("google.protobuf.struct_pb2").DESCRIPTOR
        pool = pools.DescriptorPool()
        pool.AddSerializedFile(anything.serialized_pb)
        file = descriptors.FileDescriptorProto(
            name="kro/types.proto", package=_PACKAGE, syntax="proto3", dependency=[anything.name]
        )
        file.message_type.extend(self.messages.values())
        pool.AddSerializedFile(file.SerializeToString())
        return pool


def _entry(name: str) -> str:
    """The name that protobuf wants for the entries of a map field."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_")) + "Entry"


def _taken(message: Any, name: str) -> bool:
    """Whether another field of the message has the entries' name already; the map is then of dyn."""
    return any(nested.name == _entry(name) for nested in message.nested_type)


def kind_of(schema: Schema | None) -> str:
    """ "string", "integer", "number", "boolean", "list", "map", "message", or "dyn" where nothing is certain."""
    if not isinstance(schema, Mapping) or schema.get(PRESERVE) or schema.get("x-kubernetes-int-or-string"):
        return "dyn"
    if any(key in schema for key in ("oneOf", "anyOf", "allOf", "$ref")) and "properties" not in schema:
        return "dyn"
    kind = schema.get("type")
    if not isinstance(kind, str | None):
        return "dyn"
    if kind == "string":
        return "dyn" if schema.get("format") in ("byte", "date", "date-time", "duration", "int-or-string") else "string"
    if kind == "array":
        return "list" if isinstance(schema.get("items"), Mapping) else "dyn"
    if kind == "object" or (kind is None and "properties" in schema):
        fields = schema.get("properties")
        if isinstance(fields, Mapping):
            return "message"
        return "map" if isinstance(schema.get("additionalProperties"), Mapping) else "dyn"
    return kind if kind in _SCALARS else "dyn"


def _declared(schema: Schema | None) -> str:
    """`kind_of` for the checker: an object with a name that is no identifier is dyn there."""
    kind = kind_of(schema)
    odd = kind == "message" and schema is not None and not all(map(_NAME.fullmatch, schema["properties"]))
    return "dyn" if odd else kind


def fits(given: Type, schema: Schema | None, types: Types) -> str:
    """Why a value of type `given` cannot stand where `schema` is; empty where it can.

    Source: kro v0.9.3, pkg/cel/compatibility.go, and its documentation of static analysis.
    """
    wanted = kind_of(schema)
    if given.name == "optional_type" and given.parameters:
        return fits(given.parameters[0], schema, types)
    if schema is None or wanted == "dyn" or given.name in ("dyn", "null_type", "error"):
        return ""
    match wanted, given:
        case ("list", Type(name="list", parameters=(item,))):
            return fits(item, schema["items"], types)
        case ("map", Type(name="map", parameters=(_, item))):
            return fits(item, schema["additionalProperties"], types)
        case ("message" | "map", Type(name="map")):
            return ""
    if given.name in types.schemas and wanted in ("message", "map"):
        return _message_fits(types.schemas[given.name], schema) if wanted == "message" else ""
    names = {"string": "string", "integer": "int", "number": "double", "boolean": "bool", "list": "list"}
    if names.get(wanted) == given.name or (wanted == "integer" and given.name == "uint"):
        return ""
    return f"gives {_readable(given, types)}, and the field takes {WORDS.get(wanted, wanted)}"


def _message_fits(given: Schema, wanted: Schema) -> str:
    """An object may have fewer fields than the other, and none that the other has not."""
    for name, child in given["properties"].items():
        other = wanted["properties"].get(name, wanted.get("additionalProperties"))
        if other is None:
            return f"gives an object with `{name}`, which the field does not have"
        kinds = kind_of(child), kind_of(other)
        if "dyn" not in kinds and kinds[0] != kinds[1] and set(kinds) != {"map", "message"}:
            return f"gives an object whose `{name}` is {WORDS[kinds[0]]}, and the field takes {WORDS[kinds[1]]}"
    return ""


WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number (double)",
    "boolean": "true or false",
    "list": "a list",
    "map": "a map",
    "message": "an object",
}


def readable(text: str) -> str:
    """A message of the checker, or a type, without the names that messages have here."""
    text = re.sub(r"(undefined field '.*') not found in struct .*", r"\1", text)
    return re.sub(rf"'?{re.escape(_PACKAGE)}[.]T[0-9]+'?", "object", text)


def _readable(kind: Type, types: Types) -> str:
    return "an object" if kind.name in types.schemas else f"type {readable(str(kind))}"
