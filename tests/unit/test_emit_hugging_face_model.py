"""The graph that stages a model: order, identity, readiness, and when it runs again."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import naming
from generator.emit.graphs import GRAPHS
from generator.emit.graphs.base import cluster_role, definition
from generator.kro.expand import expand

ROOT = Path(__file__).parents[2]
VALUES = ROOT / "chart-templates/platform-manifests/ci/two-models-values.yaml"
GRAPH = GRAPHS["hugging-face-model"]


def instances(helm: str, folder: Path, **cluster: str) -> dict[str, dict[str, Any]]:
    """What helm makes of the chart's own values, by model."""
    values = yaml.safe_load(VALUES.read_text())
    values["cluster"] |= cluster
    (folder / "values.yaml").write_text(json.dumps(values))
    chart = str(ROOT / "chart-templates/platform-manifests")
    command = [helm, "template", "release", chart, "-n", "ray-system", "-f", str(folder / "values.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {
        d["metadata"]["name"]: d for d in yaml.safe_load_all(done.stdout) if d and d["kind"] == naming.KRO_MODEL_KIND
    }


@pytest.fixture
def models(helm: str, tmp_path: Path) -> dict[str, dict[str, Any]]:
    return instances(helm, tmp_path)


def made(instance: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Objects of the instance by kind; of two Policies the first."""
    found: dict[str, dict[str, Any]] = {}
    for item in expand(definition(GRAPH), instance):
        group = item["apiVersion"].partition("/")[0]
        found.setdefault(f"{item['kind']} {group}" if item["kind"] == "Role" else item["kind"], item)
    return found


def test_no_pod_starts_before_its_identity_is_there() -> None:
    """kro orders by references alone, so the Workflow has to refer to what it needs, and to its status."""
    templates = {
        resource["id"]: json.dumps(resource["template"]) for resource in definition(GRAPH)["spec"]["resources"]
    }
    assert "association.status.associationID" in templates["workflow"]
    assert "executorBinding.metadata.name" in templates["workflow"]
    assert "role.metadata.name" in templates["association"]
    assert "policy.metadata.name" in templates["role"]
    assert "workflow.metadata.name" in templates["refresh"]


def test_active_only_when_staged() -> None:
    ready = {r["id"]: r.get("readyWhen") for r in definition(GRAPH)["spec"]["resources"]}
    assert ready["workflow"] == ["${workflow.status.phase == 'Succeeded'}"]
    for name in ("policy", "role", "association"):
        (text,) = ready[name] or ("",)
        assert "ACK.ResourceSynced" in text


def test_the_role_reaches_one_model_and_is_taken_by_one_account(models: dict[str, dict[str, Any]]) -> None:
    objects = made(models["tinyllama"])
    document = json.loads(objects["Policy"]["spec"]["policyDocument"])
    resources = {resource for statement in document["Statement"] for resource in statement["Resource"]}
    bucket = "arn:aws:s3:::peeks-ray-models-012345678901"
    assert {r for r in resources if not r.startswith(f"{bucket}/models/tinyllama/")} == {bucket}
    for statement in document["Statement"]:
        assert "*" not in "".join(statement["Action"])
    deleted = next(s["Resource"] for s in document["Statement"] if "s3:DeleteObject" in s["Action"])
    assert all("/.modelyard/" in resource for resource in deleted)
    (trust,) = json.loads(objects["Role iam.services.k8s.aws"]["spec"]["assumeRolePolicyDocument"])["Statement"]
    assert trust["Condition"]["ArnEquals"]["aws:SourceArn"] == "arn:aws:eks:us-west-2:012345678901:cluster/peeks-hub"
    assert trust["Condition"]["StringEquals"] == {
        "aws:SourceAccount": "012345678901",
        "aws:RequestTag/kubernetes-namespace": "ray-system",
        "aws:RequestTag/kubernetes-service-account": objects["ServiceAccount"]["metadata"]["name"],
    }


def test_nothing_that_is_there_already_is_taken_over() -> None:
    assert "adoption-policy" not in json.dumps(definition(GRAPH))


def test_names_in_aws_differ_by_cluster_namespace_and_model(helm: str, tmp_path: Path) -> None:
    long = "a-name-of-a-cluster-that-is-as-long-as-aws-allows-it-to-be-" + "x" * 40
    found = [instances(helm, tmp_path, name=name) for name in ("peeks-hub", "peeks-spoke", long, f"{long}y")]
    names = [i["spec"]["identity"]["name"] for each in found for i in each.values()]
    assert len(set(names)) == len(names) == 8
    assert all(len(f"{name}-tell") <= 64 for name in names), "a role has 64 characters at most"


def test_it_runs_again_when_inputs_change_and_only_then(
    models: dict[str, dict[str, Any]], helm: str, tmp_path: Path
) -> None:
    before = made(models["tinyllama"])["Workflow"]["metadata"]["name"]
    same = copy.deepcopy(models["tinyllama"])
    same["spec"]["refresh"] = {"schedule": "0 4 * * *", "timeZone": "Etc/UTC", "revision": "main"}
    assert made(same)["Workflow"]["metadata"]["name"] == before
    other = instances(helm, tmp_path, bucket="another-bucket")["tinyllama"]
    assert made(other)["Workflow"]["metadata"]["name"] != before


def test_the_steps_follow_the_values(models: dict[str, dict[str, Any]]) -> None:
    tried, plain = made(models["tinyllama"]), made(models["gated"])
    templates = {t["name"]: t for t in tried["Workflow"]["spec"]["templates"]}
    assert "--hold" in templates["prestage"]["container"]["args"]
    assert [[s.get("when") for s in group] for group in templates["stage"]["steps"]] == [[None], ["true"]]
    args = next(t for t in plain["Workflow"]["spec"]["templates"] if t["name"] == "prestage")["container"]["args"]
    assert "--hold" not in args and args[args.index("--source") + 1] == "s3://models-eu/models/gated/63a8b0818953"
    assert args[args.index("--target") + 1] == "s3://models-us/models/gated/63a8b0818953"
    assert "CronWorkflow" in tried and "CronWorkflow" not in plain
    token = {e["name"]: e for e in templates["prestage"]["container"]["env"]}["HF_TOKEN"]["valueFrom"]["secretKeyRef"]
    assert token == {"name": "none", "key": "none", "optional": True}
    assert plain["ConfigMap"]["data"]["plan.json"] == '{"version":1,"note":"{{ not a template }} ${not CEL}"}'


def test_one_at_a_time_of_a_model_and_few_of_all(models: dict[str, dict[str, Any]]) -> None:
    locks = made(models["tinyllama"])["Workflow"]["spec"]["synchronization"]
    assert locks["mutexes"] == [{"name": "stage-tinyllama"}]
    assert locks["semaphores"] == [{"configMapKeyRef": {"name": naming.STAGING_LIMITS, "key": "parallel"}}]


def test_the_controller_may_make_every_child_and_give_what_it_grants() -> None:
    rules = cluster_role(GRAPH)["rules"]
    rights = {
        (group, kind): rule["verbs"] for rule in rules for group in rule["apiGroups"] for kind in rule["resources"]
    }
    for resource in definition(GRAPH)["spec"]["resources"]:
        api, kind = resource["template"]["apiVersion"], resource["template"]["kind"].lower()
        plural = kind[:-1] + "ies" if kind.endswith("y") else kind + "s"
        assert (api.rpartition("/")[0], plural) in rights, plural
    assert rights["argoproj.io", "workflowtaskresults"] == ["create", "patch"]


def test_what_may_be_deleted_is_what_the_program_deletes() -> None:
    from generator.prestage import manifest
    from generator.prestage.targets import s3

    assert naming.NOTES == (s3.NOTE, manifest.HELD)
