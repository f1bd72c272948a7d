"""SimpleSchema: types, markers, defaults; and what kro refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.errors import Severity
from generator.kro import markers
from generator.kro.instance import value_faults, with_defaults
from generator.kro.simpleschema import convert

OPEN = "x-kubernetes-preserve-unknown-fields"


def schema_of(declared: Any, types: Any = None) -> dict[str, Any]:
    converted = convert({"field": declared}, types)
    assert converted.faults == ()
    field: dict[str, Any] = converted.schema["properties"]["field"]
    return field


@pytest.mark.parametrize(
    ("declared", "schema"),
    [
        ("string", {"type": "string"}),
        ("integer", {"type": "integer"}),
        ("boolean", {"type": "boolean"}),
        ("float", {"type": "number"}),
        ("object", {"type": "object", OPEN: True}),
        ("[]string", {"type": "array", "items": {"type": "string"}}),
        ("map[string]integer", {"type": "object", "additionalProperties": {"type": "integer"}}),
        ("[]map[string][]boolean", None),
        ('string | default="a b"', {"type": "string", "default": "a b"}),
        ("string | default=nginx", {"type": "string", "default": "nginx"}),
        ('string | default=""', {"type": "string", "default": ""}),
        ("integer | default=5 minimum=1 maximum=9", {"type": "integer", "default": 5, "minimum": 1, "maximum": 9}),
        ("boolean | default=true", {"type": "boolean", "default": True}),
        ("float | default=1.5", {"type": "number", "default": 1.5}),
        ('[]string | default=["a","b c"]', {"type": "array", "items": {"type": "string"}, "default": ["a", "b c"]}),
        ('map[string]string | default={"k": "\\"v\\""}', None),
        ('string | enum="a, b"', {"type": "string", "enum": ["a", "b"]}),
        ("integer | enum=1,2", {"type": "integer", "enum": [1, 2]}),
        ('string | pattern="^a=b|c$"', {"type": "string", "pattern": "^a=b|c$"}),
        ("string | minLength=1 maxLength=3", {"type": "string", "minLength": 1, "maxLength": 3}),
        ("[]string | uniqueItems=true", None),
        ('string | description="say \\"hi\\""', {"type": "string", "description": 'say "hi"'}),
        ("string | immutable=true", {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}),
    ],
)
def test_what_a_field_becomes(declared: str, schema: dict[str, Any] | None) -> None:
    made = schema_of(declared)
    assert schema is None or made == schema


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("int", "unknown type `int`"),
        ("bool | default=true", "unknown type `bool`"),
        ("[]Person", "unknown type `Person`"),
        ("", "the type is missing"),
        ("map[integer]string", "the keys of a map are strings"),
        ("map[string]", "the values have no type"),
        ("[]" * 18 + "string", "nests deeper"),
        ("string | requird=true", "unknown marker `requird`"),
        ("string | required", "the marker `required` has no value"),
        ("string | default = x", "has no value"),
        ("string | required=true | default=x", "a second `|`"),
        ("string |", "no marker behind it"),
        ("string | required=yes", "neither true nor false"),
        ('string | default="a', "a quote is not closed"),
        ("[]string | default=[1", "a bracket is not closed"),
        ("[]string | default=a", "is no JSON"),
        ('string | default="a\\"b"', "is no JSON"),
        ("integer | default=x", "is no JSON"),
        ('integer | default="5" maximum=3', "the default does not fit"),
        ("integer | default=1.5", "the default does not fit"),
        ('string | default="c" enum="a,b"', "the default does not fit"),
        ("boolean | enum=true,false", "enum goes with type string or integer only"),
        ('string | enum="a,,b"', "an empty choice"),
        ("integer | enum=a", "no whole number"),
        ("integer | minLength=3", "minLength goes with type string only"),
        ("string | minItems=3", "minItems goes with type array only"),
        ("string | minLength=x", "no whole number"),
        ("integer | minimum=x", "no number"),
        ("integer | pattern=x", "pattern goes with type string only"),
        ('string | pattern="a("', "pattern"),
        ('string | pattern="(?=a)"', "look-around"),
        ('string | pattern=""', "pattern is empty"),
        ('string | validation=" "', "validation is empty"),
        ("[]string | listType=bag", "it is atomic, set or map"),
        (["string"], "a list"),
        (3, "a number"),
        (None, "nothing"),
    ],
)
def test_what_is_refused(declared: Any, message: str) -> None:
    (fault,) = convert({"field": declared}).faults
    assert message in fault.message
    assert fault.path == ("spec", "schema", "spec", "field")
    assert fault.severity is Severity.ERROR


@pytest.mark.parametrize("pattern", [r"^\\pL+$", "^[[:alpha:]]+$", "^(?i)a$", r"a\\z", "(?P<n>a)", "^a|b$"])
def test_patterns_are_those_of_go(pattern: str) -> None:
    field = schema_of(f'string | default="a" pattern="{pattern}"') if "(?i)" not in pattern else None
    assert field is None or field["default"] == "a"


@pytest.mark.parametrize(("word", "meant"), [("int", "integer"), ("number", "float"), ("any", "object")])
def test_near_misses_are_named(word: str, meant: str) -> None:
    (fault,) = convert({"field": word}).faults
    assert meant in fault.hint


def test_openapi_below_a_field_is_told() -> None:
    (fault,) = convert({"tags": {"type": "object", "additionalProperties": {"type": "string"}}}).faults
    assert fault.severity is Severity.WARNING
    assert convert({"config": {"type": "string", "name": "string"}}).faults == ()


@pytest.mark.parametrize(
    ("fields", "default"),
    [
        ({"a": "string | default=x"}, {}),
        ({"a": "string | default=x", "b": "string"}, {}),
        ({"a": "string | default=x", "b": "string | required=true"}, None),
        ({"a": "string"}, None),
        ({"a": {"b": "integer | default=1"}}, {}),
        ({"a": {"b": "integer | default=1", "c": "string | required=true"}, "d": "string"}, None),
    ],
)
def test_an_object_has_a_default_when_no_child_is_required(fields: Any, default: Any) -> None:
    assert schema_of(fields).get("default") == default


def test_custom_types_bring_their_markers() -> None:
    types = {"Name": "string | required=true", "Port": "integer | default=80", "Host": {"name": "Name", "port": "Port"}}
    converted = convert({"who": "Name", "host": "Host", "hosts": "[]Host"}, types)
    assert converted.faults == ()
    schema = converted.schema
    assert schema["required"] == ["who"]
    assert schema["properties"]["host"]["required"] == ["name"]
    assert schema["properties"]["hosts"]["items"]["properties"]["port"] == {"type": "integer", "default": 80}


def test_a_field_does_not_change_its_type() -> None:
    types = {"Port": "integer | default=80"}
    schema = convert({"a": "Port | default=1", "b": "Port"}, types).schema
    assert [schema["properties"][name]["default"] for name in "ab"] == [1, 80]


def test_types_in_a_circle_are_told_once() -> None:
    types = {"A": {"b": "B"}, "B": {"a": "[]A"}, "C": "D", "D": "string"}
    faults = convert({"a": "A", "c": "C"}, types).faults
    assert [fault.message for fault in faults] == ["types refer to one another in a circle: A -> B -> A"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("  ", []),
        ("required=true", [("required", "true")]),
        (' default="a b"  description=x ', [("default", "a b"), ("description", "x")]),
        ('pattern="a\\\\.b"', [("pattern", "a\\.b")]),
        ('default={"a": [1, 2]} minimum=1', [("default", '{"a": [1, 2]}'), ("minimum", "1")]),
        ("validation=\"self == 'a'\"", [("validation", "self == 'a'")]),
    ],
)
def test_markers_are_split(text: str, found: list[tuple[str, str]]) -> None:
    assert markers.split(text) == found


SCHEMA = convert(
    {
        "name": "string | required=true minLength=2 pattern=^[a-z]+$",
        "size": "integer | default=1 maximum=5",
        "mode": 'string | default="a" enum="a,b"',
        "tags": "[]string | maxItems=2 uniqueItems=true",
        "labels": "map[string]integer",
        "deep": {"on": "boolean | default=true"},
        "items": "[]Item",
        "free": "object",
        "ratio": "float",
    },
    {"Item": {"kind": 'string | default="x"', "count": "integer | required=true"}},
).schema


@pytest.mark.parametrize(
    ("value", "faults"),
    [
        ({"name": "ab"}, []),
        ({"name": "ab", "ratio": 1, "free": {"any": ["thing"]}, "items": [{"count": 2.0}]}, []),
        ({}, ["name is required"]),
        ({"name": None}, ["name is required"]),
        ({"name": "a"}, ["name is shorter than 2 characters"]),
        ({"name": "A1"}, ["name 'A1' does not match ^[a-z]+$"]),
        ({"name": "ab\n"}, ["name 'ab\\n' does not match ^[a-z]+$"]),
        ({"name": 5}, ["name must be text, not a whole number"]),
        ({"name": "ab", "size": "3"}, ["size must be a whole number, not text"]),
        ({"name": "ab", "size": True}, ["size must be a whole number, not true or false"]),
        ({"name": "ab", "size": 9}, ["size 9 is more than 5"]),
        ({"name": "ab", "mode": "c"}, ["mode 'c' is not one of a, b"]),
        ({"name": "ab", "tags": ["a", "b", "c"]}, ["tags has more than 2 items"]),
        ({"name": "ab", "tags": ["a", "a"]}, ["tags holds an item twice"]),
        ({"name": "ab", "labels": {"a": "x"}}, ["labels.a must be a whole number, not text"]),
        ({"name": "ab", "deep": {"off": 1}}, ["deep.off is no field of this kind"]),
        ({"name": "ab", "items": [{}]}, ["items.0.count is required"]),
        ({"name": "ab", "nmae": 1}, ["nmae is no field of this kind"]),
    ],
)
def test_values_are_held_against_the_schema(value: Any, faults: list[str]) -> None:
    found = value_faults(with_defaults(value, SCHEMA), SCHEMA)
    assert [f"{'.'.join(map(str, path))} {message}" for path, message, _ in found] == faults


def test_defaults_are_filled_in_on_every_level() -> None:
    filled = with_defaults({"name": "ab", "items": [{"count": 1}], "mode": None}, SCHEMA)
    assert filled["size"] == 1
    assert filled["deep"] == {"on": True}
    assert filled["items"] == [{"count": 1, "kind": "x"}]
    assert filled["mode"] == "a"
    assert "labels" not in filled


ATOMS = st.sampled_from(["string", "integer", "boolean", "float", "string | default=x", "integer | default=3"])
FIELDS = st.recursive(
    ATOMS | st.sampled_from(["[]string", "map[string]integer", "object", 'string | default="a" enum="a,b"']),
    lambda inner: st.dictionaries(st.sampled_from("abcdef"), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from("abcdef"), FIELDS, max_size=4))
def test_defaults_of_any_schema_fit_it_and_are_filled_in_once(fields: dict[str, Any]) -> None:
    converted = convert(fields)
    assert converted.faults == ()
    filled = with_defaults({}, converted.schema)
    assert list(value_faults(filled, converted.schema)) == []
    assert with_defaults(filled, converted.schema) == filled
