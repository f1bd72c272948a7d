"""Sound graphs in the manner of kro's public examples: no alarm, and what their instances become."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.errors import Severity
from generator.kro import reading
from generator.kro.check import check
from generator.kro.expand import expanded, instance_faults
from generator.kro.graph import graph_of, is_graph
from tests.unit.kro_graphs import GOOD

FILES = sorted(GOOD.glob("*.yaml"))
DOCUMENTS = {path: reading.read(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_alarm_on_a_sound_graph(path: Path) -> None:
    found = check(reading.read(path))
    assert [d for d in found if d.severity is Severity.ERROR] == []
    assert [f"{d.path}: {d.message}" for d in found] == []


def expansions(name: str) -> list[Any]:
    """Every instance of a file, expanded by the graph of its kind."""
    documents = reading.read(GOOD / f"{name}.yaml")
    graphs = {graph.kind: graph for graph in (graph_of(d.data) for d in documents if is_graph(d.data))}
    out = []
    for data in (d.data for d in documents if not is_graph(d.data)):
        graph = graphs[data["apiVersion"], data["kind"]]
        assert list(instance_faults(graph, data)) == []
        expansion = expanded(graph, data)
        assert expansion.faults == ()
        out.append(expansion)
    return out


def names(expansion: Any) -> list[str]:
    return [f"{obj['kind']}/{obj['metadata']['name']}" for obj in expansion.objects]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_sample_expands(path: Path) -> None:
    assert all(expansion.objects or expansion.notes for expansion in expansions(path.stem))


def test_web_app() -> None:
    shoes, hats = expansions("web-app")
    assert names(shoes) == ["Deployment/shoes", "Service/shoes"]
    assert names(hats) == ["Deployment/hats", "Service/hats", "Ingress/hats"]
    deployment, service = shoes.objects
    assert deployment["spec"]["replicas"] == 3
    assert deployment["metadata"]["namespace"] == "shops"
    assert deployment["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "PORT", "value": "8080"}]
    assert service["spec"]["selector"] == {"app": "shoes"}
    assert service["spec"]["ports"][0]["targetPort"] == 8080
    assert shoes.notes == ()


def test_nested_types() -> None:
    (roster,) = expansions("nested-types")
    assert roster.objects[0]["data"] == {
        "names": "Ada (lead), Grace (engineer)",
        "leads": "1",
        "rooms": "red=Alan",
        "first": "2",
        "database": "db:5432",
        "cpu": "1",
    }


def test_collections() -> None:
    (shards,) = expansions("collections")
    assert names(shards) == [
        *(f"StatefulSet/s-{zone}-{copy}" for zone in "ab" for copy in (0, 1)),
        *(f"ConfigMap/s-{zone}-{copy}-entry" for zone in "ab" for copy in (0, 1)),
    ]
    assert shards.objects[-1]["data"] == {"zone": "b"}


def test_external_objects_are_asked_for_and_taken() -> None:
    documents = reading.read(GOOD / "external.yaml")
    graph, instance = graph_of(documents[0].data), documents[1].data
    assert {note.resource for note in expanded(graph, instance).notes} == {"copy"}
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "platform"},
        "data": {"enabled": "true", "REGION": "us-east-1"},
    }
    token: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "t1", "namespace": "teams", "labels": {"team": "blue"}},
    }
    other = {**token, "metadata": {**token["metadata"], "name": "t2", "labels": {"team": "red"}}}
    with_them = expanded(graph, instance, [settings, token, other])
    assert with_them.notes == ()
    assert with_them.objects[0]["data"] == {"region": "us-east-1", "tokens": "t1"}
    without = expanded(graph, instance, [{**settings, "data": {}}, token])
    assert without.objects == []


def test_what_a_cluster_alone_knows_stays_as_it_is() -> None:
    (cloud,) = expansions("cloud")
    assert names(cloud) == ["Bucket/data-1", "Policy/data-1", "Role/data-1"]
    bucket, policy, role = cloud.objects
    assert bucket["spec"]["tagging"]["tagSet"] == [{"key": "team", "value": "blue"}]
    assert role["spec"]["policies"] == ["${policy.status.ackResourceMetadata.arn}"]
    assert '"Resource": ["${bucket.status.ackResourceMetadata.arn}/*"]' in policy["spec"]["policyDocument"]
    assert [(note.resource, note.reason) for note in cloud.notes] == [
        ("policy", "bucket.status.ackResourceMetadata.arn is known in the cluster only"),
        ("role", "policy.status.ackResourceMetadata.arn is known in the cluster only"),
    ]


def test_checksums_are_those_of_kro() -> None:
    (restarts,) = expansions("checksum")
    annotations = restarts.objects[1]["spec"]["template"]["metadata"]["annotations"]
    digest = hashlib.sha256(b'{"a":"1","b":"2"}').hexdigest()
    assert annotations["checksum/settings"] == digest


def test_shell() -> None:
    (greet,) = expansions("shell")
    data = greet.objects[0]["data"]
    assert data["run.sh"].splitlines() == [
        'NAME="world"',
        'echo "hello ${NAME} and ${HOME:-/root} $HOME $(date) $((1 + 2))"',
        'for i in 1 2 3; do echo "}{"; done',
    ]
    assert data["json"] == '{"times": 3}'
    assert data["map"] == '{"a":{"b":3}}'


def test_tenant_of_the_whole_cluster() -> None:
    (tenant,) = expansions("tenant")
    assert names(tenant) == ["Namespace/tenant-blue", "ResourceQuota/limits", "RoleBinding/owners"]
    assert "namespace" not in tenant.objects[0]["metadata"]
    assert [subject["name"] for subject in tenant.objects[2]["subjects"]] == ["ada", "grace"]


def test_optional_fields() -> None:
    bare, full = expansions("optional")
    assert names(bare) == ["ConfigMap/bare"]
    assert bare.objects[0]["data"] == {"size": "1", "extra": "{}", "bound": "xx"}
    assert bare.objects[0]["metadata"]["annotations"] == {"note": "none", "team": ""}
    settings, pod = full.objects
    assert settings["data"] == {"size": "7", "extra": '{"a":[1]}', "bound": "hihi"}
    assert settings["metadata"]["annotations"] == {"note": "hi", "team": "blue"}
    assert pod["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert pod["spec"]["priorityClassName"] == "hi"


def test_graph_of_graphs() -> None:
    (body,) = expansions("graph-of-graphs")
    assert names(body) == ["Cell/b-red", "Cell/b-blue", "ConfigMap/b-index"]
    data = body.objects[-1]["data"]
    assert data["colors"] == "red blue"
    assert data["places"].startswith("${cell.map(")


def test_libraries() -> None:
    (lib,) = expansions("libraries")
    data = lib.objects[0]["data"]
    known = {"part": "a", "parts": "a.b", "sum": "600", "parsed": "c", "size": "small", "sorted": "ab"}
    known |= {"upper": "A-B-C-EXAMPLE-COM", "found": "c.example", "host": "example.com:80", "decoded": "hi"}
    known |= {"macro": "a1,b2", "any": "true"}
    assert {key: data[key] for key in known} == known
    assert lib.objects[0]["metadata"]["labels"] == {"x": "2", "y": "3"}
    assert len(data["random"]) == 6
    left = {note.path[-1]: note.reason for note in lib.notes}
    assert left == {
        "address": "family() is not evaluated here",
        "turned": "transformMap() is not evaluated here",
        "semver": "major() is not evaluated here",
    }


JUNK: st.SearchStrategy[Any] = st.sampled_from(
    ["", "x", "${", "${a", "${a}", "${${b}}", "a | b", "string | default=", "${schema}", "[]", "${1", "$${x}", "${'"]
) | st.sampled_from([None, 0, 1.5, True, [], {}, ["x"], {"x": "y"}, {"x": None}, [None], [{}], [["x"]], -1])


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside `node`."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*path, key)
        yield from places(value, (*path, key))


@given(st.sampled_from(FILES), st.randoms(use_true_random=False), JUNK)
@settings(max_examples=150, deadline=None)
def test_no_graph_makes_it_crash(path: Path, random: Random, junk: Any) -> None:
    data = [copy.deepcopy(document.data) for document in DOCUMENTS[path]]
    broken = random.choice(data)
    *way, last = random.choice(list(places(broken)))
    node = broken
    for part in way:
        node = node[part]
    node[last] = copy.deepcopy(junk)
    check([reading.Document(item, "x") for item in data])
    graphs = {graph.kind: graph for graph in map(graph_of, filter(is_graph, data))}
    for item in data:
        graph = graphs.get((str(item.get("apiVersion")), str(item.get("kind"))))
        if graph is not None and not list(instance_faults(graph, item)):
            expanded(graph, item)
