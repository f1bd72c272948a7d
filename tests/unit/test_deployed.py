"""What Argo CD would make of a tree: templates that are filled, folders and charts, and the folder for kubectl."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import assets, compile, deployed, lint, tree
from generator.deployed import Application, filled, of_cluster
from generator.errors import UserError
from tests.conftest import ROOT

CATALOGUE = """\
apiVersion: modelyard.dev/v1alpha1
kind: ModelCatalog
platform:
  prefix: acme
  repository: {url: "https://git.example.com/acme/gitops.git", path: deploy/rendered}
  namespace: models
  images: {prestage: "registry.example.com/acme/prestage:1.0.0"}
  monitoring: {}
clusters:
  - name: hand
    provider: eks
    gitops: kubectl
    values: {aws_region: eu-west-1, aws_account_id: "012345678901", resource_prefix: acme}
  - {name: argo, provider: eks, servicesBy: helm, selector: {stage: test}}
caches:
  - {name: s3, type: s3}
models:
  - {name: tiny, source: {huggingface: org/tiny, revision: cccccccccccccccccccccccccccccccccccccccc}, cache: s3}
services:
  - name: chat
    clusters: [hand, argo]
    applications:
      - {model: tiny, app: text-generation, memory: 8Gi}
"""
ALONE = CATALOGUE.replace("  - {name: argo, provider: eks, servicesBy: helm, selector: {stage: test}}\n", "").replace(
    ", argo]", "]"
)


def compiled(folder: Path, text: str, helm: Path | None) -> tree.Tree:
    found = assets.find()
    (folder / "models.yaml").write_text(text)
    planned = compile.plan_catalogue(folder / "models.yaml", found)
    assert planned.plan is not None, planned.diagnostics
    return compile.files(planned.plan, found, str(helm) if helm else None)


@pytest.fixture(scope="module")
def made(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> tree.Tree:
    return compiled(tmp_path_factory.mktemp("catalogue"), CATALOGUE, helm)


@pytest.fixture(scope="module")
def written(made: tree.Tree, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    tree.write(folder, made)
    return folder


def keyed(objects: Iterator[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(item["kind"], item["metadata"]["name"]): item for item in objects if item}


def test_kustomize_gives_what_helm_and_the_folders_have(written: Path, helm: Path, kubectl: Path) -> None:
    """Values and names of the charts stand here once more: nothing of the code under test says them."""
    folder = written / "clusters" / "hand"
    out = subprocess.run([kubectl, "kustomize", folder], check=True, capture_output=True, text=True).stdout
    applied = keyed(yaml.safe_load_all(out))
    region, bucket = "region=eu-west-1", "acme-ray-models-012345678901"
    expected: dict[tuple[str, str], dict[str, Any]] = {}
    for release, chart, values, facts in (
        ("prestage", "prestage", "prestage.yaml", {"modelPrestage": [f"s3Bucket={bucket}", region, "enabled=true"]}),
        ("chat", "model-services", "services/chat.yaml", {"cluster": [f"bucket={bucket}", region]}),
    ):
        given = [word for key, facts in facts.items() for fact in facts for word in ("--set", f"{key}.{fact}")]
        command = [str(helm), "template", release, str(written / "charts" / chart), "-n", "models"]
        command += ["-f", str(folder / values), *given]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        expected |= keyed(yaml.safe_load_all(done.stdout))
    for pattern in ("serve/*.yaml", "kro/*.yaml", "monitoring/*.yaml"):
        for path in written.glob(pattern):
            expected |= keyed(yaml.safe_load_all(path.read_text()))
    del expected["PrometheusRule", "modelyard-services-argo"]
    modes = ("enforce", "audit", "warn")
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in modes}
    metadata = {"name": "models", "labels": labels}
    expected["Namespace", "models"] = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    assert applied == expected
    assert {kind for kind, _ in applied} >= {"Job", "ModelService", "ResourceGraphDefinition", "PodMonitor"}


def test_one_object_a_file_in_an_order_that_applies(made: tree.Tree) -> None:
    resources = yaml.safe_load(made.files["clusters/hand/kustomization.yaml"])["resources"]
    below = [path for path in made.files if path.startswith("clusters/hand/manifests/")]
    assert sorted(f"clusters/hand/{path}" for path in resources) == below
    kinds = [yaml.safe_load(made.files[f"clusters/hand/{path}"])["kind"] for path in resources]
    assert kinds[0] == "Namespace" and kinds.index("ResourceGraphDefinition") < kinds.index("ModelService")
    assert "manifests/hand-chat/modelservice-chat.yaml" in resources
    assert not any(path.startswith("clusters/argo/manifests") for path in made.files)


def test_the_same_bytes_again_whatever_helm_writes(made: tree.Tree, helm: Path, tmp_path: Path) -> None:
    """A helm that quotes and indents in another way, without comments."""
    other = tmp_path / "helm"
    program = (
        "import subprocess, sys, yaml\n"
        f"out = subprocess.run([{str(helm)!r}, *sys.argv[1:]], stdin=sys.stdin, check=True, capture_output=True)\n"
        "print(yaml.safe_dump_all(yaml.safe_load_all(out.stdout), width=60, sort_keys=False, explicit_start=True))\n"
    )
    other.write_text(f"#!{sys.executable}\n{program}")
    other.chmod(0o755)
    again = compiled(tmp_path, CATALOGUE, other)
    names = [path for path in made.files if "/manifests/" in path]
    assert names and {path: again.files[path] for path in names} == {path: made.files[path] for path in names}


def test_argo_cd_gets_its_own_clusters_only(made: tree.Tree) -> None:
    sets = [yaml.safe_load(made.files[path]) for path in made.files if path.startswith("bootstrap/applications/")]
    found = {
        values["entry"]
        for document in sets
        if document["kind"] == "ApplicationSet"
        for values, _ in deployed.entries(document["spec"]["generators"])
    }
    assert found == {"argo"}
    assert "bootstrap/applications/services-kro.yaml" not in made.files  # only `hand` would have it


def test_no_bootstrap_without_argo_cd(tmp_path: Path, helm: Path) -> None:
    files = compiled(tmp_path, ALONE, helm).files
    assert not any(path.startswith("bootstrap") for path in files)
    assert "clusters/hand/kustomization.yaml" in files


def test_lint_judges_the_manifests(written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    shutil.copytree(written, folder)
    assert [d for d in lint.lint(folder, assets.find(), None).diagnostics if d.severity == "error"] == []
    path = folder / "clusters/hand/manifests/prestage-hand/serviceaccount-modelyard-prestage.yaml"
    path.with_name("second.yaml").write_text(path.read_text().replace("automountServiceAccountToken", "mistyped"))
    messages = [d.message for d in lint.lint(folder, assets.find(), None).diagnostics]
    assert any("is made twice" in message for message in messages)
    assert any("mistyped" in message for message in messages)


def test_an_edited_manifest_is_found(written: Path, made: tree.Tree, tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    shutil.copytree(written, folder)
    path = "clusters/hand/manifests/namespace-models.yaml"
    (folder / path).write_text((folder / path).read_text().replace("restricted", "privileged"))
    assert tree.compare(folder, made).edited == (path,)


def test_without_helm_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text(CATALOGUE)
    command = [sys.executable, "-m", "generator.cli", "render"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "helm is not on PATH, and expands the charts for cluster `hand`" in done.stderr
    assert "--helm PATH" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["models.yaml"]


def test_a_helm_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot run helm: No such file"):
        compiled(tmp_path, CATALOGUE, tmp_path / "helm")


def test_templates_are_filled_everywhere_and_strictly() -> None:
    facts = {".name": "east", ".values.region": "eu-west-1"}
    node = {"a": ["{{ .name }}-{{ .values.region }}", 1, None], "b": {"c": "plain", "d": True}}
    assert filled(node, facts) == {"a": ["east-eu-west-1", 1, None], "b": {"c": "plain", "d": True}}
    with pytest.raises(UserError, match=r"asks for \{\{ \.nothing \}\}"):
        filled(["{{ .nothing }}"], facts)


def application_set(source: dict[str, Any], generators: list[dict[str, Any]]) -> dict[str, Any]:
    spec = {"source": source, "destination": {"namespace": "models"}, "syncPolicy": {}}
    name = '{{ .nameNormalized }}-{{ trimSuffix ".yaml" .path.filename }}' if "matrix" in generators[0] else "a"
    return {"spec": {"generators": generators, "template": {"metadata": {"name": name}, "spec": spec}}}


def clusters(entry: str, **values: str) -> dict[str, Any]:
    return {"clusters": {"values": {"entry": entry, **values}}}


def test_an_application_for_each_file_of_a_matrix() -> None:
    files = {"git": {"files": [{"path": "deploy/rendered/clusters/one/services/*.yaml"}]}}
    document = application_set({"path": "x"}, [{"matrix": {"generators": [clusters("one"), files]}}])
    paths = ["clusters/one/services/b.yaml", "clusters/one/services/deep/c.yaml", "clusters/one/prestage.yaml"]
    found = list(of_cluster(document, "one", {}, paths, "deploy/rendered"))
    assert found == [Application("one-b", "models", {}, {"path": "x"}, "clusters/one/services/b.yaml")]
    assert list(of_cluster(document, "two", {}, paths, "deploy/rendered")) == []


def test_a_chart_from_elsewhere_is_not_ours() -> None:
    document = application_set({"chart": "kro"}, [clusters("one", region="{{ .metadata.annotations.aws_region }}")])
    assert list(of_cluster(document, "one", {}, [], "")) == []


def test_what_a_cluster_does_not_state_is_asked_of_it() -> None:
    document = application_set({"path": "x"}, [clusters("one", region="{{ .metadata.annotations.aws_region }}")])
    with pytest.raises(UserError, match="cluster `one` states no `aws_region`") as error:
        list(of_cluster(document, "one", {}, [], ""))
    assert "values: {aws_region: ...}" in error.value.diagnostics[0].hint
