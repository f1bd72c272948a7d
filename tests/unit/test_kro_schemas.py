"""Schemas that the user gives: CustomResourceDefinitions and JSON Schemas; and those of other graphs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from generator.errors import Severity, UserError
from generator.kro.schemas import Schemas, at, load
from generator.kro.types import kind_of
from tests.unit.kro_graphs import as_yaml, config_map, errors, graph, warnings

WIDGET: dict[str, Any] = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer"},
                "ratio": {"type": "number"},
                "name": {"type": "string"},
                "on": {"type": "boolean"},
                "port": {"x-kubernetes-int-or-string": True},
                "tags": {"type": "array", "items": {"type": "string"}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "parts": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}, "count": {"type": "integer"}},
                    },
                },
            },
        },
        "odd": {"type": "object", "properties": {"odd-name": {"type": "string"}, "b": {"type": "string"}}},
        "status": {
            "type": "object",
            "properties": {
                "ready": {"type": "boolean"},
                "since": {"type": "string", "format": "date-time"},
                "groups": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
            },
        },
    },
}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Cluster",
        "names": {"kind": "Widget", "plural": "widgets"},
        "versions": [{"name": "v1", "schema": {"openAPIV3Schema": WIDGET}}],
    },
}
KIND = ("example.com/v1", "Widget")


@pytest.fixture
def schemas(tmp_path: Path) -> Schemas:
    (tmp_path / "widget.yaml").write_text(as_yaml(CRD))
    return load([tmp_path])


def widget(**spec: Any) -> dict[str, Any]:
    return {
        "id": "widget",
        "template": {"apiVersion": KIND[0], "kind": KIND[1], "metadata": {"name": "w"}, "spec": spec},
    }


FIELDS = {
    "n": "integer | default=1",
    "s": "string | default=x",
    "l": "[]string | default=[]",
    "m": "map[string]string | default={}",
    "ns": "[]integer | default=[]",
    "parts": "[]Part | default=[]",
    "fewer": "[]Fewer | default=[]",
    "more": "[]More | default=[]",
    "wrong": "[]Wrong | default=[]",
}
TYPES = {
    "Part": {"name": "string", "count": "integer"},
    "Fewer": {"count": "integer"},
    "More": {"name": "string", "extra": "string"},
    "Wrong": {"count": "string"},
}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"size": 1, "ratio": 1, "name": "a", "on": True, "port": 80, "tags": ["a"], "labels": {"a": "b"}}, None),
        ({"port": "http", "free": {"any": [1]}, "ratio": 1.5}, None),
        ({"sise": 1}, "spec.sise: the kind has no such field"),
        ({"size": "1"}, "spec.size: the field takes a whole number, and this is text"),
        ({"size": 1.5}, "spec.size: the field takes a whole number, and this is a number (double)"),
        ({"name": 5}, "spec.name: the field takes text, and this is a whole number"),
        ({"on": "true"}, "spec.on: the field takes true or false, and this is text"),
        ({"tags": "a"}, "spec.tags: the field takes a list, and this is text"),
        ({"tags": [1]}, "spec.tags[0]: the field takes text, and this is a whole number"),
        ({"labels": ["a"]}, "spec.labels: the field takes a map, and this is a list"),
        ({"parts": [{"nmae": "x"}]}, "spec.parts[0].nmae: the kind has no such field"),
        ({"size": "${schema.spec.n}", "name": "${schema.spec.s}", "tags": "${schema.spec.l}"}, None),
        ({"labels": "${schema.spec.m}", "port": "${schema.spec.n}", "free": "${schema.spec.l}"}, None),
        ({"parts": "${schema.spec.parts}"}, None),
        ({"parts": "${schema.spec.l.map(x, {'name': x})}"}, None),
        ({"size": "${schema.spec.s}"}, "spec.size: `${schema.spec.s}`: gives type string, and the field takes a whole"),
        ({"ratio": "${schema.spec.n}"}, "spec.ratio: `${schema.spec.n}`: gives type int, and the field takes a number"),
        ({"tags": "${schema.spec.ns}"}, "spec.tags: `${schema.spec.ns}`: gives type int, and the field takes text"),
        ({"parts": "${schema.spec.fewer}"}, None),
        ({"parts": "${schema.spec.more}"}, "gives an object with `extra`, which the field does not have"),
        (
            {"parts": "${schema.spec.wrong}"},
            "gives an object whose `count` is text, and the field takes a whole number",
        ),
        ({"size": "n-${schema.spec.s}"}, "spec.size: the field takes a whole number, and this is text"),
    ],
)
def test_templates_are_held_against_the_given_schema(schemas: Schemas, spec: Any, message: str | None) -> None:
    told = errors(graph(FIELDS, widget(**spec), types=TYPES), schemas)
    assert (told == []) if message is None else (len(told) == 1 and message in told[0]), told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${string(widget.spec.size)}", None),
        ("${string(widget.status.since)}", None),
        ("${widget.status.groups[0][0]}", None),
        ("${widget.spec.labels['a']}", None),
        ("${string(widget.spec.port)}", None),
        ("${widget.metadata.name}", None),
        ("${widget.odd['odd-name'] + widget.odd.b}", None),
        ("${widget.status.redy ? 'a' : 'b'}", "undefined field 'redy'"),
        ("${widget.spec.size}", "gives type int, and the field takes text"),
        ("${widget.data.x}", "undefined field 'data'"),
    ],
)
def test_fields_of_a_known_kind_are_known(schemas: Schemas, text: str, message: str | None) -> None:
    settings = {"id": "settings", "template": config_map(a=text)}
    told = errors(graph({}, widget(size=1), settings), schemas)
    assert (told == []) if message is None else (len(told) == 1 and message in told[0]), told


def test_the_scope_of_the_definition_counts(schemas: Schemas) -> None:
    resource = widget(size=1)
    resource["template"]["metadata"]["namespace"] = "x"
    (error,) = errors(graph({}, resource), schemas)
    assert "Widget belongs to the whole cluster" in error


def test_a_kind_without_a_schema_is_worth_a_word_when_schemas_are_given(schemas: Schemas) -> None:
    other = {"id": "other", "template": {"apiVersion": "other.io/v1", "kind": "Other", "metadata": {"name": "o"}}}
    assert warnings(graph({}, other)) == []
    (warning,) = warnings(graph({}, other), schemas)
    assert warning.startswith("spec.resources[0].template.kind: no schema of Other of other.io/v1 was given")


def test_json_schemas_with_constants(tmp_path: Path) -> None:
    constants = {"apiVersion": {"const": "example.com/v1"}, "kind": {"enum": ["Widget"]}}
    (tmp_path / "w.json").write_text(json.dumps({**WIDGET, "properties": {**WIDGET["properties"], **constants}}))
    gvk = {
        "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Pod"}],
        "properties": {"spec": {}},
    }
    (tmp_path / "pod.json").write_text(json.dumps(gvk))
    assert set(load([tmp_path]).kinds) == {KIND, ("v1", "Pod")}


def test_definitions_as_kubectl_lists_them(tmp_path: Path) -> None:
    (tmp_path / "crds.yaml").write_text(as_yaml({"apiVersion": "v1", "kind": "List", "items": [CRD, {}]}))
    loaded = load([tmp_path / "crds.yaml"])
    assert set(loaded.kinds) == {KIND}
    assert loaded.namespaced(*KIND) is False


@pytest.mark.parametrize("text", ["a: 1", "kind: CustomResourceDefinition\nspec: {}"])
def test_a_folder_without_schemas_is_a_fault(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UserError, match="no schema of a kind"):
        load([tmp_path])


def test_kinds_of_other_graphs_are_known() -> None:
    inner = graph({"a": "integer | required=true"})
    inner["spec"]["schema"]["kind"] = "Inner"
    use = {"apiVersion": "kro.run/v1alpha1", "kind": "Inner", "metadata": {"name": "i"}}
    outer = graph({}, {"id": "one", "template": {**use, "spec": {"a": "text", "b": 1}}})
    from generator.kro.check import check
    from generator.kro.reading import Document

    told = check([Document(inner, "a.yaml"), Document(outer, "b.yaml")])
    assert [f"{d.file} {d.path}" for d in told if d.severity is Severity.ERROR] == [
        "b.yaml spec.resources[0].template.spec.a",
        "b.yaml spec.resources[0].template.spec.b",
    ]


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        (None, "dyn"),
        ({}, "dyn"),
        ({"type": "string"}, "string"),
        ({"type": "string", "format": "date-time"}, "dyn"),
        ({"type": ["string", "null"]}, "dyn"),
        ({"type": "object"}, "dyn"),
        ({"type": "object", "additionalProperties": True}, "dyn"),
        ({"type": "object", "properties": {"a": {}}}, "message"),
        ({"type": "array"}, "dyn"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "dyn"),
    ],
)
def test_what_is_not_certain_is_open(schema: Any, kind: str) -> None:
    assert kind_of(schema) == kind


def test_fields_are_found_by_their_path() -> None:
    assert at(WIDGET, ("spec", "parts", 3, "name")) == {"type": "string"}
    assert at(WIDGET, ("spec", "labels", "any")) == {"type": "string"}
    assert at(WIDGET, ("spec", "free", "any", "thing")) is None
    assert at(WIDGET, ("spec", "nothing")) is None
