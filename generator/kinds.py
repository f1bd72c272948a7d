"""Rendered objects against our own strict schemas of their kinds (schemas/kinds, JSON Schema draft 7).

The schemas hold just the fields that we emit; an unknown field is a finding. Templates inside a
ResourceGraphDefinition are judged by the schema of their own kind, where CEL (`${...}`) may stand for any value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from generator import yamlio
from generator.errors import Path, UserError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

CEL = "${"
SERVE_CONFIG = "serve-config.json"
_SHOWN = 200  # characters of a validator's message

Finding = tuple[Path, str]
"""Where inside the object, and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Schemas:
    """A validator for each `(apiVersion, kind)`, and one for the content of serveConfigV2."""

    kinds: Mapping[tuple[str, str], Validator]
    serve: Validator


@lru_cache(maxsize=4)
def load_schemas(folder: FilePath) -> Schemas:
    """The schemas of `folder`; files that start with `_` are shared definitions."""
    from jsonschema import Draft7Validator
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT7

    contents = {path.name: json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))}
    resources = [(name, Resource(contents=content, specification=DRAFT7)) for name, content in contents.items()]
    registry: Registry[Any] = Registry().with_resources(resources)
    validators = {
        name: Draft7Validator({"$ref": name}, registry=registry) for name in contents if not name.startswith("_")
    }
    kinds = {
        (content["properties"]["apiVersion"]["const"], content["properties"]["kind"]["const"]): validators[name]
        for name, content in contents.items()
        if name in validators and name != SERVE_CONFIG
    }
    return Schemas(kinds, validators[SERVE_CONFIG])


def validate(
    obj: Mapping[str, Any], schemas: Schemas, *, made: frozenset[tuple[str, str]] = frozenset()
) -> Iterator[Finding]:
    """What is wrong with one object. `made` are the kinds that a ResourceGraphDefinition of the tree defines."""
    yield from _object(obj, schemas, made, templated=False)


def _object(
    obj: Mapping[str, Any], schemas: Schemas, made: frozenset[tuple[str, str]], *, templated: bool
) -> Iterator[Finding]:
    key = (str(obj.get("apiVersion", "")), str(obj.get("kind", "")))
    if key not in schemas.kinds:
        if key not in made:
            yield ("kind",), f"there is no schema for {key[1]} of {key[0]}"
        return
    yield from _errors(schemas.kinds[key], obj, templated=templated)
    spec = obj.get("spec")
    if key[1] == "RayService" and isinstance(spec, dict):
        yield from _serve_config(spec.get("serveConfigV2"), schemas)
    if key[1] == "ResourceGraphDefinition" and isinstance(spec, dict):
        for index, resource in enumerate(spec.get("resources", ())):
            for path, message in _object(resource.get("template", {}), schemas, made, templated=True):
                yield ("spec", "resources", index, "template", *path), message


def _errors(validator: Validator, instance: Any, *, templated: bool) -> Iterator[Finding]:
    for error in validator.iter_errors(instance):
        if not (templated and isinstance(error.instance, str) and CEL in error.instance):
            yield tuple(error.absolute_path), error.message[:_SHOWN]


def _serve_config(text: Any, schemas: Schemas) -> Iterator[Finding]:
    if not isinstance(text, str) or CEL in text:
        return
    try:
        config = yamlio.load(text, "serveConfigV2").data
    except UserError as error:
        yield from ((("spec", "serveConfigV2"), d.message) for d in error.diagnostics)
        return
    for path, message in _errors(schemas.serve, config, templated=False):
        yield ("spec", "serveConfigV2", *path), message
