"""The proof of containment can fail: schemas that accept too much are caught, by place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.subset.check_subset import OURS, bundled, generated
from tests.subset.containment import Prover

REAL: dict[str, Any] = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "maxLength": 5, "pattern": "^[a-z]+$"},
        "size": {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True},
        "mode": {"enum": ["a", "b"]},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "items": {"type": "array", "items": {"$ref": "#/definitions/item"}, "minItems": 1},
        "port": {"type": "integer", "format": "int32"},
        "when": {"type": "string", "format": "date-time"},
        "word": {"type": "string", "minLength": 2},
        "page": {"oneOf": [{"type": "object", "required": ["a"]}, {"type": "object", "properties": {"b": {}}}]},
        "body": {"oneOf": [{"type": "object"}, {"type": "array"}]},
        "pair": {"type": "object", "not": {"required": ["a", "b"]}},
        "values": {"type": "array", "items": {"type": "string"}, "maxLength": 3, "pattern": "^a$"},
    },
    "definitions": {"item": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}}},
}
NAME = {"type": "string", "pattern": "^[a-c]+$", "maxLength": 4}


def ours(**properties: Any) -> dict[str, Any]:
    """A schema with the name and more; closed, unless told otherwise."""
    more = {key: value for key, value in properties.items() if key.startswith("_")}
    named = {"name": NAME} | {key: value for key, value in properties.items() if not key.startswith("_")}
    base = {"type": "object", "required": ["name"], "additionalProperties": False, "properties": named}
    return {**base, **{key.removeprefix("_"): value for key, value in more.items()}}


@pytest.mark.parametrize(
    "schema",
    [
        ours(),
        ours(size={"type": "string"}, mode={"const": "b"}),
        ours(size={"anyOf": [{"type": "integer", "minimum": 3}, {"type": "string"}]}),
        ours(labels={"type": "object", "additionalProperties": {"type": "string", "maxLength": 9}}),
        ours(items={"type": "array", "minItems": 2, "items": {"type": "object", "properties": {"n": {"const": 4}}}}),
        ours(mode={"allOf": [{"enum": ["a", "b"]}, {"type": "string"}]}),
        ours(port={"type": "integer", "minimum": 1, "maximum": 65535}),
        ours(word={"type": "string", "pattern": "^[a-z]{2,4}$"}, body={"type": "array", "maxItems": 1}),
        ours(pair={"type": "object", "not": {"required": ["a", "b"]}, "properties": {"a": {"const": 1}}}),
        ours(pair={"type": "object", "properties": {"a": {"const": 1}}, "additionalProperties": False}),
        ours(values={"type": "array", "items": {"type": "string"}}),
    ],
)
def test_a_subset_is_proven(schema: dict[str, Any]) -> None:
    prover = Prover(schema, REAL)
    prover.run()
    assert prover.unproven == []
    tried, refused = generated(schema, REAL, 50)
    assert tried > 25 and refused == []


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        (ours(other={"type": "string"}), ".other"),
        (ours(name={"type": "string", "maxLength": 5}), ".name"),
        (ours(name={**NAME, "pattern": "^[a-z0-9]+$"}), ".name"),
        (ours(name={**NAME, "maxLength": 6}), ".name"),
        (ours(name={**NAME, "type": ["string", "null"]}), ".name"),
        (ours(size={"type": "number"}), ".size"),
        (ours(mode={"enum": ["a", "c"]}), ".mode"),
        (ours(mode={"type": "string"}), ".mode"),
        (ours(labels={"type": "object"}), ".labels.*"),
        (ours(labels={"type": "object", "additionalProperties": {"type": "integer"}}), ".labels.*"),
        (ours(items={"type": "array", "items": {"type": "object"}}), ".items"),
        (
            ours(
                items={"type": "array", "minItems": 1, "items": {"type": "object", "properties": {"n": {"const": -1}}}}
            ),
            ".n",
        ),
        (ours(port={"type": "integer", "minimum": 0}), ".port"),
        (ours(port={"type": "integer", "maximum": 1}), ".port"),
        (ours(when={"type": "string", "format": "date-time"}), ".when"),
        (ours(word={"type": "string", "pattern": "^[a-z]{1,4}$"}), ".word"),
        (ours(page={"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}), ".page"),
        (ours(body={"type": ["array", "null"]}), ".body"),
        (ours(pair={"type": "object", "not": {"required": ["a", "b", "c"]}}), ".pair"),
        (ours(pair={"type": "object", "not": {"required": ["a"], "properties": {"a": {"const": 1}}}}), ".pair"),
        (ours(_required=[]), ""),
        (ours(_additionalProperties=True), ".size"),
        ({"properties": {"name": NAME}, "required": ["name"], "additionalProperties": False}, ""),
    ],
)
def test_what_is_no_subset_is_named(schema: dict[str, Any], place: str) -> None:
    prover = Prover(schema, REAL)
    prover.run()
    assert any(place in gap.partition(": ")[0] for gap in prover.unproven), prover.unproven


def test_generated_instances_find_it_too() -> None:
    assert generated(ours(size={"type": "boolean"}), REAL, 50)[1]


@pytest.mark.parametrize("name", ["job_batch_v1", "rayservice_ray.io_v1", "applicationset_argoproj.io_v1alpha1"])
def test_our_schemas_generate_instances(name: str) -> None:
    schema = bundled(OURS / f"{name}.json")
    tried, refused = generated(schema, schema, 20)
    assert tried and refused == []


def test_one_more_key_anywhere_in_a_schema_of_ours_is_caught() -> None:
    real = bundled(OURS / "networkpolicy_networking.k8s.io_v1.json")
    assert unproven(real, real) == []
    # Every object of the file itself; of the shared definitions only some are named by it.
    own = [place for place in closed_objects(real) if place[:1] != ("definitions",) or "own." in place[1]]
    assert len(own) > 5
    for place in own:
        assert any(".more: " in gap for gap in widened_at(real, place)), place


def unproven(schema: dict[str, Any], real: dict[str, Any]) -> list[str]:
    prover = Prover(schema, real)
    prover.run()
    return prover.unproven


def closed_objects(node: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(node, dict):
        if node.get("additionalProperties") is False:
            yield place
        for key, value in node.items():
            yield from closed_objects(value, (*place, key))


def widened_at(real: dict[str, Any], place: tuple[str, ...]) -> list[str]:
    """What is not proven once the object at `place` takes one more key."""
    schema = node = json.loads(json.dumps(real))
    for key in place:
        node = node[key]
    node["properties"]["more"] = {"type": "string"}
    return unproven(schema, real)
