"""`modelyard kro check` and `modelyard kro expand`, as a person types them."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import yaml

from generator.cli import main
from generator.kro import environment
from tests.unit.kro_graphs import GOOD, as_yaml, graph, values

RENDERED = Path(__file__).parents[2] / "rendered"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["kro", *arguments])
    return int(stopped.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "graph.yaml").write_text(as_yaml(graph({"a": "string | default=x"}, values(a="${schema.spec.a}"))))
    return tmp_path


def test_check_says_that_all_is_well(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", str(folder)) == 0
    assert capsys.readouterr() == ("1 graph: no faults, 0 warnings\n", "")


def test_check_says_where_and_how_to_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(as_yaml(graph({"a": "int"}, values(a="${schema.spec.b}"))))
    assert run("check", str(path)) == 1
    out, err = capsys.readouterr()
    assert out == "1 graph: faults found, 0 warnings\n"
    assert f"{path}:10:10: spec.schema.spec.a: unknown type `int`\n    hint: did you mean `integer`?" in err
    assert "undefined field 'b'" in err
    assert err.endswith("2 errors\n")


def test_check_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "g.yaml").write_text(as_yaml(graph({"a": "int"})))
    assert run("check", str(tmp_path), "--output", "json") == 1
    (told,) = json.loads(capsys.readouterr().out)["diagnostics"]
    assert told["path"] == "spec.schema.spec.a"


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: 1\n", "there is no ResourceGraphDefinition"), ("a: [\n", "not valid YAML"), ("a: {{ .Values.x }}\n", "Helm")],
)
def test_check_of_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    assert run("check", str(tmp_path / "x.yaml")) == 1
    assert message in capsys.readouterr().err


def test_check_of_a_folder_reads_the_files_with_graphs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "template.yaml").write_text("name: {{ .Values.name }}\n")
    assert run("check", str(folder)) == 0
    (folder / "template.yaml").write_text("kind: ResourceGraphDefinition\nname: {{ .Values.name }}\n")
    assert run("check", str(folder)) == 1
    assert "template.yaml:2:8: not valid YAML" in capsys.readouterr().err


def test_the_rendered_graphs_are_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", str(RENDERED / "kro")) == 0
    assert "no faults" in capsys.readouterr().out


def test_expand_prints_objects_in_order(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    instances = folder / "instances.yaml"
    instances.write_text(
        "apiVersion: kro.run/v1alpha1\nkind: Thing\nmetadata: {name: one}\n---\n"
        "apiVersion: kro.run/v1alpha1\nkind: Thing\nmetadata: {name: two, namespace: n}\nspec: {a: y}\n"
    )
    assert run("expand", str(instances), "--rgd", str(folder / "graph.yaml")) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert list(yaml.safe_load_all(out)) == [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "one", "namespace": "default"},
            "data": {"a": "x"},
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "two", "namespace": "n"}, "data": {"a": "y"}},
    ]
    assert run("expand", str(instances), "--rgd", str(folder / "graph.yaml"), "--output", "json") == 0
    assert [obj["metadata"]["name"] for obj in json.loads(capsys.readouterr().out)] == ["one", "two"]


def test_expand_goes_on_with_instances_of_other_graphs(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(GOOD / "graph-of-graphs.yaml")
    assert run("expand", path, "--output", "json") == 0
    kinds = [obj["kind"] for obj in json.loads(capsys.readouterr().out)]
    assert kinds == ["Cell", "Cell", "ConfigMap"]
    assert run("expand", path, "--recursive", "--output", "json") == 0
    objects = json.loads(capsys.readouterr().out)
    assert [obj["kind"] for obj in objects] == [*kinds, "ConfigMap", "ConfigMap"]
    assert [obj["data"]["color"] for obj in objects[3:]] == ["red", "blue"]


def test_expand_says_what_is_not_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = (GOOD / "cloud.yaml").read_text().split("---\n")
    (tmp_path / "rgd.yaml").write_text(documents[0])
    (tmp_path / "instance.yaml").write_text(documents[1])
    arguments = ["expand", str(tmp_path / "instance.yaml"), "--rgd", str(tmp_path / "rgd.yaml")]
    assert run(*arguments) == 0
    out, err = capsys.readouterr()
    assert "${policy.status.ackResourceMetadata.arn}" in out
    assert (
        "warning: role.spec.policies[0]: data: policy.status.ackResourceMetadata.arn is known in the cluster only"
        in err
    )
    living = [
        {"apiVersion": f"{group}.services.k8s.aws/v1alpha1", "kind": kind, "metadata": {"name": "data-1"}}
        | {"status": {"ackResourceMetadata": {"arn": f"arn:{kind}"}}}
        for group, kind in (("iam", "Policy"), ("s3", "Bucket"))
    ]
    (tmp_path / "live.yaml").write_text(as_yaml({"apiVersion": "v1", "kind": "List", "items": living}))
    assert run(*arguments, "--with", str(tmp_path / "live.yaml")) == 0
    out, err = capsys.readouterr()
    assert "arn:Policy" in out
    assert "${" not in out
    assert err == ""


def test_expand_holds_the_instance_against_its_schema(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "i.yaml"
    path.write_text("apiVersion: kro.run/v1alpha1\nkind: Thing\nmetadata:\n  name: one\nspec:\n  a: 5\n  b: x\n")
    assert run("expand", str(path), "--rgd", str(folder / "graph.yaml")) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{path}:6:6: spec.a: must be text, not a whole number\n    hint: put quotes around it" in err
    assert f"{path}:7:6: spec.b: is no field of this kind" in err


def test_expand_by_a_graph_that_kro_would_refuse(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "graph.yaml").write_text(as_yaml(graph({}, values(a="${schema.spec.nothing}"))))
    (folder / "i.yaml").write_text("apiVersion: kro.run/v1alpha1\nkind: Thing\nmetadata: {name: one}\n")
    assert run("expand", str(folder / "i.yaml"), "--rgd", str(folder / "graph.yaml")) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "graph.yaml:18:12: spec.resources[0].template.data.a: `${schema.spec.nothing}`: undefined field" in err


def test_expand_of_an_unknown_kind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "i.yaml"
    path.write_text("apiVersion: kro.run/v1alpha1\nkind: Thingy\nmetadata: {name: one}\n")
    assert run("expand", str(path), "--rgd", str(folder / "graph.yaml")) == 1
    assert "no graph makes Thingy of kro.run/v1alpha1" in capsys.readouterr().err


def test_expand_leaves_the_rest_of_a_chart_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`helm template` gives instances among other objects; a misspelt instance is still told."""
    path = folder / "chart.yaml"
    other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: beside}\n"
    path.write_text(f"{other}---\napiVersion: kro.run/v1alpha1\nkind: Thing\nmetadata: {{name: one}}\n")
    assert run("expand", str(path), "--rgd", str(folder / "graph.yaml")) == 0
    assert "name: beside" in capsys.readouterr().out
    path.write_text(f"{path.read_text()}---\napiVersion: kro.run/v1alpha1\nkind: Thingy\nmetadata: {{name: one}}\n")
    assert run("expand", str(path), "--rgd", str(folder / "graph.yaml")) == 1
    assert "no graph makes Thingy" in capsys.readouterr().err


def test_expand_without_graphs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "none.yaml").write_text("a: 1\n")
    assert run("expand", str(folder / "none.yaml"), "--rgd", str(folder / "none.yaml")) == 1
    assert "there is no ResourceGraphDefinition" in capsys.readouterr().err


def test_without_cel_it_says_what_to_install(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    environment.cel.cache_clear()
    monkeypatch.setattr(importlib, "import_module", missing)
    (folder / "i.yaml").write_text("apiVersion: kro.run/v1alpha1\nkind: Thing\nmetadata: {name: one}\n")
    assert run("expand", str(folder / "i.yaml"), "--rgd", str(folder / "graph.yaml")) == 1
    assert "pip install 'modelyard[kro]'" in capsys.readouterr().err
