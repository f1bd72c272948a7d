"""`modelyard lint` looks at the graphs of a tree as `kro check` does."""

from __future__ import annotations

from pathlib import Path

from generator import assets
from generator.errors import Severity
from generator.lint import lint
from tests.unit.kro_graphs import as_yaml, graph, values


def judged(folder: Path, data: object) -> list[str]:
    """Faults of a tree with one graph: `line severity: path message`."""
    (folder / ".modelyard").mkdir()
    (folder / "kro").mkdir()
    (folder / "kro" / "thing.yaml").write_text(as_yaml(data))
    found = lint(folder, assets.find(), None).diagnostics
    assert {d.file for d in found} <= {str(folder / "kro" / "thing.yaml")}
    return [f"{d.line} {d.severity}: {d.path}: {d.message}" for d in found]


def test_a_sound_graph(tmp_path: Path) -> None:
    assert judged(tmp_path, graph({"a": "string | default=x"}, values(a="${schema.spec.a}"))) == []


def test_expressions_are_judged_with_their_line(tmp_path: Path) -> None:
    (fault,) = judged(tmp_path, graph({"a": "string | default=x"}, values(a="${schema.spec.b}")))
    assert fault == "19 error: spec.resources[0].template.data.a: `${schema.spec.b}`: undefined field 'b'"


def test_our_own_schemas_say_the_types_of_fields(tmp_path: Path) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "${schema.metadata.name}", "namespace": "${schema.metadata.namespace}"},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "storageClassName": "${schema.spec.size}",
            "volumeName": "v",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    (fault,) = judged(tmp_path, graph({"size": "integer | default=1"}, {"id": "claim", "template": claim}))
    assert fault.endswith("`${schema.spec.size}`: gives type int, and the field takes text")


def test_warnings_are_warnings(tmp_path: Path) -> None:
    (warning,) = judged(tmp_path, graph({"a": "string"}, values(a="${schema.spec.a}")))
    assert f" {Severity.WARNING}: spec.schema.spec.a: an instance may leave it out" in warning
