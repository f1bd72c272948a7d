"""What an instance becomes: order, conditions, what is unknown, what fails."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.kro.evaluate import Scope, filled, plain
from generator.kro.expand import expand, expanded, instance_faults
from generator.kro.graph import graph_of, ordered
from tests.unit.kro_graphs import config_map, graph, values


def instance(spec: Any = None, **metadata: Any) -> dict[str, Any]:
    made = {"apiVersion": "kro.run/v1alpha1", "kind": "Thing", "metadata": {"name": "t", "namespace": "n", **metadata}}
    return made if spec is None else {**made, "spec": spec}


def data_of(text: Any, fields: Any = None, spec: Any = None, **metadata: Any) -> Any:
    (made,) = expand(graph(fields or {}, values(a=text)), instance(spec, **metadata))
    return made["data"].get("a")


@pytest.mark.parametrize(
    ("text", "fields", "spec", "made"),
    [
        ("${schema.metadata.name}", {}, None, "t"),
        ("a-${schema.metadata.name}-${schema.metadata.namespace}", {}, None, "a-t-n"),
        ("${schema.spec.n + 1}", {"n": "integer | default=1"}, None, 2),
        ("${schema.spec.f * 2.0}", {"f": "float | default=1.5"}, None, 3.0),
        ("${schema.spec.l.map(x, x + 1)}", {"l": "[]integer"}, {"l": [1, 2]}, [2, 3]),
        ("${schema.spec.m}", {"m": "map[string]string"}, {"m": {"k": "v"}}, {"k": "v"}),
        ("${schema.spec.?m}", {"m": "map[string]string"}, {}, None),
        ("${null}", {}, None, None),
        ("${schema.kind}", {}, None, "Thing"),
        ("${'%d-%s'.format([1, 'x'])}", {}, None, "1-x"),
        ("${b'hi'}", {}, None, "aGk="),
        ("${duration('90s')}", {}, None, "90s"),
        ("${schema.spec.d.a ? 'y' : 'n'}", {"d": {"a": "boolean | default=true"}}, None, "y"),
    ],
)
def test_values(text: str, fields: Any, spec: Any, made: Any) -> None:
    assert data_of(text, fields, spec) == made


def test_a_field_without_a_value_is_left_out() -> None:
    (made,) = expand(graph({"m": "string"}, values(a="${schema.spec.?m}", b="x")), instance({}))
    assert made["data"] == {"b": "x"}


def test_dependencies_come_first() -> None:
    last = {"id": "last", "template": config_map(x="${first.metadata.name}")}
    first = {"id": "first", "template": {**config_map(), "metadata": {"name": "one"}}}
    expansion = expanded(graph_of(graph({}, last, first)), instance())
    assert [made.id for made in expansion.made] == ["first", "last"]
    assert expansion.objects[1]["data"] == {"x": "one"}


@pytest.mark.parametrize(("on", "made"), [(True, ["a", "b"]), (False, [])])
def test_what_depends_on_an_excluded_resource_is_excluded(on: bool, made: list[str]) -> None:
    a = {"id": "a", "includeWhen": ["${schema.spec.on}"], "template": config_map(x="y")}
    b = {"id": "b", "template": config_map(x="${a.data.x}")}
    expansion = expanded(graph_of(graph({"on": "boolean | default=true"}, a, b)), instance({"on": on}))
    assert [item.id for item in expansion.made] == made
    assert expansion.notes == ()


def test_a_condition_on_a_status_is_open() -> None:
    a = {"id": "a", "template": config_map()}
    b = {"id": "b", "includeWhen": ["${a.status.ready == true}"], "template": config_map()}
    definition = graph_of(graph({}, a, b))
    open_one = expanded(definition, instance())
    assert [note.reason for note in open_one.notes] == [
        "whether it is made: a.status.ready is known in the cluster only"
    ]
    living = {**open_one.objects[0], "status": {"ready": False}}
    assert [made.id for made in expanded(definition, instance(), [living]).made] == ["a"]
    assert expanded(definition, instance(), [{**living, "status": {"ready": True}}]).notes == ()


def test_what_is_not_known_spreads() -> None:
    a = {"id": "a", "template": config_map(x="${schema.metadata.uid}", y="z")}
    b = {"id": "b", "template": config_map(x="${a.data.x}", y="${a.data.y}", all="${json.marshal(a.data)}")}
    definition = graph_of(graph({}, a, b))
    expansion = expanded(definition, instance())
    assert expansion.objects[1]["data"] == {"x": "${a.data.x}", "y": "z", "all": "${json.marshal(a.data)}"}
    assert [note.reason for note in expansion.notes] == [
        "schema.metadata.uid is given by the cluster",
        "a.data.x is not known either",
        "a.data is not known either",
    ]
    assert all(type(value) is str for value in expansion.objects[1]["data"].values())
    assert expanded(definition, instance(uid="u1")).objects[1]["data"]["x"] == "u1"


def test_optional_reads_of_a_status_are_not_guessed() -> None:
    a = {"id": "a", "template": config_map()}
    b = {"id": "b", "template": config_map(x="${a.status.?phase.orValue('none')}")}
    expansion = expanded(graph_of(graph({}, a, b)), instance())
    assert expansion.objects[1]["data"]["x"].startswith("${a.status")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${schema.spec.a}", "a"),
        ("${schema.spec.l[3]}", "index"),
        ("${1 / 0}", "divi"),
        ("n-${schema.spec.n}", "gives int inside text"),
        ("${quantity('x').asInteger()}", "no quantity"),
    ],
)
def test_what_fails_in_a_cluster_fails_here(text: str, message: str) -> None:
    fields = {"a": "string", "l": "[]string | default=[]", "n": "integer | default=1"}
    expansion = expanded(graph_of(graph(fields, values(a=text))), instance({}))
    (fault,) = expansion.faults
    assert message in fault.message
    assert expansion.objects == []
    with pytest.raises(ValueError, match="settings"):
        expand(graph(fields, values(a=text)), instance({}))


def test_a_collection_may_not_make_one_object_twice() -> None:
    twice = {"id": "c", "forEach": [{"x": "${['a', 'a']}"}], "template": {**config_map(), "metadata": {"name": "${x}"}}}
    (fault,) = expanded(graph_of(graph({}, twice)), instance()).faults
    assert "two objects named a" in fault.message


def test_a_collection_of_unknown_size_is_shown_once() -> None:
    a = {"id": "a", "template": config_map()}
    many = {
        "id": "m",
        "forEach": [{"x": "${a.status.items}"}],
        "template": {**config_map(), "metadata": {"name": "${x}"}},
    }
    expansion = expanded(graph_of(graph({}, a, many)), instance())
    assert [made.id for made in expansion.made] == ["a", "m"]
    assert [note.path for note in expansion.notes] == [("forEach",)]


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        (instance({"a": "x"}), []),
        (instance(), ["spec.a: is required"]),
        ({"apiVersion": "x", "kind": "y"}, ["metadata: metadata.name is missing", "spec.a: is required"]),
        (instance({"a": "x", "n": 11}), ["spec.n: does not hold: self < 10"]),
        ({**instance({"a": "x"}), "data": {}}, ["data: an instance has no such field"]),
    ],
)
def test_instances_are_held_against_their_schema(given: dict[str, Any], faults: list[str]) -> None:
    definition = graph_of(graph({"a": "string | required=true", "n": 'integer | default=1 validation="self < 10"'}))
    told = instance_faults(definition, given)
    assert [f"{'.'.join(map(str, fault.path))}: {fault.message}" for fault in told] == faults


@pytest.mark.parametrize(
    ("ids", "needs", "order", "circle"),
    [
        ("abc", {}, "abc", ""),
        ("abc", {"a": "c"}, "bca", ""),
        ("abc", {"a": "b", "b": "c"}, "cba", ""),
        ("abc", {"a": "x"}, "abc", ""),
        ("abc", {"a": "b", "b": "a"}, "c", "aba"),
        ("abcd", {"a": "b", "b": "c", "c": "b"}, "d", "bcb"),
    ],
)
def test_order(ids: str, needs: dict[str, str], order: str, circle: str) -> None:
    assert ordered(ids, needs) == (tuple(order), tuple(circle))


def test_plain_values() -> None:
    assert plain({"a": (1, b"x")}) == {"a": [1, "eA=="]}


LITERALS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_characters="$"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(LITERALS)
def test_what_holds_no_expression_stays_as_it_is(value: Any) -> None:
    assert filled(value, Scope({})) == value


@given(LITERALS)
@settings(max_examples=40)
def test_a_value_goes_through_an_expression_unchanged(value: Any) -> None:
    assert data_of("${schema.spec.v}", {"v": "object"}, {"v": {"inner": value}}) == {"inner": value}
