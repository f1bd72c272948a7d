"""Our charts under real helm: what they make, what they refuse, and their documentation."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import assets, chartdocs, yamlio
from generator.deployed import entries
from generator.kinds import load_schemas, validate
from generator.prestage.exits import PERMANENT
from generator.runtimes import deliveries

ROOT = Path(__file__).parents[2]
CHARTS = ROOT / "chart-templates"
INJECTED = {
    "prestage": ["modelPrestage.s3Bucket=acme-ray-models-012345678901", "modelPrestage.region=eu-central-1"],
    "model-services": ["cluster.bucket=acme-ray-models-012345678901", "cluster.region=eu-central-1"],
}
INJECTED["ray-service"] = INJECTED["model-services"]
INJECTED["kserve-service"] = []
INJECTED["platform-manifests"] = [
    *INJECTED["model-services"],
    "cluster.accountId=012345678901",
    "cluster.name=acme-one",
    "cluster.prefix=acme",
]


def values(chart: str, name: str = "*") -> dict[str, Any]:
    """The values of the chart's own test, to change: the first of several."""
    path = min((CHARTS / chart / "ci").glob(f"{name}-values.yaml"))
    return copy.deepcopy(yaml.safe_load(path.read_text(encoding="utf-8")))


def helm_run(helm: Path, verb: str, chart: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [str(helm), *verb.split(), *(["x"] if verb == "template" else []), str(CHARTS / chart), "-n", "models"]
    return subprocess.run([*words, *arguments], capture_output=True, text=True, check=False)


def made(helm: Path, chart: str, data: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """The objects that the chart makes of `data`."""
    path = folder / "values.yaml"
    path.write_bytes(yamlio.dump(data))
    done = helm_run(helm, "template", chart, "-f", str(path))
    assert done.returncode == 0, done.stderr
    return [doc for doc in yaml.safe_load_all(done.stdout) if doc]


def one(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    found = [o for o in objects if o["kind"] == kind and o["metadata"]["name"].startswith(name)]
    assert len(found) == 1, [o["metadata"]["name"] for o in objects if o["kind"] == kind]
    return found[0]


def walk(node: Any) -> Iterator[Any]:
    yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(inner)


def containers(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [c for node in walk(objects) if isinstance(node, dict) for c in node.get("containers", ())]


@pytest.mark.parametrize("chart", chartdocs.CHARTS)
def test_helm_lint_is_clean(helm: Path, chart: str) -> None:
    for path in [None, *sorted((CHARTS / chart / "ci").glob("*.yaml"))]:
        done = helm_run(helm, "lint --strict", chart, *(["-f", str(path)] if path else []))
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("chart", chartdocs.CHARTS)
def test_what_is_rendered_fits_the_schema(helm: Path, chart: str) -> None:
    folder = next((row.folder for row, delivery in deliveries() if delivery.chart == chart), None)
    pattern = f"{folder}/*.yaml" if folder else f"{chart}.yaml"
    sets = next((delivery.set for _, delivery in deliveries() if delivery.chart == chart), chart)
    made = (ROOT / "tests/cases").glob(f"*/expected/bootstrap/applications/{sets}.yaml")
    folders = (path.parents[2] / "clusters" / name for path in made for name in clusters_of(path))
    found = sorted(path for folder in folders for path in folder.glob(pattern))
    found = found or sorted((ROOT / "tests/cases").glob(f"*/expected/clusters/*/{pattern}"))  # by kubectl alone
    assert found
    for path in found:
        injected = [word for value in INJECTED[chart] for word in ("--set-string", value)]
        done = helm_run(helm, "template", chart, "-f", str(path), *injected)
        assert done.returncode == 0, (path, done.stderr)


def clusters_of(application_set: Path) -> set[str]:
    document = yamlio.load_file(application_set, str(application_set)).data
    return {values["entry"] for values, _ in entries(document["spec"]["generators"])}


def objects_of(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (node for node in walk(schema) if isinstance(node, dict) and node.get("type") == "object")


@pytest.mark.parametrize("chart", chartdocs.CHARTS)
def test_the_schema_is_closed_at_every_level(chart: str) -> None:
    schema = json.loads((CHARTS / chart / "values.schema.json").read_bytes())
    open_nodes = [
        n for n in objects_of(schema) if "additionalProperties" not in n and n != schema["properties"]["global"]
    ]
    assert open_nodes == []


def test_a_typo_is_refused_by_name(helm: Path, tmp_path: Path) -> None:
    data = values("prestage")
    data["modelPrestage"]["models"]["tinyllama"]["revison"] = "main"
    (tmp_path / "values.yaml").write_bytes(yamlio.dump(data))
    done = helm_run(helm, "template", "prestage", "-f", str(tmp_path / "values.yaml"))
    assert done.returncode != 0 and "revison" in done.stderr


def test_both_charts_of_ray_services_take_the_same_values() -> None:
    files = [
        (CHARTS / chart / name).read_bytes()
        for name in ("values.schema.json", "values.yaml")
        for chart in (delivery.chart for row, delivery in deliveries() if row.name == "ray")
    ]
    assert files[0] == files[1] and files[2] == files[3]


@pytest.mark.parametrize("chart", chartdocs.CHARTS)
def test_readme_is_fresh(chart: str, update_golden: bool) -> None:
    path, text = CHARTS / chart / "README.md", chartdocs.readme(assets.find(), chart)
    if update_golden:
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


CHANGES = {
    "digest": lambda v: v["models"]["tinyllama"].update(digest="ffffffffff"),
    "bucket": lambda v: v.update(s3Bucket="another-bucket"),
    "region": lambda v: v.update(region="eu-west-1"),
    "image": lambda v: v.update(image="registry.example.com/prestage:2"),
    "memory": lambda v: v["resources"].update(memory="1Gi"),
}


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_a_changed_input_makes_a_new_job(helm: Path, tmp_path: Path, change: str) -> None:
    data = values("prestage")
    data["modelPrestage"]["resources"] = {"cpu": "1", "memory": "512Mi", "ephemeralStorage": "256Mi"}
    before = one(made(helm, "prestage", data, tmp_path), "Job", "prestage-tinyllama-")["metadata"]["name"]
    again = one(made(helm, "prestage", data, tmp_path), "Job", "prestage-tinyllama-")["metadata"]["name"]
    CHANGES[change](data["modelPrestage"])
    after = one(made(helm, "prestage", data, tmp_path), "Job", "prestage-tinyllama-")["metadata"]["name"]
    assert before == again != after
    assert len(before) <= 63


def test_the_job_is_as_promised(helm: Path, tmp_path: Path) -> None:
    objects = made(helm, "prestage", values("prestage"), tmp_path)
    job, gated = one(objects, "Job", "prestage-tinyllama-"), one(objects, "Job", "prestage-gated-")
    assert job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [int(c) for c in PERMANENT]
    assert job["spec"]["activeDeadlineSeconds"] == 3600
    assert "ttlSecondsAfterFinished" not in job["spec"]
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "modelyard-prestage"
    env = {e["name"]: e for e in gated["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["HF_TOKEN"] == {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf-token", "key": "token"}}}
    assert "HF_TOKEN" not in str(job)
    plan = one(objects, "ConfigMap", "prestage-gated-")
    assert plan["immutable"] is True and plan["metadata"]["name"] == gated["metadata"]["name"]
    assert plan["data"]["plan.json"] == '{"version":1,"note":"{{ not a template }}"}'
    policy = one(objects, "NetworkPolicy", "model-prestage")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"] and "ingress" not in policy


def prestaged(helm: Path, folder: Path, **changes: Any) -> list[dict[str, Any]]:
    """What the chart makes where there is no cloud."""
    data = values("prestage", "volumes-and-servers")
    data["modelPrestage"] |= changes
    return made(helm, "prestage", data, folder)


def pod_of(objects: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return dict(one(objects, "Job", name)["spec"]["template"])


def test_a_claim_comes_with_its_job(helm: Path, tmp_path: Path) -> None:
    objects = prestaged(helm, tmp_path)
    (made_once,) = (o for o in objects if o["kind"] == "StorageClass")
    assert (made_once["reclaimPolicy"], made_once["volumeBindingMode"]) == ("Retain", "WaitForFirstConsumer")
    assert made_once["allowVolumeExpansion"] and made_once["parameters"] == {"encrypted": "true", "type": "gp3"}
    assert "is-default-class" not in str(made_once)
    claims = {o["metadata"]["name"]: o for o in objects if o["kind"] == "PersistentVolumeClaim"}
    assert len(claims) == 3
    for name, claim in claims.items():
        notes = claim["metadata"]["annotations"]
        assert notes["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"
        job = one(objects, "Job", f"prestage-{name.split('-')[1]}-")
        # A claim that waits for its first consumer would keep a later wave waiting for ever.
        assert "argocd.argoproj.io/sync-wave" not in {*notes, *job["metadata"]["annotations"]}
        (volume,) = (v for v in job["spec"]["template"]["spec"]["volumes"] if "persistentVolumeClaim" in v)
        assert volume["persistentVolumeClaim"] == {"claimName": name}
        key = job["metadata"]["annotations"]["modelyard.dev/target"].removeprefix(f"pvc://{name}/")
        for container in containers([job]):
            arguments = container["args"]
            assert arguments[arguments.index("--target") + 1] == f"/mnt/models/{key}"
            assert {"name": "models", "mountPath": "/mnt/models"} in container["volumeMounts"]


def test_the_job_of_a_disk_goes_where_the_disk_is(helm: Path, tmp_path: Path) -> None:
    objects = prestaged(helm, tmp_path)
    disk, share = pod_of(objects, "prestage-disk-"), pod_of(objects, "prestage-share-")
    (term,) = disk["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    (wanted,) = term["labelSelector"]["matchExpressions"]
    # Its own label too: else the first of them would never be scheduled.
    assert wanted["operator"] == "Exists" and wanted["key"] in disk["metadata"]["labels"]
    assert disk["spec"]["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert "affinity" not in share["spec"] and "tolerations" not in share["spec"]


def test_files_are_written_for_those_who_read_them(helm: Path, tmp_path: Path) -> None:
    objects = prestaged(helm, tmp_path)
    users = {name: pod_of(objects, f"prestage-{name}-")["spec"]["securityContext"] for name in ("disk", "object")}
    assert {user["runAsUser"] for user in users.values()} == {65532}
    assert (users["disk"]["fsGroup"], users["object"]["fsGroup"]) == (1000, 65532)
    assigned = pod_of(prestaged(helm, tmp_path, assignedUser=True), "prestage-disk-")["spec"]["securityContext"]
    assert assigned.keys() == {"runAsNonRoot", "fsGroupChangePolicy", "seccompProfile"}


def test_a_server_of_ones_own_is_reached_with_its_keys(helm: Path, tmp_path: Path) -> None:
    objects = prestaged(helm, tmp_path)
    looks = one(objects, "CronJob", "refresh-object")["spec"]["jobTemplate"]
    for container in containers([one(objects, "Job", "prestage-object-"), looks]):
        arguments = container["args"]
        assert arguments[arguments.index("--endpoint-url") + 1] == "http://minio.minio.svc:9000"
        env = {e["name"]: e.get("value") or e["valueFrom"]["secretKeyRef"] for e in container["env"]}
        assert env["AWS_REGION"] == "us-east-1"
        assert env["AWS_ACCESS_KEY_ID"] == {"name": "minio", "key": "access_key_id"}
        assert env["AWS_SECRET_ACCESS_KEY"] == {"name": "minio", "key": "secret_access_key"}
    assert "AWS_" not in str(pod_of(objects, "prestage-disk-"))


def test_connections_are_those_that_are_needed(helm: Path, tmp_path: Path) -> None:
    """OpenShift resolves names elsewhere, no cloud gives credentials, and one server listens on a port of its own."""
    dns = {"namespace": "openshift-dns", "port": 5353}
    egress = {"dns": dns, "identity": [], "ports": [443, 9000], "namespaces": ["minio"]}
    rules = one(prestaged(helm, tmp_path, egress=egress), "NetworkPolicy", "model-prestage")["spec"]["egress"]
    names = {"kubernetes.io/metadata.name": "openshift-dns"}
    assert rules[0] == {
        "to": [{"namespaceSelector": {"matchLabels": names}}],
        "ports": [{"protocol": "UDP", "port": 5353}, {"protocol": "TCP", "port": 5353}],
    }
    servers = {"kubernetes.io/metadata.name": "minio"}
    assert rules[1] == {"to": [{"namespaceSelector": {"matchLabels": servers}}]}
    assert [port["port"] for port in rules[2]["ports"]] == [443, 9000] and len(rules) == 3


@pytest.mark.parametrize("change", ["size", "storageClass", "accessMode"])
def test_a_changed_claim_makes_a_new_job(helm: Path, tmp_path: Path, change: str) -> None:
    """A Job cannot be changed, and part of it follows from the claim."""
    data = values("prestage", "volumes-and-servers")
    before = one(made(helm, "prestage", data, tmp_path), "Job", "prestage-share-")["metadata"]["name"]
    other = {"size": "200Gi", "storageClass": "other", "accessMode": "ReadWriteOnce"}[change]
    data["modelPrestage"]["models"]["share"]["target"][change] = other
    assert one(made(helm, "prestage", data, tmp_path), "Job", "prestage-share-")["metadata"]["name"] != before


@pytest.mark.parametrize("missing", ["claim", "size", "accessMode", "storageClass"])
def test_half_a_claim_is_refused(helm: Path, tmp_path: Path, missing: str) -> None:
    data = values("prestage", "volumes-and-servers")
    del data["modelPrestage"]["models"]["share"]["target"][missing]
    (tmp_path / "values.yaml").write_bytes(yamlio.dump(data))
    done = helm_run(helm, "template", "prestage", "-f", str(tmp_path / "values.yaml"))
    assert done.returncode != 0 and missing in done.stderr


def test_no_schedule_makes_claims(helm: Path, tmp_path: Path) -> None:
    data = values("prestage", "volumes-and-servers")
    models = data["modelPrestage"]["models"]
    models["share"]["refresh"] = models["object"]["refresh"]
    (tmp_path / "values.yaml").write_bytes(yamlio.dump(data))
    done = helm_run(helm, "template", "prestage", "-f", str(tmp_path / "values.yaml"))
    assert done.returncode != 0 and "share" in done.stderr


@pytest.mark.parametrize("name", ["two-models", "volumes-and-servers"])
def test_what_the_prestage_chart_makes_fits_our_schemas(helm: Path, tmp_path: Path, name: str) -> None:
    schemas = load_schemas(ROOT / "schemas/kinds")
    objects = made(helm, "prestage", values("prestage", name), tmp_path)
    assert {o["kind"]: list(validate(o, schemas)) for o in objects} == {o["kind"]: [] for o in objects}


@pytest.mark.parametrize("chart", ["prestage", "ray-service"])
def test_every_container_is_restricted(helm: Path, tmp_path: Path, chart: str) -> None:
    objects = made(helm, chart, values(chart), tmp_path)
    found = containers(objects)
    assert found
    for container in found:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False and security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]} and security["runAsNonRoot"] is True
        assert container["resources"]["requests"] == container["resources"]["limits"]
    for pod in (n for n in walk(objects) if isinstance(n, dict) and "containers" in n):
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["securityContext"]["runAsUser"] > 0 and pod["enableServiceLinks"] is False
    texts = [node for node in walk(objects) if isinstance(node, str)]
    assert not [text for text in texts if text in ("sh", "bash", "-c", "/bin/sh", "/bin/bash")]


def test_values_go_into_templates_as_json() -> None:
    """toYaml leaves `=` and the like bare, which other parsers take for more than text; texts of a vault are YAML."""
    templates = (ROOT / "chart-templates").glob("*/templates/*")
    assert {path.name for path in templates if "toYaml" in path.read_text()} == {"_keyvault.tpl"}


def test_services_are_as_promised(helm: Path, tmp_path: Path) -> None:
    objects = made(helm, "ray-service", values("ray-service"), tmp_path)
    volumes = [o for o in objects if o["kind"] == "PersistentVolume"]
    assert len({v["spec"]["csi"]["volumeHandle"] for v in volumes}) == len(volumes) == 2
    for volume in volumes:
        assert volume["spec"]["accessModes"] == ["ReadOnlyMany"]
        assert {"read-only", "allow-other", "prefix models/"} <= set(volume["spec"]["mountOptions"])
    budgets = [o for o in objects if o["kind"] == "PodDisruptionBudget"]
    assert [(b["metadata"]["name"], b["spec"]["minAvailable"]) for b in budgets] == [("gpu.gpu", 1)]
    route = one(objects, "Ingress", "gpu")
    backend = route["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": "gpu-serve-svc", "port": {"name": "serve"}}
    for name, scaled in (("chat", True), ("gpu", False)):
        config = one(objects, "RayService", name)["spec"]["rayClusterConfig"]
        assert config["enableInTreeAutoscaling"] is scaled
        assert config["headGroupSpec"]["template"]["spec"]["automountServiceAccountToken"] is scaled
        assert config["authOptions"]["mode"] == "token"
        assert "serve" in [p["name"] for p in config["headGroupSpec"]["template"]["spec"]["containers"][0]["ports"]]
    assert "s3://peeks-ray-models-012345678901/code/" in one(objects, "RayService", "chat")["spec"]["serveConfigV2"]


@pytest.mark.parametrize("missing", ["bucket", "region"])
@pytest.mark.parametrize("chart", ["model-services", "ray-service"])
def test_what_the_cluster_must_say_is_required(helm: Path, tmp_path: Path, chart: str, missing: str) -> None:
    data = values(chart)
    data["cluster"][missing] = ""
    (tmp_path / "values.yaml").write_bytes(yamlio.dump(data))
    done = helm_run(helm, "template", chart, "-f", str(tmp_path / "values.yaml"))
    assert done.returncode != 0 and f"cluster.{missing} is empty" in done.stderr


@pytest.mark.parametrize(
    "title", ['"quoted"', "two\nlines", "{{ .Release.Name }}", "ü 模型 🦙", "a\u2028b", "yes", "${schema.spec}", "\\"]
)
@pytest.mark.parametrize("chart", ["model-services", "ray-service"])
def test_a_title_is_data(helm: Path, tmp_path: Path, chart: str, title: str) -> None:
    data = values(chart)
    data["services"]["chat"]["title"] = title
    kind = "ModelService" if chart == "model-services" else "RayService"
    found = one(made(helm, chart, data, tmp_path), kind, "chat")
    assert found["metadata"]["annotations"]["modelyard.dev/title"] == title
