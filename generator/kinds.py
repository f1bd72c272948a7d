"""Rendered objects against our own strict schemas of their kinds (schemas/kinds, JSON Schema draft 7).

The schemas hold just the fields that we emit; an unknown field is a finding. Templates inside a
ResourceGraphDefinition are judged by the schema of their own kind, where CEL (`${...}`) may stand for any value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from generator import yamlio
from generator.errors import Path, UserError

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

CEL = "${"
SERVE_CONFIG = "serve-config.json"
_SHOWN = 80  # characters of a value

Kind = tuple[str, str]
"""apiVersion and kind."""
Finding = tuple[Path, str]
"""Where inside the object, and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Schemas:
    """A validator for each kind, and one for the content of serveConfigV2."""

    kinds: Mapping[Kind, Validator]
    serve: Validator


@lru_cache(maxsize=4)
def load_schemas(folder: FilePath) -> Schemas:
    """The schemas of `folder`; files that start with `_` are shared definitions."""
    schemas = read_schemas(folder)
    validators = {name: _validator(schema) for name, schema in schemas.items()}
    kinds = {kind_of(schema): validators[name] for name, schema in schemas.items() if name != SERVE_CONFIG}
    return Schemas(kinds, validators[SERVE_CONFIG])


def read_schemas(folder: FilePath) -> dict[str, dict[str, Any]]:
    """File name to schema, each `$ref` replaced by what it names.

    A definition is one shared object wherever it is named: nothing is copied, and no reference is followed while
    objects are judged. Raises RecursionError when definitions name one another in a circle.
    """
    files = {path.name: json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))}
    named: dict[str, Any] = {}

    def inlined(node: Any, file: str) -> Any:
        if isinstance(node, list):
            return [inlined(item, file) for item in node]
        if not isinstance(node, dict):
            return node
        if isinstance(node.get("$ref"), str):
            return definition(node["$ref"], file)
        return {key: inlined(value, file) for key, value in node.items() if key != "definitions"}

    def definition(reference: str, file: str) -> Any:
        place, _, pointer = reference.partition("#/definitions/")
        name = f"{place or file}#{pointer}"
        if name not in named:
            named[name] = inlined(files[place or file]["definitions"][pointer], place or file)
        return named[name]

    return {name: inlined(content, name) for name, content in files.items() if not name.startswith("_")}


def kind_of(schema: Mapping[str, Any]) -> Kind:
    """Which kind a schema is about."""
    return schema["properties"]["apiVersion"]["const"], schema["properties"]["kind"]["const"]


def validate(
    obj: Mapping[str, Any], schemas: Schemas, *, templated: bool = False, made: frozenset[Kind] = frozenset()
) -> Iterator[Finding]:
    """What is wrong with one object.

    `made` are the kinds that a ResourceGraphDefinition of the tree defines; `templated` allows CEL for any value.
    """
    key = (str(obj.get("apiVersion", "")), str(obj.get("kind", "")))
    if key not in schemas.kinds:
        if key not in made:
            yield ("kind",), f"there is no schema for {key[1]} of {key[0]}"
        return
    yield from _findings(schemas.kinds[key], obj, templated=templated)
    spec = obj.get("spec")
    if key[1] == "RayService" and isinstance(spec, dict):
        yield from _serve_config(spec.get("serveConfigV2"), schemas)
    if key[1] == "ResourceGraphDefinition" and isinstance(spec, dict):
        for index, template in _templates(spec.get("resources")):
            for path, message in validate(template, schemas, templated=True, made=made):
                yield ("spec", "resources", index, "template", *path), message


def _templates(resources: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, resource in enumerate(resources if isinstance(resources, list) else ()):
        template = resource.get("template") if isinstance(resource, dict) else None
        if isinstance(template, dict):
            yield index, template


def _serve_config(text: Any, schemas: Schemas) -> Iterator[Finding]:
    if not isinstance(text, str) or CEL in text:
        return
    try:
        config = yamlio.load(text, "serveConfigV2").data
    except UserError as error:
        yield from ((("spec", "serveConfigV2"), d.message) for d in error.diagnostics)
        return
    for path, message in _findings(schemas.serve, config, templated=False):
        yield ("spec", "serveConfigV2", *path), message


def _findings(validator: Validator, instance: Any, *, templated: bool) -> Iterator[Finding]:
    for error in validator.iter_errors(instance):
        if not (templated and _may_hold(error)):
            yield tuple(error.absolute_path), _message(error)


def _may_hold(error: ValidationError) -> bool:
    """Whether the error goes away once the CEL in the object has its value."""
    if isinstance(error.instance, str) and CEL in error.instance:
        return True
    branches: dict[str | int, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.schema_path[0], []).append(inner)
    return any(all(map(_may_hold, errors)) for errors in branches.values())


def _message(error: ValidationError) -> str:
    """The validator's message, with what the schema says in words for a long pattern, and without whole objects."""
    words = error.schema.get("description") if isinstance(error.schema, dict) else None
    if words and error.validator in ("const", "format", "minimum", "not", "pattern"):
        return f"{str(error.instance)[:_SHOWN]!r} does not fit: {words}"
    if isinstance(error.instance, dict) and error.validator in ("not", "oneOf"):
        rule: Any = error.validator_value
        names = " and ".join(
            n for part in (rule if isinstance(rule, list) else [rule]) for n in part.get("required", ())
        )
        return f"exactly one is wanted of {names}" if error.validator == "oneOf" else f"{names} may not be here"
    shown = repr(error.instance)
    return error.message.replace(shown, "this", 1) if len(shown) > _SHOWN else error.message


def _validator(schema: Mapping[str, Any]) -> Validator:
    """Draft 7 with ECMA's `$` and with integers that are written as integers."""
    from jsonschema import Draft7Validator, FormatChecker, validators

    types = Draft7Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    formats = FormatChecker(formats=())
    formats.checks("quantity")(is_canonical_quantity)
    extend: Callable[..., Callable[..., Validator]] = validators.extend
    return extend(Draft7Validator, {"pattern": _pattern}, type_checker=types)(schema, format_checker=formats)


def _pattern(validator: Validator, pattern: str, instance: Any, schema: Any) -> Iterable[ValidationError]:
    from jsonschema.exceptions import ValidationError

    if isinstance(instance, str) and not _compiled(pattern).search(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of ECMA 262, where `$` is the end of the text; Python's `$` also stands before a last line feed."""
    return re.compile(re.sub(r"(\\.)|\$(?=[)|]|\Z)", lambda found: found[1] or r"\Z", pattern))


def is_canonical_quantity(value: object) -> bool:
    """Whether the API server would write the quantity as it stands: `1`, not `1000m`; `3Gi`, not `3072Mi`.

    Source: the canonical form of k8s.io/apimachinery pkg/api/resource/quantity.go.
    """
    found = re.fullmatch(r"([0-9]+)(m|[KMGTP]i|Ei)?", value) if isinstance(value, str) else None
    if not found:  # the pattern beside the format reports it
        return True
    number, unit = int(found[1]), found[2] or ""
    return number == 0 or unit == "Ei" or number % (1024 if unit.endswith("i") else 1000) != 0
