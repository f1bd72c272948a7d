"""ApplicationSets: their Go templates give what the cluster says, in the real engine, and nothing without it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import assets
from generator.emit import argocd
from tests.unit.plans import CLUSTER as HUB
from tests.unit.plans import example_plan

ANNOTATIONS = {"aws_account_id": "012345678901", "aws_region": "us-west-2", "resource_prefix": "peeks"}
CLUSTER: dict[str, Any] = {
    "name": "peeks-hub",
    "nameNormalized": "peeks-hub",
    "server": "https://example.com",
    "metadata": {"annotations": ANNOTATIONS, "labels": {"enable_ray_operator": "true"}},
    "path": {"filename": "chat.yaml", "basename": "services", "path": "rendered/clusters/peeks-hub/services"},
}


@pytest.fixture(scope="module")
def sets() -> dict[str, dict[str, Any]]:
    """The ApplicationSets of the example by name."""
    files = dict(argocd.emit(example_plan(), assets.find()))
    documents = [d for content in files.values() for d in yaml.safe_load_all(content)]
    return {d["metadata"]["name"]: d for d in documents if d["kind"] == "ApplicationSet"}


def go(helm: str, folder: Path, texts: list[str], parameters: Mapping[str, Any]) -> list[str]:
    """Each text rendered by Go's template engine with sprig, as it is inside helm."""
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: go\nversion: 0.1.0\n")
    (folder / "values.yaml").write_text(json.dumps({"texts": texts, "parameters": parameters}))
    (folder / "templates/out.yaml").write_text(
        "{{- $out := list }}{{ range .Values.texts }}"
        '{{ $out = append $out (tpl . (merge (dict "Template" $.Template) $.Values.parameters)) }}{{ end }}'
        "texts: {{ $out | toJson }}\n"
    )
    done = subprocess.run([helm, "template", "go", str(folder)], capture_output=True, text=True, check=True)
    return list(yaml.safe_load(done.stdout)["texts"])


def strings(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)
    elif isinstance(node, str) and "{{" in node:
        yield node


def generator_values(document: dict[str, Any]) -> dict[str, str]:
    generator = document["spec"]["generators"][0]
    clusters = generator["clusters"] if "clusters" in generator else generator["matrix"]["generators"][0]["clusters"]
    return dict(clusters["values"])


def rendered(helm: str, folder: Path, document: dict[str, Any], cluster: Mapping[str, Any]) -> dict[str, str]:
    """Every templated string of the Application, and what it becomes."""
    values = generator_values(document)
    filled = dict(zip(values, go(helm, folder, list(values.values()), cluster), strict=True))
    texts = list(strings(document["spec"]["template"]))
    return dict(zip(texts, go(helm, folder, texts, {**cluster, "values": filled}), strict=True))


def test_cluster_values_come_from_its_annotations(helm: str, tmp_path: Path, sets: dict[str, dict[str, Any]]) -> None:
    prestage = rendered(helm, tmp_path, sets["prestage"], CLUSTER)
    assert set(prestage.values()) == {
        "prestage-peeks-hub",
        "peeks-hub",
        "../../clusters/peeks-hub/prestage.yaml",
        "peeks-ray-models-012345678901",
        "us-west-2",
    }
    services = rendered(helm, tmp_path, sets["services-kro"], CLUSTER)
    assert set(services.values()) == {
        "peeks-hub-chat",
        "chat",
        "peeks-hub",
        "../../clusters/peeks-hub/services/chat.yaml",
        "peeks-ray-models-012345678901",
        "us-west-2",
    }


@pytest.mark.parametrize("left_out", sorted(ANNOTATIONS))
def test_each_annotation_is_needed(helm: str, tmp_path: Path, sets: dict[str, dict[str, Any]], left_out: str) -> None:
    """Argo CD stops at the missing key (missingkey=error); helm's engine shows that the key is really used."""
    annotations = {key: value for key, value in ANNOTATIONS.items() if key != left_out}
    cluster = {**CLUSTER, "metadata": {**CLUSTER["metadata"], "annotations": annotations}}
    for name in ("prestage", "services-kro"):
        assert rendered(helm, tmp_path, sets[name], cluster) != rendered(helm, tmp_path, sets[name], CLUSTER)


def test_every_set_is_safe(sets: dict[str, dict[str, Any]]) -> None:
    for document in sets.values():
        spec = document["spec"]
        assert spec["goTemplate"] is True and spec["goTemplateOptions"] == ["missingkey=error"]
        assert spec["syncPolicy"] == {"preserveResourcesOnDeletion": True}
        assert "templatePatch" not in spec
        application = spec["template"]["spec"]
        assert "{{" not in application["project"]
        assert application["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}
        assert "ServerSideApply=true" in application["syncPolicy"]["syncOptions"]
        assert application["syncPolicy"]["retry"]["limit"] > 0


def test_the_autoscaler_is_not_fought(sets: dict[str, dict[str, Any]]) -> None:
    application = sets["services-kro"]["spec"]["template"]["spec"]
    assert {d["kind"] for d in application["ignoreDifferences"]} == {"RayService", "RayCluster"}
    assert "RespectIgnoreDifferences=true" in application["syncPolicy"]["syncOptions"]


def test_software_may_go_where_its_chart_puts_it() -> None:
    """The S3 driver runs Mountpoint in a namespace of its own, with a Role there."""
    software = replace(HUB, addons=("kuberay-operator", "mountpoint-s3-csi-driver"))
    (project,) = [
        yaml.safe_load(content)
        for path, content in argocd.emit(example_plan(clusters=(software,)), assets.find())
        if path.endswith("project-addons.yaml")
    ]
    namespaces = [destination["namespace"] for destination in project["spec"]["destinations"]]
    assert namespaces == ["kube-system", "kuberay-system", "mount-s3"]


def test_a_cluster_without_an_account_has_no_bucket_of_its_own() -> None:
    """The charts take no bucket there, and half a name would be a fault of their values."""
    other = replace(HUB, name="azure", provider="aks", values={"resource_prefix": "peeks"}, services_by="kro")
    (eks, aks) = (argocd.base.clusters_of(cluster, ("bucket",))["clusters"]["values"] for cluster in (HUB, other))
    account = "{{ .metadata.annotations.aws_account_id }}"
    assert eks == {
        "entry": "peeks-hub",
        "bucket": f"{{{{ .metadata.annotations.resource_prefix }}}}-ray-models-{account}",
    }
    assert aks == {"entry": "azure", "bucket": ""}


def test_health_checks_cover_ray_and_kro() -> None:
    files = dict(argocd.emit(example_plan(), assets.find()))
    data = yaml.safe_load(files["bootstrap/argocd-cm.yaml"])["data"]
    assert {key.removeprefix("resource.customizations.health.") for key in data} == {
        "ray.io_RayService",
        "ray.io_RayCluster",
        "kro.run_ResourceGraphDefinition",
        "kro.run_ModelService",
        "kro.run_HuggingFaceModel",
    }
    assert all("return" in lua for lua in data.values())
