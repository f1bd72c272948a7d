"""What kro refuses, each rule alone; and what it takes and fails with later."""

from __future__ import annotations

from typing import Any

import pytest

from generator.errors import Severity
from generator.kro import environment
from generator.kro.check import check
from tests.unit.kro_graphs import as_yaml, config_map, errors, found, graph, loaded, values, warnings

META = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}


def kind(name: str, api: str = "v1", **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": name, "metadata": {"name": "${schema.metadata.name}", **metadata}}


def test_a_sound_graph_has_no_faults() -> None:
    assert found(graph({"a": "string | default=x"}, values(a="${schema.spec.a}"))) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"apiVersion": "kro.run/v1alpha1"}, "spec.schema.apiVersion: `kro.run/v1alpha1` is no apiVersion"),
        ({"apiVersion": "v1gamma1"}, "spec.schema.apiVersion"),
        ({"kind": "thing"}, "spec.schema.kind: `thing` is no kind"),
        ({"kind": "Thing-Two"}, "spec.schema.kind"),
        ({"kind": "T" * 64}, "spec.schema.kind"),
        ({"scope": "Global"}, "spec.schema.scope"),
        ({"group": "Example.com"}, "spec.schema.group"),
        ({"spec": ["a"]}, "spec.schema.spec: must be an object"),
        ({"apiVersion": None}, "spec.schema: apiVersion is missing"),
        ({"kind": None}, "spec.schema: kind is missing"),
    ],
)
def test_the_schema_of_the_kind(change: dict[str, Any], fault: str) -> None:
    data = graph({})
    data["spec"]["schema"] |= change
    (error,) = errors(data)
    assert error.startswith(fault)


@pytest.mark.parametrize(
    ("resource", "fault"),
    [
        ({"id": "my-map", "template": META}, "spec.resources[0].id: `my-map` is no id"),
        ({"id": "Settings", "template": META}, "spec.resources[0].id: `Settings` is no id"),
        ({"id": "status", "template": META}, "spec.resources[0].id: `status` is reserved"),
        ({"id": "namespace", "template": META}, "spec.resources[0].id: `namespace` is reserved"),
        ({"template": META}, "spec.resources[0]: id is missing"),
        ({"id": "a"}, "spec.resources[0]: exactly one of template and externalRef"),
        ({"id": "a", "template": META, "externalRef": META}, "spec.resources[0]: exactly one of template"),
        ({"id": "a", "template": {"kind": "ConfigMap", "metadata": {}}}, "spec.resources[0].template: apiVersion is"),
        ({"id": "a", "template": {"apiVersion": "v1", "metadata": {}}}, "spec.resources[0].template: kind is missing"),
        ({"id": "a", "template": {"apiVersion": "v1", "kind": "ConfigMap"}}, "spec.resources[0].template: metadata"),
        (
            {"id": "a", "template": kind("${schema.spec.kind}")},
            "spec.resources[0].template.kind: kind cannot be an expression",
        ),
        (
            {"id": "a", "template": kind("ConfigMap", labels={"kro.run/x": "y"})},
            "spec.resources[0].template.metadata.labels.kro.run/x: labels that begin with kro.run/",
        ),
        (
            {"id": "a", "template": kind("Namespace", namespace="x")},
            "spec.resources[0].template.metadata.namespace: Namespace belongs to the whole cluster",
        ),
        (
            {"id": "a", "template": META, "readyWhen": ["a.b == 1"]},
            "spec.resources[0].readyWhen[0]: must be exactly one expression",
        ),
        (
            {"id": "a", "template": META, "includeWhen": ["${true}\n"]},
            "spec.resources[0].includeWhen[0]: must be exactly one expression",
        ),
        (
            {"id": "a", "externalRef": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}},
            "spec.resources[0].externalRef.metadata: exactly one of name and selector",
        ),
        (
            {"id": "a", "externalRef": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": None}},
            "spec.resources[0].externalRef: metadata is missing",
        ),
        (
            {"id": "a", "externalRef": META, "forEach": [{"x": "${[1]}"}]},
            "spec.resources[0].forEach: forEach goes with a template only",
        ),
    ],
)
def test_the_form_of_a_resource(resource: dict[str, Any], fault: str) -> None:
    assert any(error.startswith(fault) for error in errors(graph({}, resource))), errors(graph({}, resource))


def test_ids_are_unique() -> None:
    two = [{"id": "a", "template": config_map()}, {"id": "a", "template": kind("Secret")}]
    assert errors(graph({}, *two)) == ["spec.resources[1].id: the id `a` stands twice"]


def test_a_cluster_wide_instance_says_the_namespace_of_its_children() -> None:
    data = graph({}, scope="Cluster")
    assert errors(data) == [
        "spec.resources[0].template.metadata: ConfigMap needs metadata.namespace: an instance of scope Cluster has"
        " none to pass on"
    ]
    data["spec"]["resources"][0]["template"]["metadata"]["namespace"] = "x"
    assert errors(data) == []


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        ({"a": "integer"}, "spec.schema.status.a: a status field without an expression"),
        ({"a": {"b": 5}}, "spec.schema.status.a.b: a status field without an expression"),
        ({"a": "${nothing.status.x}"}, "spec.schema.status.a: `${nothing.status.x}`: unknown name `nothing`"),
        ({"a": "${schema.status.x}"}, "spec.schema.status.a: `${schema.status.x}`: undefined field"),
        ({"a": "${runtime.condition(schema, 'x')}"}, "spec.schema.status.a: `${runtime.condition(schema, 'x')}`: `run"),
    ],
)
def test_the_status(status: dict[str, Any], fault: str) -> None:
    (error,) = errors(graph({}, status=status))
    assert error.startswith(fault)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${schema.spec.nmae}", "undefined field 'nmae'"),
        ("${schema.spec.name.first}", "first"),
        ("${schema.metadata.nmae}", "undefined field 'nmae'"),
        ("${schema.metadata.labels.app}", None),
        ("${schema.spec.name +}", "Syntax error"),
        ("${sha256(schema.spec.name)}", "undeclared reference to 'sha256'"),
        ("${schema.spec.name.shout()}", "undeclared reference to 'shout'"),
        ("${other.metadata.name}", "unknown name `other`"),
        ("${settings.metadata.name}", "the resource refers to itself"),
        ("${each.metadata.name}", "unknown name `each`"),
        ("${runtime.x}", "`runtime` is for status.conditions only"),
        ("${schema.spec.size}", "gives type int, and the field takes text"),
        ("${schema.spec.on}", "gives type bool, and the field takes text"),
        ("${schema.spec.names}", "gives type list(string), and the field takes text"),
        ("${schema.spec.deep}", "gives an object, and the field takes text"),
        ("${schema.spec}", "gives an object, and the field takes text"),
        ("n-${schema.spec.size}", "inside text an expression must give text; this is int"),
        ("n-${schema.spec.?name}", "inside text an expression must give text"),
        ("${schema.spec.size + 'x'}", "no matching overload"),
        ("${string(schema.spec.size)}", None),
        ("n-${string(schema.spec.size)}", None),
        ("${schema.spec.?name.orValue('x')}", None),
        ("${schema.spec.names[0]}", None),
        ("${schema.spec.deep.on ? 'a' : 'b'}", None),
        ("${schema.spec.any.thing.goes[0]}", None),
        ("${outer(${inner})}", "an expression inside an expression"),
        ("${'${' + schema.spec.name}", None),
        ("${type(schema.spec.any.x) == string ? 'a' : 'b'}", None),
        ("${schema.spec.any.list.distinct().sort().join(',')}", None),
    ],
)
def test_expressions_are_checked_with_their_types(text: str, message: str | None) -> None:
    fields = {
        "name": "string | default=x",
        "size": "integer | default=1",
        "on": "boolean | default=true",
        "names": "[]string | default=[]",
        "any": "object | default={}",
        "deep": {"on": "boolean | default=true"},
    }
    told = errors(graph(fields, values(a=text)))
    if message is None:
        assert told == []
    else:
        (error,) = told
        assert message in error
        assert error.startswith("spec.resources[0].template.data.a: ")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("metadata", "labels"), {"on": True}, "the field takes text, and this is true or false"),
        (("metadata", "labels"), {"n": "${schema.spec.size}"}, "gives type int"),
        (("metadata", "lables"), {}, "the kind has no such field"),
        (("metadata", "annotations"), {"n": 5}, "the field takes text, and this is a whole number"),
        (("data",), {"n": 5}, "the field takes text, and this is a whole number"),
        (("data",), ["a"], "the field takes a map, and this is a list"),
        (("data",), "text", "the field takes a map, and this is text"),
        (("immutable",), "true", "the field takes true or false, and this is text"),
    ],
)
def test_literal_values_have_the_type_of_the_field(path: tuple[str, ...], value: Any, message: str) -> None:
    template = config_map()
    node = template
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    (error,) = errors(graph({"size": "integer | default=1"}, {"id": "settings", "template": template}))
    assert message in error


def workload(value: Any) -> dict[str, Any]:
    container = {"name": "a", "image": "b", "env": [{"name": "N", "value": value}]}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {"containers": [container]}}}
    return {"id": "pod", "template": {**kind("Deployment", "apps/v1"), "spec": spec}}


@pytest.mark.parametrize(
    ("value", "right"), [("${schema.spec.size}", False), (5, False), ("${string(schema.spec.size)}", True)]
)
def test_environment_variables_are_text(value: Any, right: bool) -> None:
    assert (errors(graph({"size": "integer | default=1"}, workload(value))) == []) is right


def test_resources_in_a_circle() -> None:
    a = {"id": "a", "template": config_map(x="${b.metadata.uid}")}
    b = {"id": "b", "template": config_map(x="${c.metadata.uid}")}
    c = {"id": "c", "template": config_map(x="${a.metadata.uid}")}
    assert errors(graph({}, a, b, c)) == ["spec.resources[0]: resources wait for one another: a -> b -> c -> a"]


@pytest.mark.parametrize(
    ("role", "text", "message"),
    [
        ("readyWhen", "${schema.spec.on}", "readyWhen sees `settings` only"),
        ("readyWhen", "${other.status.ready}", "readyWhen sees `settings` only"),
        ("readyWhen", "${settings.status.replicas}", None),
        ("readyWhen", "${settings.metadata.name}", None),
        ("readyWhen", "${size(settings.data)}", "a condition is true or false; this is int"),
        ("readyWhen", "${settings.status.?phase.orValue('') == 'Bound'}", None),
        ("includeWhen", "${schema.spec.on}", None),
        ("includeWhen", "${other.status.ready == true}", None),
        ("includeWhen", "${schema.spec.name}", "a condition is true or false; this is string"),
        ("includeWhen", "${settings.status.x == 1}", "the resource refers to itself"),
        ("includeWhen", "${schema.spec.?on}", None),
    ],
)
def test_conditions(role: str, text: str, message: str | None) -> None:
    other = {"id": "other", "template": kind("Secret")}
    fields = {"on": "boolean | default=true", "name": "string | default=x"}
    told = errors(graph(fields, {**values(), role: [text]}, other))
    assert (told == []) if message is None else (len(told) == 1 and message in told[0]), told


def collection(dimensions: Any, name: str, **more: Any) -> dict[str, Any]:
    template = {**config_map(), "metadata": {"name": name}}
    return {"id": "each1", "forEach": dimensions, "template": template, **more}


@pytest.mark.parametrize(
    ("dimensions", "name", "message"),
    [
        ([{"zone": "${schema.spec.zones}"}], "x-${zone}", None),
        ([{"zone": "${schema.spec.zones}"}], "x", "the iterator `zone` is not part of metadata.name"),
        ([{"zone": "${schema.spec.name}"}], "x-${zone}", "forEach goes over a list; this is string"),
        ([{"zone": "schema.spec.zones"}], "x", "must be exactly one expression"),
        ([{"Zone": "${schema.spec.zones}"}], "x", "`Zone` cannot name an iterator"),
        ([{"item": "${schema.spec.zones}"}], "x", "`item` cannot name an iterator"),
        ([{"each1": "${schema.spec.zones}"}], "x", "has the name of another one or of a resource"),
        ([{"a": "${schema.spec.zones}", "b": "${schema.spec.zones}"}], "x", "each dimension is one name"),
        ([{"a": "${schema.spec.zones}"}, {"b": "${[a]}"}], "${a}-${b}", "one iterator cannot use another (`a`)"),
        ([{"a": "${schema.spec.sizes}"}], "x-${a}", "inside text an expression must give text; this is int"),
        ([{"a": "${schema.spec.sizes}"}], "x-${string(a)}", None),
        ([{f"d{n}": "${schema.spec.zones}"} for n in range(11)], "x", "more than 10 dimensions"),
    ],
)
def test_collections(dimensions: Any, name: str, message: str | None) -> None:
    fields = {"zones": "[]string | default=[]", "sizes": "[]integer | default=[]", "name": "string | default=x"}
    told = errors(graph(fields, collection(dimensions, name)))
    assert (told == []) if message is None else any(message in error for error in told), told


@pytest.mark.parametrize(
    ("text", "right"),
    [("${each.data.x == 'y'}", True), ("${each1.all(e, e.data.x == 'y')}", False), ("${zone == 'a'}", False)],
)
def test_a_collection_is_ready_item_by_item(text: str, right: bool) -> None:
    data = graph(
        {"zones": "[]string | default=[]"}, collection([{"zone": "${schema.spec.zones}"}], "${zone}", readyWhen=[text])
    )
    assert (errors(data) == []) is right


def test_expressions_in_a_definition_stand_in_its_metadata() -> None:
    template = {**kind("CustomResourceDefinition", "apiextensions.k8s.io/v1"), "spec": {"group": "${schema.spec.g}"}}
    (error,) = errors(graph({"g": "string | default=x"}, {"id": "def1", "template": template}))
    assert "expressions in its metadata only" in error


def test_a_validation_reads_self() -> None:
    data = graph({"a": 'integer | default=1 validation="self > 0 && slef < 5"'})
    (error,) = errors(data)
    assert error.startswith("spec.schema.spec.a: validation `self > 0 && slef < 5`: unknown name `slef`")


@pytest.mark.parametrize(
    ("data", "warning"),
    [
        (
            graph({"a": "string"}, values(a="${schema.spec.a}")),
            "spec.schema.spec.a: an instance may leave it out, and then `settings` cannot be made",
        ),
        (
            graph(
                {"a": {"b": {"c": "string | default=x", "d": "string | required=true"}}},
                values(a="${schema.spec.a.b.c}"),
            ),
            "spec.schema.spec.a: an instance may leave it out",
        ),
        (graph({}, values(a="$${schema.metadata.name}")), "spec.resources[0].template.data.a: `$${` is no escape"),
        (
            graph({}, values(a="${schema.metadata.name")),
            "spec.resources[0].template.data.a: `${schema.metadata.name` has no",
        ),
        (graph({}, values(**{"${x}": "y"})), "spec.resources[0].template.data.${x}: kro does not evaluate keys"),
        (
            graph({}, {**values(), "readyWhen": ["${1 == 1}"]}),
            "spec.resources[0].readyWhen[0]: `${1 == 1}` does not depend on the resource",
        ),
        (
            graph({}, {"id": "job", "template": {**kind("Job", "batch/v1"), "spec": {"ttlSecondsAfterFinished": 60}}}),
            "spec.resources[0].template.spec.ttlSecondsAfterFinished: once it is deleted after its end",
        ),
        (
            graph(
                {}, {"id": "w", "template": {**kind("Workflow", "argoproj.io/v1alpha1"), "spec": {"ttlStrategy": {}}}}
            ),
            "spec.resources[0].template.spec.ttlStrategy: once it is deleted",
        ),
        (
            graph(
                {}, {"id": "role", "template": kind("ClusterRole", "rbac.authorization.k8s.io/v1", ownerReferences=[])}
            ),
            "spec.resources[0].template.metadata.ownerReferences: a ClusterRole of the whole cluster cannot belong",
        ),
        (
            graph({}, {"id": "quota", "template": {**kind("ResourceQuota"), "spec": {"hard": {"limits.cpu": 4}}}}),
            "spec.resources[0].template.spec.hard.limits.cpu: a quantity written as a number",
        ),
        (
            graph(
                {"n": "integer | default=1"},
                {"id": "quota", "template": {**kind("ResourceQuota"), "spec": {"hard": {"pods": "${schema.spec.n}"}}}},
            ),
            "spec.resources[0].template.spec.hard.pods: `${schema.spec.n}`: a quantity written as a number",
        ),
        (
            graph({}, values(), {"id": "twin", "template": config_map()}),
            "spec.resources[1].template.metadata.name: `twin` and `settings` are one object",
        ),
        (graph({}, status={"state": "${settings.metadata.name}"}), "spec.schema.status.state: `state` is kro's own"),
        (graph({}, types={}, defaultServiceAccounts={}), "spec.schema.defaultServiceAccounts: kro has no field"),
        (
            graph({}, values(a="${omit()}")),
            "spec.resources[0].template.data.a: `${omit()}`: omit() needs the feature gate",
        ),
    ],
)
def test_what_fails_later_is_a_warning(data: dict[str, Any], warning: str) -> None:
    assert errors(data) == []
    assert [text for text in warnings(data) if not text.startswith(warning)] == []
    assert len(warnings(data)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "${has(schema.spec.a) ? schema.spec.a : 'x'}",
        "${schema.spec.?a.orValue('x')}",
        "${schema.spec.?deep.b.orValue('x')}",
        "${has(schema.spec.deep) && has(schema.spec.deep.b) ? schema.spec.deep.b : 'x'}",
    ],
)
def test_an_expression_that_allows_for_absence_is_no_matter(text: str) -> None:
    assert warnings(graph({"a": "string", "deep": {"b": "string"}}, values(a=text))) == []


def test_every_fault_is_told_at_once_with_its_line() -> None:
    text = as_yaml(graph({"a": "int", "b": "string | requird=true"}, values(x="${nope.y}", z=5)))
    told = check(loaded(text))
    lines = text.splitlines()
    assert [lines[d.line - 1].strip() for d in told] == [
        "a: int",
        "b: string | requird=true",
        "x: ${nope.y}",
        "z: 5",
    ]
    assert all(d.severity is Severity.ERROR and d.hint for d in told)


def test_a_fault_in_a_text_of_several_lines_has_the_line_of_its_expression() -> None:
    script = "first\n  second ${schema.metadata.name}\n  third ${nope.y}\nlast\n"
    text = as_yaml(graph({})).replace(
        "data: {}", "data:\n          run: |\n" + "".join(f"            {line}\n" for line in script.splitlines())
    )
    (fault,) = check(loaded(text))
    assert text.splitlines()[fault.line - 1].strip() == "third ${nope.y}"
    assert text.splitlines()[fault.line - 1][fault.column - 1 :] == "${nope.y}"


def test_without_cel_the_rest_is_checked_and_a_warning_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "available", lambda: False)
    told = found(graph({"a": "int"}, values(x="${nope.y}")))
    assert [d.severity for d in told if "expressions were not checked" in d.message] == [Severity.WARNING]
    assert [d.path for d in told if d.severity is Severity.ERROR] == ["spec.schema.spec.a"]


@pytest.mark.parametrize(
    "data", [{}, {"spec": None}, {"spec": {"schema": [], "resources": {}}}, {"metadata": 3, "spec": 5}]
)
def test_nonsense_is_told_and_does_not_crash(data: dict[str, Any]) -> None:
    whole = {"apiVersion": "kro.run/v1alpha1", "kind": "ResourceGraphDefinition", **data}
    assert errors(whole)


@pytest.mark.parametrize(
    "names",
    [
        ["namespace", "package", "import", "var", "function", "type", "string", "map", "has", "size"],
        ["class", "lambda", "message", "Message", "descriptor", "_x", "x1"],
        ["foo_bar", "fooBar", "name_x", "nameX"],
    ],
)
@pytest.mark.parametrize("declared", ["string | default=x", 'map[string]string | default={"k": "v"}'])
def test_any_name_of_a_field_can_be_read(names: list[str], declared: str) -> None:
    key = "['k']" if declared.startswith("map") else ""
    data = {f"v{number}": f"${{schema.spec.{name}{key}}}" for number, name in enumerate(names)}
    assert errors(graph(dict.fromkeys(names, declared), values(**data))) == []
    wrong = errors(graph(dict.fromkeys(names, declared), values(a="${schema.spec.nothing}")))
    assert len(wrong) == 1 and "undefined field 'nothing'" in wrong[0]


@pytest.mark.parametrize("name", ["ip", "json", "hash", "url", "cel", "lists", "google", "optional", "size", "has"])
def test_a_resource_may_have_the_name_of_a_function(name: str) -> None:
    resource = {"id": name, "template": kind("Secret")}
    assert found(graph({}, resource, values(a="${" + name + ".metadata.name}"))) == []


@pytest.mark.parametrize("name", ["type", "string", "int", "list", "map"])
def test_a_resource_with_the_name_of_a_type_is_worth_a_word(name: str) -> None:
    data = graph({}, {"id": name, "template": kind("Secret")}, values(a="${" + name + ".metadata.name}"))
    assert errors(data) == []
    assert [text.partition(": ")[2] for text in warnings(data)] == [
        f"`{name}` is a type of CEL: expressions may not reach the resource"
    ]
