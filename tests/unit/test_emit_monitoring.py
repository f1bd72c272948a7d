"""Dashboards, alerts of services, their PodMonitor: they parse, name metrics that exist, and fire when they should."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry

from generator import assets, naming
from generator.emit import alerts, argocd, monitoring
from generator.emit.boards import Board
from generator.emit.dashboard import dashboard
from generator.emit.panels import SERVICES
from generator.emit.staging_panels import STAGING
from generator.plan import Monitoring, Plan
from tests.unit.plans import PLATFORM, example_plan
from tests.unit.promql import check, fires, grouped, judge, selectors, shown
from tests.unit.test_emit_argocd import CLUSTER, rendered

ROOT = Path(__file__).parents[2]
ASKED = Monitoring(
    labels={"release": "kube-prometheus-stack"}, namespace="monitoring", dashboards=True, push_gateway=None
)
ALERTS = (*alerts.ALERTS, alerts.absent("ns", "chat", "RayService"))


def planned(**changes: Any) -> Plan:
    return example_plan(platform=replace(PLATFORM, monitoring=replace(ASKED, **changes)))


def files(plan: Plan) -> dict[str, bytes]:
    return dict(monitoring.emit(plan, assets.find()))


def objects(plan: Plan) -> dict[str, dict[str, Any]]:
    return {name: yaml.safe_load(data) for name, data in files(plan).items() if name.endswith(".yaml")}


def expressions() -> dict[str, str]:
    return shown(dashboard(SERVICES)) | {alert.name: alert.expr for alert in ALERTS}


def panels(board: Board) -> list[dict[str, Any]]:
    return [panel for panel in dashboard(board)["panels"] if panel["type"] != "row"]


@cache
def of_ray() -> dict[str, str]:
    """Metrics that Ray's own code makes: exported name to kind. f-strings are about the protocol."""
    found = find_spec("ray")
    if found is None or found.submodule_search_locations is None:
        pytest.skip("ray is not installed")
    package = Path(found.submodule_search_locations[0])
    sources = [*package.glob("serve/_private/*.py"), package / "dashboard/modules/reporter/reporter_agent.py"]
    names = {}
    for path in sources:
        for kind, name in made(ast.parse(path.read_bytes())):
            names[exported(name, kind)] = kind
    # vLLM is no part of Ray's wheel; Ray's own dashboard reads what vLLM exports through Ray.
    text = (package / "dashboard/modules/metrics/dashboards/serve_llm_dashboard_panels.py").read_text()
    return names | dict.fromkeys(re.findall(r"\bray_vllm_[a-z_]+\b", text), "vllm")


def made(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """`(kind, name)` of every Counter, Gauge and Histogram."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        kind = getattr(node.func, "attr", getattr(node.func, "id", ""))
        named = [*node.args[:1], *(k.value for k in node.keywords if k.arg == "name")]
        if kind in ("Counter", "Gauge", "Histogram") and named:
            if isinstance(named[0], ast.Constant) and isinstance(named[0].value, str):
                yield kind.lower(), named[0].value
            elif isinstance(named[0], ast.JoinedStr):
                parts = [p.value if isinstance(p, ast.Constant) else "http" for p in named[0].values]
                yield kind.lower(), "".join(map(str, parts))


def exported(name: str, kind: str) -> str:
    """As Prometheus reads it from the pods: a counter ends in `_total` once."""
    suffix = "_total" if kind == "counter" and not name.endswith("_total") else ""
    return f"ray_{name}{suffix}"


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The rows of the table in serving/common/metrics.py, by exported name."""
    monkeypatch.syspath_prepend(ROOT / "serving")
    table = importlib.import_module("common.metrics").METRICS
    return {exported(row.name, row.kind): row for row in table}


def base(name: str, known: dict[str, Any]) -> str:
    """The metric that a series of a histogram belongs to."""
    plain = re.sub(r"_(bucket|sum|count)$", "", name)
    return plain if plain in known and name not in known else name


@pytest.mark.parametrize("place", sorted(expressions()))
def test_every_metric_exists(place: str, ours: dict[str, Any]) -> None:

    known = {**of_ray(), **ours, "up": "gauge"}
    named = {s.name for s in selectors(promql_parser.parse(expressions()[place]))}
    assert named and all(named), "a selector without a name reads everything"
    assert {name for name in named if base(name, known) not in known} == set()


@pytest.mark.parametrize("place", sorted(expressions()))
def test_labels_of_our_metrics_exist(place: str, ours: dict[str, Any]) -> None:
    """Whatever is matched or grouped by is a label of the metric, of Serve, or of the pod."""
    added = {"namespace", "application", "deployment", "replica", "model", "le", "pod"}
    added |= {naming.SERVICE_SERIES, naming.RUNTIME_SERIES}
    for selector in selectors(promql_parser.parse(expressions()[place])):
        row = ours.get(base(selector.name, ours))
        if row is not None:
            matched = {m.name for m in selector.matchers.matchers}
            assert matched <= added | set(row.labels), selector.name
    by = grouped(expressions()[place])
    labels = {label for row in ours.values() for label in row.labels}
    assert by <= added | labels | {"status_code", "model_name", "GpuIndex"}


def test_every_metric_of_ours_is_shown(ours: dict[str, Any]) -> None:
    text = " ".join(expressions().values())
    unseen = {name for name in ours if name not in text}
    assert unseen <= {"ray_modelyard_requests_total"}, "its reasons are on the panel of whole answers"


BOARDS = pytest.mark.parametrize("of", [SERVICES, STAGING], ids=lambda board: board.uid)


@BOARDS
def test_the_dashboard_is_one_that_grafana_takes(of: Board) -> None:
    board = dashboard(of)
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers) and board["uid"] and len(board["uid"]) <= 40
    names = [variable["name"] for variable in board["templating"]["list"]]
    assert names[0] == "datasource" and board["templating"]["list"][0]["type"] == "datasource"
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board))) - {"__rate_interval", "__all"}
    assert used == set(names)
    for panel in panels(of):
        assert panel["datasource"]["uid"] == "${datasource}" and panel["title"] and panel["description"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


def test_the_dashboards_are_two() -> None:
    assert SERVICES.uid != STAGING.uid and SERVICES.title != STAGING.title


@BOARDS
def test_panels_do_not_overlap_and_fit_the_grid(of: Board) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard(of)["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells


@BOARDS
def test_legends_name_labels_that_the_query_keeps(of: Board) -> None:
    for panel in panels(of):
        for target in panel["targets"]:
            named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            kept = re.findall(r"by \(([^)]*)\)", target["expr"])
            assert all(named <= set(by.replace(" ", "").split(",")) for by in kept), target


def test_alerts_say_what_happened_and_what_to_do() -> None:
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)
    for alert in ALERTS:
        assert (
            alert.what.endswith(".") and alert.then.endswith(".") and alert.severity in ("critical", "warning", "info")
        )
        assert set(re.findall(r"\$labels\.(\w+)", alert.what)) <= grouped(alert.expr)


def test_without_monitoring_there_are_dashboards_to_import_and_nothing_else() -> None:
    plan = example_plan()
    assert list(files(plan)) == ["monitoring/dashboard.json", "monitoring/staging-dashboard.json"]
    assert json.loads(files(plan)["monitoring/dashboard.json"]) == dashboard(SERVICES)
    assert json.loads(files(plan)["monitoring/staging-dashboard.json"]) == dashboard(STAGING)
    names = [name for name, _ in argocd.emit(plan, assets.find())]
    assert not [name for name in names if "monitoring" in name]


def test_nothing_where_nothing_is_served_or_staged() -> None:
    plan = replace(planned(), services=(), prestages=())
    assert files(plan) == {}
    assert monitoring.clusters_watched(plan) == ()


def test_services_without_staging() -> None:
    plan = replace(planned(), prestages=())
    assert sorted(objects(plan)) == [
        f"monitoring/{n}.yaml" for n in ("dashboard", "pods", "rules", "services-peeks-hub")
    ]
    assert [cluster.name for cluster in monitoring.clusters_watched(plan)] == ["peeks-hub"]


def test_what_the_operator_gets() -> None:
    found = objects(planned())
    names = ("dashboard", "pods", "rules", "services-peeks-hub", "staging-dashboard", "staging-rules")
    assert sorted(found) == [f"monitoring/{name}.yaml" for name in names]
    for name, obj in found.items():
        expected = {"grafana_dashboard": "1"} if "dashboard" in name else ASKED.labels
        assert expected.items() <= obj["metadata"]["labels"].items()
        assert obj["metadata"]["namespace"] == "ray-system"
    config = found["monitoring/dashboard.yaml"]["data"]
    assert [json.loads(text) for text in config.values()] == [dashboard(SERVICES)]
    rules = found["monitoring/rules.yaml"]["spec"]["groups"][0]["rules"]
    assert [r["alert"] for r in rules] == [a.name for a in alerts.ALERTS]


def test_dashboards_may_stay_files() -> None:
    found = files(planned(dashboards=False))
    for name in ("dashboard", "staging-dashboard"):
        assert f"monitoring/{name}.json" in found and f"monitoring/{name}.yaml" not in found


def test_the_monitor_finds_the_pods_that_the_chart_makes(helm: str) -> None:
    values = ROOT / "chart-templates/ray-service/ci/two-services-values.yaml"
    command = [helm, "template", "x", str(values.parents[1]), "-f", str(values)]
    made = yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    clusters = [o["spec"]["rayClusterConfig"] for o in made if o and o["kind"] == "RayService"]
    templates = [c["headGroupSpec"]["template"] for c in clusters]
    templates += [group["template"] for c in clusters for group in c["workerGroupSpecs"]]
    spec = objects(planned())["monitoring/pods.yaml"]["spec"]
    (key,) = (expression["key"] for expression in spec["selector"]["matchExpressions"])
    (endpoint,) = spec["podMetricsEndpoints"]
    assert len(templates) == 4 and spec["podTargetLabels"] == [key]
    for template in templates:
        assert template["metadata"]["labels"][key]
        ports = {p["name"]: p["containerPort"] for p in template["spec"]["containers"][0]["ports"]}
        assert ports[endpoint["port"]] == 8080
    assert re.sub(r"[^a-zA-Z0-9_]", "_", key) == "modelyard_dev_service", "as Prometheus writes the label"


def without_ray() -> Plan:
    plan = planned()
    return replace(plan, services=tuple(replace(service, runtime="kserve") for service in plan.services))


def endpoint_without_ray() -> dict[str, Any]:
    (endpoint,) = objects(without_ray())["monitoring/pods.yaml"]["spec"]["podMetricsEndpoints"]
    return dict(endpoint)


def test_the_monitor_finds_the_pods_that_kserve_makes(helm: str) -> None:
    """KServe gives pods the labels of the InferenceService, and the ports of the ServingRuntime."""
    (values,) = (ROOT / "chart-templates/kserve-service/ci").glob("*.yaml")
    command = [helm, "template", "x", str(values.parents[1]), "-f", str(values)]
    made = list(yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    ports = [o["spec"]["containers"][0]["ports"] for o in made if o and o["kind"] == "ServingRuntime"]
    assert ports and all(endpoint_without_ray()["port"] in [port["name"] for port in some] for some in ports)
    labels = [o["metadata"]["labels"] for o in made if o and o["kind"] == "InferenceService"]
    assert labels and all(naming.SERVICE_LABEL in some for some in labels)


def relabelled(name: str) -> str:
    """As Prometheus does it: an expression has to match all of the value."""
    for rule in endpoint_without_ray()["metricRelabelings"]:
        assert rule["sourceLabels"] == [rule["targetLabel"]] == ["__name__"]
        if found := re.fullmatch(rule["regex"], name):
            name = found.expand(rule["replacement"].replace("${1}", r"\1"))
    return name


def test_a_metric_has_one_name_with_ray_and_without(ours: dict[str, Any]) -> None:
    table = importlib.import_module("common.metrics").METRICS
    registry = CollectorRegistry()
    told = importlib.import_module("common.prometheus").PrometheusMetrics("m", registry)
    for row in table:
        told.tell(row, 1, **dict.fromkeys(row.labels, "x"))
    exposed = {sample.name for family in registry.collect() for sample in family.samples}
    assert {base(relabelled(name), ours) for name in exposed if not name.endswith("_created")} == set(ours)
    assert relabelled("vllm:num_requests_running") in of_ray()
    assert relabelled("python_info") == "python_info"


def test_labels_without_ray_are_those_that_ray_gives() -> None:
    rules = endpoint_without_ray()["relabelings"]
    assert {rule["targetLabel"] for rule in rules} == {naming.RUNTIME_SERIES, "application", "replica"}
    plan = planned()
    mixed = replace(plan, services=(replace(plan.services[0], runtime="kserve"), *plan.services[1:]))
    endpoints = objects(mixed)["monitoring/pods.yaml"]["spec"]["podMetricsEndpoints"]
    assert [endpoint["port"] for endpoint in endpoints] == ["metrics", "http"]


def test_each_cluster_gets_its_own_list_of_services(helm: str, tmp_path: Path) -> None:
    bootstrap = dict(argocd.emit(planned(), assets.find()))
    document = yaml.safe_load(bootstrap["bootstrap/applications/monitoring.yaml"])
    source = document["spec"]["template"]["spec"]["source"]
    assert source["path"] == "rendered/monitoring"
    filled = rendered(helm, tmp_path, document, CLUSTER)[source["directory"]["include"]]
    assert filled.startswith("{dashboard.yaml,pods.yaml,rules.yaml,") and "services-peeks-hub.yaml" in filled
    taken = {f"monitoring/{name}" for name in filled.strip("{}").split(",")}
    assert set(files(planned())) <= taken, "and no file of another cluster"
    assert {name for name in taken if "peeks" in name} == {
        f"monitoring/{n}-peeks-hub.yaml" for n in ("models", "services")
    }
    presence = objects(planned())["monitoring/services-peeks-hub.yaml"]["spec"]["groups"][0]["rules"]
    assert [r["labels"]["modelyard_dev_service"] for r in presence] == ["chat", "mistral"]
    project = yaml.safe_load(bootstrap["bootstrap/applications/project.yaml"])["spec"]["namespaceResourceWhitelist"]
    assert {"group": "monitoring.coreos.com", "kind": "PodMonitor"} in project


# What Prometheus itself makes of the rules.

APP = 'namespace="ns", modelyard_dev_service="chat", application="tiny"'
ONE = f'{APP}, deployment="TextGeneration"'
TARGET, HEALTHY = f"ray_serve_autoscaling_target_replicas{{{ONE}}}", f"ray_serve_deployment_replica_healthy{{{ONE}"
STARTS = f"ray_serve_replica_startup_latency_ms_count{{{ONE}}}"
ENDED = f'ray_modelyard_requests_total{{{APP}, modelyard_dev_runtime="kserve", replica="a", model="m", reason='
HTTP = f"ray_serve_num_http_requests_total{{{APP}, status_code="
FIRST = f'ray_modelyard_time_to_first_token_seconds_bucket{{{ONE}, replica="a", model="m", le='
VLLM = 'ray_vllm_time_to_first_token_seconds_bucket{namespace="ns", modelyard_dev_service="gpu", model_name="m", le='
LOAD = f'ray_modelyard_load_seconds{{{ONE}, replica="a", model="m", phase='
CACHE = f'ray_modelyard_kv_cache_tokens{{{ONE}, replica="a", model="m", state='


@pytest.mark.parametrize(
    ("alert", "minutes", "series", "wanted"),
    [
        ("NotReady", 11, {TARGET: "1x40"}, True),
        ("NotReady", 11, {TARGET: "1x40", f'{HEALTHY}, replica="a"}}': "0x40"}, True),
        ("NotReady", 9, {TARGET: "1x40"}, False),
        ("NotReady", 30, {TARGET: "2x40", f'{HEALTHY}, replica="a"}}': "1x40"}, False),
        ("NotReady", 30, {TARGET: "0x40"}, False),  # scaled to nothing
        ("ReplicasMissing", 16, {TARGET: "2x40", f'{HEALTHY}, replica="a"}}': "1x40"}, True),
        (
            "ReplicasMissing",
            16,
            {TARGET: "2x40", f'{HEALTHY}, replica="a"}}': "1x40", f'{HEALTHY}, replica="b"}}': "1x40"},
            False,
        ),
        ("ReplicaRestarts", 30, {TARGET: "1x40", STARTS: "1+0.2x40"}, True),
        ("ReplicaRestarts", 30, {TARGET: "1x40", STARTS: "1x40"}, False),
        ("ReplicaRestarts", 30, {TARGET: "1x10 6x30", STARTS: "1x10 6x30"}, False),  # scaled up
        ("FirstTokenSlow", 30, {f'{FIRST}"10"}}': "0+1x40", f'{FIRST}"+Inf"}}': "0+9x40"}, False),  # beyond all bounds
        (
            "FirstTokenSlow",
            30,
            {f'{FIRST}"10"}}': "0+1x40", f'{FIRST}"30"}}': "0+9x40", f'{FIRST}"+Inf"}}': "0+9x40"},
            True,
        ),
        ("FirstTokenSlow", 30, {f'{FIRST}"1"}}': "0+9x40", f'{FIRST}"+Inf"}}': "0+9x40"}, False),
        ("FirstTokenSlow", 30, {f'{FIRST}"10"}}': "9x40", f'{FIRST}"+Inf"}}': "9x40"}, False),  # no traffic
        (
            "FirstTokenSlow",
            30,
            {f'{VLLM}"10"}}': "0+1x40", f'{VLLM}"30"}}': "0+9x40", f'{VLLM}"+Inf"}}': "0+9x40"},
            True,
        ),
        ("Errors", 30, {f'{HTTP}"200"}}': "0+90x40", f'{HTTP}"500"}}': "0+10x40"}, True),
        ("Errors", 30, {f'{HTTP}"200"}}': "0+90x40", f'{HTTP}"503"}}': "0+10x40"}, False),
        ("Errors", 30, {f'{HTTP}"200"}}': "0+90x40", f'{HTTP}"422"}}': "0+90x40"}, False),
        ("Errors", 30, {f'{ENDED}"stop"}}': "0+90x40", f'{ENDED}"error"}}': "0+10x40"}, True),
        ("Errors", 30, {f'{ENDED}"stop"}}': "0+90x40", f'{ENDED}"cancelled"}}': "0+90x40"}, False),
        ("Overloaded", 30, {f'{ENDED}"stop"}}': "0+90x40", f'{ENDED}"overloaded"}}': "0+10x40"}, True),
        ("Overloaded", 30, {f'{HTTP}"200"}}': "0+90x40", f'{HTTP}"503"}}': "0+10x40"}, True),
        ("Overloaded", 30, {f'{HTTP}"200"}}': "0+99x40", f'{HTTP}"503"}}': "0+1x40"}, False),
        ("QueueGrows", 30, {f'ray_modelyard_queue_depth{{{ONE}, replica="a", model="m"}}': "0x10 0+1x30"}, True),
        ("QueueGrows", 30, {f'ray_modelyard_queue_depth{{{ONE}, replica="a", model="m"}}': "5x40"}, False),
        ("QueueGrows", 30, {f'ray_serve_deployment_queued_queries{{{ONE}, handle="h"}}': "0x10 0+1x30"}, True),
        ("SlowLoad", 40, {f'{LOAD}"read"}}': "50x2 _x38", f'{LOAD}"build"}}': "20x2 _x38"}, True),  # gone, yet known
        ("SlowLoad", 40, {f'{LOAD}"read"}}': "50x40", f'{LOAD}"import"}}': "50x40"}, False),  # at the same time
        ("CacheFull", 11, {f'{CACHE}"used"}}': "970x40", f'{CACHE}"limit"}}': "1000x40"}, True),
        ("CacheFull", 30, {f'{CACHE}"used"}}': "900x40", f'{CACHE}"limit"}}': "1000x40"}, False),
        (
            "CacheFull",
            11,
            {'ray_vllm_kv_cache_usage_perc{namespace="ns", modelyard_dev_service="gpu", model_name="m"}': "0.99x40"},
            True,
        ),
        ("NotFromCache", 6, {f'ray_modelyard_model_from_cache{{{ONE}, replica="a", model="m"}}': "0x40"}, True),
        ("NotFromCache", 6, {f'ray_modelyard_model_from_cache{{{ONE}, replica="a", model="m"}}': "1x40"}, False),
        ("Absent", 16, {'up{namespace="ns", modelyard_dev_service="chat", pod="a"}': "0x40"}, True),
        ("Absent", 16, {'up{namespace="ns", modelyard_dev_service="other", pod="a"}': "1x40"}, True),
        ("Absent", 30, {'up{namespace="ns", modelyard_dev_service="chat", pod="a"}': "1x40"}, False),
    ],
)
def test_it_fires_when_it_should(
    alert: str, minutes: int, series: dict[str, str], wanted: bool, tmp_path: Path
) -> None:
    fires(map(alerts.rule, ALERTS), f"ModelService{alert}", minutes, series, wanted, tmp_path)


def test_prometheus_takes_the_rules(tmp_path: Path) -> None:
    for obj in objects(planned()).values():
        if obj["kind"] == "PrometheusRule":
            check(obj["spec"], tmp_path)


def test_the_text_of_an_alert(tmp_path: Path) -> None:
    labels = {"namespace": "ns", "modelyard_dev_service": "chat", "application": "tiny", "severity": "warning"}
    text = {
        "summary": "chat/tiny sends away 10% of its requests with 503.",
        "description": "Raise replicas.max or concurrency in models.yaml.",
    }
    expected = {"exp_labels": labels, "exp_annotations": text}
    test = {
        "input_series": [
            {"series": f'{HTTP}"200"}}', "values": "0+90x40"},
            {"series": f'{HTTP}"503"}}', "values": "0+10x40"},
        ],
        "alert_rule_test": [{"eval_time": "30m", "alertname": "ModelServiceOverloaded", "exp_alerts": [expected]}],
    }
    judge(map(alerts.rule, ALERTS), test, tmp_path)
