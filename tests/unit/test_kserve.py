"""The runtime `kserve`: from models.yaml to the values of its chart, and what real helm makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import assets, compile, naming
from generator.apps import APPS, Deployment, Served
from generator.caches import pvc
from generator.emit.argocd import sets
from generator.kinds import load_schemas, validate
from generator.plan import Plan
from generator.prestage.exits import PERMANENT, PrestageExit
from generator.runtimes import RUNTIMES, deliveries, kserve
from tests.unit.test_charts import made, one, values, walk

ROOT = Path(__file__).parents[2]
CASE = ROOT / "tests/cases/kserve"
SCHEMAS = load_schemas(ROOT / "schemas" / "kinds")


@pytest.fixture(scope="module")
def plan() -> Plan:
    planned = compile.plan_catalogue(CASE / "models.yaml", assets.find())
    assert planned.plan is not None, planned.diagnostics
    return planned.plan


def value(plan: Plan, name: str, **cluster: Any) -> dict[str, Any]:
    """The chart's values of a service, on a cluster that differs in these fields."""
    service = next(service for service in plan.services if service.name == name)
    return dict(kserve.values(plan, replace(plan.clusters[0], **cluster), service))


DEPLOYMENT = Deployment(
    name="chat",
    route="/",
    models=(Served("tiny", naming.KSERVE_MODEL, 4096),),
    working_dir="file:///opt/modelyard/code/x.zip",
    min_replicas=1,
    max_replicas=1,
    cpus=2,
    accelerators=1,
    max_tokens=1024,
    concurrency=8,
)


def options(app: str, **changes: Any) -> dict[str, str]:
    """The command's options by name."""
    make = APPS[app].alone
    assert make is not None
    words = make(replace(DEPLOYMENT, **changes)).command
    assert words[:2] == ("python", "-m")
    return dict(zip(words[3::2], words[4::2], strict=True))


@pytest.mark.parametrize(
    ("app", "changes", "expected"),
    [
        ("text-generation", {"route": "/chat"}, {"--port": "8080", "--route": "/chat", "--drain": "205"}),
        ("vllm", {}, {"--model": "/mnt/models", "--served-model-name": "tiny", "--port": "8080"}),
        ("vllm", {}, {"--max-model-len": "4096", "--max-num-seqs": "8", "--tensor-parallel-size": "1"}),
        ("vllm", {"max_tokens": 64}, {"--override-generation-config": '{"max_new_tokens": 64}'}),
        ("vllm", {"dtype": "bfloat16"}, {"--dtype": "bfloat16"}),
        ("vllm", {"route": "/chat"}, {"--root-path": "/chat"}),
        ("vllm", {"accelerators": 4}, {"--tensor-parallel-size": "4", "--distributed-executor-backend": "mp"}),
    ],
)
def test_what_a_program_is_told(app: str, changes: dict[str, Any], expected: dict[str, str]) -> None:
    assert expected.items() <= options(app, **changes).items()


@pytest.mark.parametrize("name", ["--dtype", "--root-path", "--distributed-executor-backend"])
def test_what_nobody_asked_for_is_not_said(name: str) -> None:
    assert name not in options("vllm")


def test_only_one_model_in_one_process_can_be_alone() -> None:
    assert {name for name, app in APPS.items() if app.alone is not None} == {"text-generation", "vllm"}


def test_our_own_application_reads_the_mounted_model_from_the_zip(plan: Plan) -> None:
    found = value(plan, "chat")
    (code,) = plan.bundles
    assert found["command"][:3] == ["python", "-m", "text_generation.server"]
    assert found["env"]["PYTHONPATH"].split(":")[0] == f"/opt/modelyard/code/{code.filename}"
    assert found["env"]["MODEL_ID"] == "/mnt/models" and found["env"]["CONTEXT_LENGTH"] == "8192"
    assert found["code"]["configMap"] == naming.code_config_map(code.app, code.sha256)
    assert "sharedMemory" not in found and found["ingress"]["path"] == "/chat"


def test_vllm_has_no_code_of_ours(plan: Plan) -> None:
    found = value(plan, "assistant")
    assert (found["code"]["configMap"], found["health"]) == ("none", "/health")
    assert found["limits"] == {"cpu": "2", "memory": "24Gi", "nvidia.com/gpu": "1"}
    assert found["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]


def test_the_model_is_the_one_that_is_staged(plan: Plan) -> None:
    found, (staged,) = value(plan, "chat"), [p for p in plan.prestages if p.model.name == "smol"]
    assert found["model"] == {
        "name": "smol",
        "commit": staged.model.commit,
        "claim": "model-smol-111111111111",
        "folder": "models/smol/111111111111",
        "oneNode": True,
    }
    assert (found["waiting"]["image"], found["waiting"]["seconds"]) == (staged.image, staged.deadline)
    assert found["shutdown"]["graceSeconds"] > int(found["command"][-1]) + found["shutdown"]["forEndpoints"]


@pytest.mark.parametrize(
    ("cluster", "user", "gate"),
    [
        ({}, {"assigned": True}, False),
        ({"gitops": "argocd"}, {"assigned": True}, True),
        ({"provider": "kubernetes"}, {"assigned": False, "id": 1000}, False),
    ],
)
def test_what_the_cluster_decides(plan: Plan, cluster: dict[str, str], user: dict[str, Any], gate: bool) -> None:
    found = value(plan, "chat", **cluster)
    assert (found["user"], found["waiting"]["gate"]) == (user, gate)


def shared(plan: Plan, least: int, most: int) -> dict[str, Any]:
    """Values of the chat, with its model on a file share."""
    service = next(service for service in plan.services if service.name == "chat")
    (application,) = service.applications
    (model,) = application.models
    moved = replace(model, cache=replace(pvc.claims(model.cache), access_mode="ReadWriteMany"))
    asked = replace(application, models=(moved,), min_replicas=least, max_replicas=most)
    changed = replace(plan, prestages=tuple(replace(p, model=moved) for p in plan.prestages if p.model == model))
    return dict(kserve.values(changed, plan.clusters[0], replace(service, applications=(asked,))))


@pytest.mark.parametrize(("least", "most", "autoscaler"), [(1, 1, "none"), (3, 3, "none"), (1, 3, "hpa")])
def test_a_file_share_has_many_readers(plan: Plan, least: int, most: int, autoscaler: str) -> None:
    found = shared(plan, least, most)
    assert (found["minReplicas"], found["maxReplicas"]) == (least, most)
    assert (found["autoscaler"], found["strategy"], found["model"]["oneNode"]) == (autoscaler, "RollingUpdate", False)


@pytest.mark.parametrize(("size", "seconds"), [(None, 3600), (1000, 600), (140 * 10**9, 2800)])
def test_how_long_a_start_may_take(plan: Plan, size: int | None, seconds: int) -> None:
    assert kserve.start(replace(plan.models[0], size=size)) == seconds


def test_the_address_is_the_one_of_the_charts_service(plan: Plan, helm: Path, tmp_path: Path) -> None:
    objects = made(helm, "kserve-service", values("kserve-service"), tmp_path)
    service = one(objects, "Service", "chat-serve")
    chat = next(service for service in plan.services if service.name == "chat")
    assert RUNTIMES["kserve"].url(chat, "models", "/chat") == "http://chat-serve.models.svc/chat"
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
    pods = one(objects, "InferenceService", "chat")["metadata"]["labels"]  # KServe copies them to its pods
    assert service["spec"]["selector"].items() <= pods.items()
    container = one(objects, "ServingRuntime", "chat")["spec"]["containers"][0]
    assert container["ports"][0] == {"name": "http", "containerPort": naming.KSERVE_PORT, "protocol": "TCP"}


def test_argo_cd_asks_the_cluster_for_nothing(plan: Plan) -> None:
    on_argo = replace(plan, clusters=(replace(plan.clusters[0], gitops="argocd"),))
    row, delivery = next((row, delivery) for row, delivery in deliveries() if row.name == "kserve")
    made = sets.services(on_argo, row, delivery)
    assert "valuesObject" not in made["spec"]["template"]["spec"]["source"]["helm"]
    (matrix,) = made["spec"]["generators"]
    assert matrix["matrix"]["generators"][0]["clusters"]["values"] == {"entry": "openshift"}


@pytest.fixture
def objects(helm: Path, tmp_path: Path) -> list[dict[str, Any]]:
    """What the chart makes of its own example."""
    return made(helm, "kserve-service", values("kserve-service"), tmp_path)


def test_every_object_is_good(objects: list[dict[str, Any]]) -> None:
    assert {o["kind"] for o in objects} <= {kind for _, kind in kserve._DELIVERY.kinds} | {
        "ServiceAccount",
        "NetworkPolicy",
    }
    assert [finding for o in objects for finding in validate(o, SCHEMAS)] == []


def test_the_runtime_is_found_by_its_name_only(objects: list[dict[str, Any]]) -> None:
    predictor = one(objects, "InferenceService", "chat")["spec"]["predictor"]
    runtime = one(objects, "ServingRuntime", "chat")
    assert predictor["model"]["runtime"] == runtime["metadata"]["name"]
    (known,) = runtime["spec"]["supportedModelFormats"]
    assert (predictor["model"]["modelFormat"]["name"], known["autoSelect"]) == (known["name"], False)
    assert runtime["spec"]["containers"][0]["name"] == "kserve-container"


def test_one_volume_for_one_claim(objects: list[dict[str, Any]]) -> None:
    """KServe adds its own where none has its name; older kubelets hang on two volumes of one claim."""
    predictor = one(objects, "InferenceService", "chat")["spec"]["predictor"]
    (volume,) = predictor["volumes"]
    claim, _, folder = predictor["model"]["storageUri"].removeprefix("pvc://").partition("/")
    assert volume == {"name": "kserve-pvc-source", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    (waiting,) = predictor["initContainers"]
    (mount,) = waiting["volumeMounts"]
    assert mount == {"name": volume["name"], "mountPath": "/mnt/claim", "readOnly": True}
    assert waiting["args"][waiting["args"].index("--path") + 1] == f"/mnt/claim/{folder}"
    assert "subPath" not in mount  # the folder is not there before the model is


def test_what_one_node_mounts_is_read_there_only(objects: list[dict[str, Any]]) -> None:
    chat, gpu = (one(objects, "InferenceService", name)["spec"]["predictor"] for name in ("chat", "gpu"))
    (label,) = chat["labels"]
    assert label == naming.claim_label("model-tinyllama-fe8a4ea1ffed")
    (term,) = chat["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["labelSelector"]["matchExpressions"] == [{"key": label, "operator": "Exists"}]
    assert (chat["deploymentStrategy"]["type"], gpu["deploymentStrategy"]["type"]) == ("Recreate", "RollingUpdate")
    assert "affinity" not in gpu


def test_argo_cd_changes_nothing_before_the_model_is_there(objects: list[dict[str, Any]]) -> None:
    gate = one(objects, "Job", "chat-gate")
    notes = gate["metadata"]["annotations"]
    assert notes["argocd.argoproj.io/hook"] == "PreSync"
    pod = gate["spec"]["template"]
    assert (
        pod["metadata"]["labels"].keys()
        >= one(objects, "InferenceService", "chat")["spec"]["predictor"]["labels"].keys()
    )
    assert naming.SERVICE_LABEL not in pod["metadata"]["labels"]  # or requests would go there
    (container,) = pod["spec"]["containers"]
    codes = gate["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]
    assert codes["containerName"] == container["name"] and set(codes["values"]) <= {int(code) for code in PERMANENT}
    assert PrestageExit.TRANSIENT not in codes["values"]
    assert int(container["args"][-1]) < gate["spec"]["activeDeadlineSeconds"]


@pytest.mark.parametrize("change", [{"gate": False}, {"oneNode": False}])
def test_where_nothing_has_to_wait_there_is_no_gate(helm: Path, tmp_path: Path, change: dict[str, bool]) -> None:
    data = values("kserve-service")
    for part in ("waiting", "model"):
        data["services"]["chat"][part] |= {key: v for key, v in change.items() if key in data["services"]["chat"][part]}
    assert "Job" not in {o["kind"] for o in made(helm, "kserve-service", data, tmp_path)}


def test_an_assigned_user_is_left_to_the_platform(objects: list[dict[str, Any]]) -> None:
    chat, gpu = (one(objects, "InferenceService", name)["spec"]["predictor"] for name in ("chat", "gpu"))
    assert chat["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert (gpu["securityContext"]["runAsUser"], gpu["securityContext"]["fsGroup"]) == (1000, 1000)
    inside = [node for o in objects for node in walk(o) if isinstance(node, dict) and "readOnlyRootFilesystem" in node]
    assert inside and all(node["readOnlyRootFilesystem"] and "runAsUser" not in node for node in inside)


def test_a_budget_leaves_one_pod_to_go(objects: list[dict[str, Any]]) -> None:
    budgets = {o["metadata"]["name"]: o["spec"]["minAvailable"] for o in objects if o["kind"] == "PodDisruptionBudget"}
    assert budgets == {"gpu-serve": 1}


def test_the_only_way_in_is_ours(objects: list[dict[str, Any]]) -> None:
    (ingress,) = (o for o in objects if o["kind"] == "Ingress")
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert path["path"] == values("kserve-service")["services"]["gpu"]["ingress"]["path"] == "/assistant"
    assert path["backend"]["service"] == {"name": "gpu-serve", "port": {"name": "http"}}
    labels = [o["metadata"]["labels"] for o in objects if o["kind"] == "InferenceService"]
    assert {each["networking.kserve.io/visibility"] for each in labels} == {"cluster-local"}
    for policy in (o for o in objects if o["kind"] == "NetworkPolicy"):
        assert policy["spec"]["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8080}]}]
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"] and policy["spec"]["egress"] == []


def test_text_of_people_stays_text(objects: list[dict[str, Any]]) -> None:
    notes = one(objects, "InferenceService", "chat")["metadata"]["annotations"]
    assert notes["modelyard.dev/title"] == "Chat {{ not a template }}"
    # KServe fills templates in containers of runtimes.
    assert "{{" not in yaml.safe_dump([o["spec"] for o in objects if o["kind"] == "ServingRuntime"])


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda service: service.update(storageUri="pvc://x"), "storageUri"),
        (lambda service: service.pop("health"), "health"),
        (lambda service: service["model"].update(commit="main"), "commit"),
        (lambda service: service.update(minReplicas=0), "minReplicas"),
        (lambda service: service["limits"].update(cpu=0.5), "cpu"),
    ],
)
def test_wrong_values_are_refused(helm: Path, tmp_path: Path, change: Change, named: str) -> None:
    data = values("kserve-service")
    change(data["services"]["chat"])
    with pytest.raises(AssertionError, match=named):
        made(helm, "kserve-service", data, tmp_path)
