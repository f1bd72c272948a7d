"""The graph makes what the plain chart makes, and its expressions are sound."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import naming
from generator.emit.graphs import GRAPHS
from generator.emit.graphs.base import cluster_role, definition
from generator.errors import Severity
from generator.kro import evaluate
from generator.kro.check import check
from generator.kro.expand import expand
from generator.kro.reading import Document

ROOT = Path(__file__).parents[2]
VALUES = ROOT / "chart-templates/model-services/ci/two-services-values.yaml"
NAMESPACE = "models"


def template(helm: str, chart: str, values: Path = VALUES) -> list[dict[str, Any]]:
    """What helm makes of one of our charts."""
    command = [helm, "template", "release", str(ROOT / "chart-templates" / chart), "-n", NAMESPACE, "-f", str(values)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [doc for doc in yaml.safe_load_all(done.stdout) if doc]


def compared(obj: dict[str, Any]) -> dict[str, Any]:
    """The object without what only Argo CD or only people read."""
    meta = obj["metadata"]
    if obj["kind"] != "Ingress":
        meta = {key: value for key, value in meta.items() if key != "annotations"}
    return {**obj, "metadata": meta}


def by_kind(objects: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(obj["kind"], obj["metadata"]["name"]): compared(obj) for obj in objects}


def test_instances_expand_to_what_the_plain_chart_makes(helm: str) -> None:
    instances = template(helm, "model-services")
    expanded = [obj for instance in instances for obj in expand(definition(GRAPHS["model-service"]), instance)]
    assert [i["kind"] for i in instances] == [naming.KRO_KIND] * 2
    assert by_kind(expanded) == by_kind(template(helm, "ray-service"))
    assert len(expanded) == 5 + 7


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_kro_would_take_the_graph(name: str) -> None:
    found = check([Document(definition(GRAPHS[name]), name)])
    assert [f"{d.path}: {d.message}" for d in found if d.severity is Severity.ERROR] == []


def test_readiness_is_that_of_the_real_objects() -> None:
    ready = {r["id"]: r.get("readyWhen") for r in definition(GRAPHS["model-service"])["spec"]["resources"]}
    assert all(text.startswith("${" + name + ".status.") for name, texts in ready.items() for text in texts or ())
    assert ready["rayService"] is not None and ready["claim"] is not None
    service = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert ready_is(ready["rayService"][0], service) is True
    service["status"]["conditions"][0]["status"] = "False"
    assert ready_is(ready["rayService"][0], service) is False


def ready_is(text: str, service: dict[str, Any]) -> Any:
    """The value of a condition of the RayService, when the cluster has `service`."""
    source = text.removeprefix("${").removesuffix("}")
    return evaluate.value(source, evaluate.Scope({"rayService": service}, live=frozenset({"rayService"})))


def test_every_field_is_required_or_has_a_default_or_may_be_left_out() -> None:
    def leaves(node: Any, path: str = "") -> Any:
        for key, value in node.items():
            yield from leaves(value, f"{path}.{key}") if isinstance(value, dict) else [(f"{path}.{key}", value)]

    spec = definition(GRAPHS["model-service"])["spec"]
    decided = ("default=", "required=true")
    optional = [path for path, kind in leaves(spec["schema"]["spec"]) if not any(word in kind for word in decided)]
    assert optional
    text = str(spec["resources"])
    for path in optional:
        assert f"schema.spec.?{path[1:]}}}" in text and f"schema.spec{path}" not in text, path


def test_what_an_instance_leaves_out_is_left_out(helm: str) -> None:
    chat, gpu = (
        next(obj for obj in expand(definition(GRAPHS["model-service"]), instance) if obj["kind"] == "RayService")[
            "spec"
        ]
        for instance in template(helm, "model-services")
    )
    assert [{"upgradeStrategy", "serveService"} & set(spec) for spec in (chat, gpu)] == [
        {"upgradeStrategy"},
        {"serveService"},
    ]
    configs = chat["rayClusterConfig"], gpu["rayClusterConfig"]
    assert ["gcsFaultToleranceOptions" in config for config in configs] == [False, True]
    pods = [config["workerGroupSpecs"][0]["template"]["spec"] for config in configs]
    assert ["priorityClassName" in pod for pod in pods] == [False, True]
    assert [config["authOptions"] for config in configs] == [
        {"mode": "token"},
        {"mode": "token", "secretName": "gpu-ray-token"},
    ]


def test_without_a_user_the_platform_chooses(helm: str) -> None:
    instance = template(helm, "model-services")[0]
    del instance["spec"]["uid"]
    made = expand(definition(GRAPHS["model-service"]), instance)
    config = next(obj for obj in made if obj["kind"] == "RayService")["spec"]["rayClusterConfig"]
    for group in (config["headGroupSpec"], *config["workerGroupSpecs"]):
        assert group["template"]["spec"]["securityContext"] == {
            "runAsNonRoot": True,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }


def test_only_namespaced_children_and_no_owner_of_the_volume() -> None:
    for resource in definition(GRAPHS["model-service"])["spec"]["resources"]:
        meta = resource["template"]["metadata"]
        assert "ownerReferences" not in meta
        assert ("namespace" in meta) is (resource["template"]["kind"] != "PersistentVolume")


def test_the_controller_may_make_every_child() -> None:
    rules = cluster_role(GRAPHS["model-service"])["rules"]
    rights = {(group, kind) for rule in rules for group in rule["apiGroups"] for kind in rule["resources"]}
    for resource in definition(GRAPHS["model-service"])["spec"]["resources"]:
        api, kind = resource["template"]["apiVersion"], resource["template"]["kind"].lower()
        plural = kind[:-1] + "ies" if kind.endswith("y") else kind + ("es" if kind.endswith("s") else "s")
        assert (api.rpartition("/")[0], plural) in rights, plural
