"""Schemas of kinds: those that the user gives (JSON Schemas, CustomResourceDefinitions), and those of other graphs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

from generator.errors import UserError
from generator.kro import reading, scopes
from generator.kro.builtin import ANYTHING, OBJECT_META, TEXT, certain
from generator.kro.graph import Graph, Kind
from generator.kro.simpleschema import convert

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Schemas:
    """What is known of kinds. `given`: the user named schemas, so that a kind without one is worth a word.

    `partial` kinds are known by their spec alone: their status may hold anything. `narrow` schemas hold fewer fields
    than the kinds have: they say the type of a field, and nothing about others.
    """

    kinds: Mapping[Kind, Schema] = field(default_factory=dict)
    scopes: Mapping[Kind, bool] = field(default_factory=dict)
    partial: frozenset[Kind] = frozenset()
    narrow: Mapping[Kind, Schema] = field(default_factory=dict)
    given: bool = False

    def namespaced(self, api_version: str, kind: str) -> bool | None:
        known = self.scopes.get((api_version, kind))
        return scopes.namespaced(api_version, kind) if known is None else known

    def of(self, kind: Kind) -> Schema | None:
        """The schema of whole objects of `kind`, with their metadata; None where it is not known."""
        return _whole(self.kinds.get(kind), kind in self.partial)

    def template(self, kind: Kind) -> Schema:
        """The schema that a template of `kind` is held against: the whole one, else what is certain."""
        return self.of(kind) or certain(*kind)

    def fields(self, kind: Kind) -> Schema:
        """The schema that says the type of a field of `kind`."""
        return self.of(kind) or _whole(self.narrow.get(kind), True) or certain(*kind)

    def with_graphs(self, graphs: Iterable[Graph]) -> Schemas:
        """These, and the kinds of the instances of `graphs`; a kind that two of them make stays open."""
        made: dict[Kind, Schema] = {}
        where: dict[Kind, bool] = {}
        for graph in graphs:
            twice = graph.kind in made
            spec = ANYTHING if twice else convert(graph.spec, graph.types).schema
            made[graph.kind] = {"type": "object", "properties": {"spec": spec}}
            where[graph.kind] = graph.scope != "Cluster"
        return replace(
            self,
            kinds={**made, **self.kinds},
            scopes={**where, **self.scopes},
            partial=self.partial | (frozenset(made) - frozenset(self.kinds)),
        )


def _whole(schema: Schema | None, partial: bool) -> Schema | None:
    """The schema of whole objects: with metadata, and with any status where the kind is known in part."""
    if schema is None or not isinstance(schema.get("properties"), dict):
        return None
    fields = {**schema["properties"], "apiVersion": TEXT, "kind": TEXT, "metadata": OBJECT_META}
    if partial:
        fields.setdefault("status", ANYTHING)
    return {"type": "object", "properties": fields, "required": schema.get("required", [])}


def load(places: Iterable[FilePath]) -> Schemas:
    """The schemas in the files and folders `places`. Raises UserError where there is none."""
    kinds: dict[Kind, Schema] = {}
    where: dict[Kind, bool] = {}
    chosen = list(places)
    for path in reading.files(chosen):
        for document in reading.read(path):
            for kind, schema, namespaced in _schemas(document.data):
                kinds[kind] = schema
                if namespaced is not None:
                    where[kind] = namespaced
    if chosen and not kinds:
        hint = "CustomResourceDefinitions as YAML, or JSON Schemas whose apiVersion and kind are constants"
        raise UserError.of("no schema of a kind is here", file=str(chosen[0]), hint=hint)
    return Schemas(kinds, where, given=bool(chosen))


def _schemas(data: Mapping[str, Any]) -> Iterator[tuple[Kind, Schema, bool | None]]:
    items = data.get("items")
    if str(data.get("kind")).endswith("List") and isinstance(items, list):
        for item in items:
            yield from _schemas(item if isinstance(item, dict) else {})
        return
    if data.get("kind") == "CustomResourceDefinition":
        yield from _of_definition(data.get("spec") or {})
        return
    fields = data.get("properties")
    if not isinstance(fields, dict):
        return
    groups = data.get("x-kubernetes-group-version-kind")
    for entry in groups if isinstance(groups, list) else ():
        version = "/".join(part for part in (entry.get("group"), entry.get("version")) if part)
        yield (version, str(entry.get("kind"))), data, None
    versions, names = (_constant(fields.get(key)) for key in ("apiVersion", "kind"))
    if versions and names and not groups:
        yield (versions, names), data, None


def _of_definition(spec: Mapping[str, Any]) -> Iterator[tuple[Kind, Schema, bool]]:
    group, name = spec.get("group"), (spec.get("names") or {}).get("kind")
    for version in spec.get("versions") or ():
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if isinstance(schema, dict):
            yield (f"{group}/{version.get('name')}", str(name)), schema, spec.get("scope") != "Cluster"


def _constant(field: Any) -> str:
    """The one value that a field may have."""
    if not isinstance(field, dict):
        return ""
    choices = field.get("enum") or []
    return str(field.get("const") or (choices[0] if len(choices) == 1 else ""))


def at(schema: Schema | None, path: Iterable[str | int]) -> Schema | None:
    """The schema of the field at `path` below `schema`; None where nothing is known of it."""
    for part in path:
        if schema is None or schema.get("x-kubernetes-preserve-unknown-fields"):
            return None
        if isinstance(part, int):
            schema = schema.get("items")
        else:
            schema = schema.get("properties", {}).get(part, schema.get("additionalProperties"))
        if not isinstance(schema, dict):
            return None
    return schema
