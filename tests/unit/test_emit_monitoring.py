"""Dashboard, alerts and PodMonitor: they parse, name metrics that exist, and fire when they should."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shutil
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

from generator import assets
from generator.emit import alerts, argocd, monitoring
from generator.emit.dashboard import dashboard
from generator.plan import Monitoring, Plan
from generator.prestage import metrics as prestage
from generator.prestage.outcome import Outcome
from tests.unit.plans import PLATFORM, example_plan
from tests.unit.test_emit_argocd import CLUSTER, rendered

ROOT = Path(__file__).parents[2]
ASKED = Monitoring(labels={"release": "kube-prometheus-stack"}, namespace="monitoring", dashboards=True)
STAGED = Outcome("m", "c", "s3://b/m", 0, 1.0, 1, 1, 0, 1, False, "")
ALERTS = (*alerts.ALERTS, alerts.absent("ns", "chat"))


def planned(**changes: Any) -> Plan:
    return example_plan(platform=replace(PLATFORM, monitoring=replace(ASKED, **changes)))


def files(plan: Plan) -> dict[str, bytes]:
    return dict(monitoring.emit(plan, assets.find()))


def objects(plan: Plan) -> dict[str, dict[str, Any]]:
    return {name: yaml.safe_load(data) for name, data in files(plan).items() if name.endswith(".yaml")}


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> dict[str, str]:
    """Every query by where it stands; Grafana's own interval filled in."""
    shown = {f"{p['title']} {t['refId']}": t["expr"] for p in panels() for t in p["targets"]}
    return {name: text.replace("$__rate_interval", "5m") for name, text in shown.items()} | {
        alert.name: alert.expr for alert in ALERTS
    }


def selectors(node: Any) -> Iterator[Any]:
    """Every vector that an expression selects."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
        if getattr(node, name, None) is not None:
            yield from selectors(getattr(node, name))
    for argument in getattr(node, "args", ()):
        yield from selectors(argument)


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
    staged = {prestage.PREFIX + name: "gauge" for name in prestage.gauges(STAGED, 0.0)}
    known = {**of_ray(), **ours, **staged, "up": "gauge"}
    named = {s.name for s in selectors(promql_parser.parse(expressions()[place]))}
    assert named and all(named), "a selector without a name reads everything"
    assert {name for name in named if base(name, known) not in known} == set()


@pytest.mark.parametrize("place", sorted(expressions()))
def test_labels_of_our_metrics_exist(place: str, ours: dict[str, Any]) -> None:
    """Whatever is matched or grouped by is a label of the metric, of Serve, or of the pod."""
    added = {"namespace", "modelyard_dev_service", "application", "deployment", "replica", "model", "le", "pod"}
    for selector in selectors(promql_parser.parse(expressions()[place])):
        row = ours.get(base(selector.name, ours))
        if row is not None:
            matched = {m.name for m in selector.matchers.matchers}
            assert matched <= added | set(row.labels), selector.name
    grouped = set(re.findall(r"\w+", " ".join(re.findall(r"(?:by|on) \(([^)]*)\)", expressions()[place]))))
    labels = {label for row in ours.values() for label in row.labels}
    assert grouped <= added | labels | {"status_code", "model_name", "GpuIndex"}


def test_every_metric_of_ours_is_shown(ours: dict[str, Any]) -> None:
    text = " ".join(expressions().values())
    unseen = {name for name in ours if name not in text}
    assert unseen <= {"ray_modelyard_requests_total"}, "its reasons are on the panel of whole answers"


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    board = dashboard()
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers) and board["uid"] and len(board["uid"]) <= 40
    names = [variable["name"] for variable in board["templating"]["list"]]
    assert names[0] == "datasource" and board["templating"]["list"][0]["type"] == "datasource"
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board))) - {"__rate_interval", "__all"}
    assert used == set(names)
    for panel in panels():
        assert panel["datasource"]["uid"] == "${datasource}" and panel["title"] and panel["description"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


def test_panels_do_not_overlap_and_fit_the_grid() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells


def test_legends_name_labels_that_the_query_keeps() -> None:
    for panel in panels():
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
        kept = set(re.findall(r"\w+", " ".join(re.findall(r"(?:by|on) \(([^)]*)\)", alert.expr))))
        assert set(re.findall(r"\$labels\.(\w+)", alert.what)) <= kept


def test_without_monitoring_there_is_a_dashboard_to_import_and_nothing_else() -> None:
    plan = example_plan()
    assert list(files(plan)) == ["monitoring/dashboard.json"]
    assert json.loads(files(plan)["monitoring/dashboard.json"]) == dashboard()
    names = [name for name, _ in argocd.emit(plan, assets.find())]
    assert not [name for name in names if "monitoring" in name]


def test_nothing_where_nothing_is_served() -> None:
    plan = replace(planned(), services=())
    assert files(plan) == {}
    assert monitoring.clusters_watched(plan) == ()


def test_what_the_operator_gets() -> None:
    found = objects(planned())
    assert sorted(found) == [f"monitoring/{n}.yaml" for n in ("dashboard", "pods", "rules", "services-peeks-hub")]
    for name, obj in found.items():
        expected = {"grafana_dashboard": "1"} if "dashboard" in name else ASKED.labels
        assert expected.items() <= obj["metadata"]["labels"].items()
        assert obj["metadata"]["namespace"] == "ray-system"
    config = found["monitoring/dashboard.yaml"]["data"]
    assert [json.loads(text) for text in config.values()] == [dashboard()]
    rules = found["monitoring/rules.yaml"]["spec"]["groups"][0]["rules"]
    assert [r["alert"] for r in rules] == [a.name for a in alerts.ALERTS]


def test_dashboards_may_stay_a_file() -> None:
    found = files(planned(dashboards=False))
    assert "monitoring/dashboard.json" in found and "monitoring/dashboard.yaml" not in found


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


def test_each_cluster_gets_its_own_list_of_services(helm: str, tmp_path: Path) -> None:
    bootstrap = dict(argocd.emit(planned(), assets.find()))
    document = yaml.safe_load(bootstrap["bootstrap/applications/monitoring.yaml"])
    source = document["spec"]["template"]["spec"]["source"]
    assert source["path"] == "rendered/monitoring"
    filled = rendered(helm, tmp_path, document, CLUSTER)[source["directory"]["include"]]
    assert filled == "{dashboard.yaml,pods.yaml,rules.yaml,services-peeks-hub.yaml}"
    assert {f"monitoring/{name}" for name in filled.strip("{}").split(",")} == set(files(planned()))
    presence = objects(planned())["monitoring/services-peeks-hub.yaml"]["spec"]["groups"][0]["rules"]
    assert [r["labels"]["modelyard_dev_service"] for r in presence] == ["chat", "mistral"]
    project = yaml.safe_load(bootstrap["bootstrap/applications/project.yaml"])["spec"]["namespaceResourceWhitelist"]
    assert {"group": "monitoring.coreos.com", "kind": "PodMonitor"} in project


# What Prometheus itself makes of the rules.

APP = 'namespace="ns", modelyard_dev_service="chat", application="tiny"'
ONE = f'{APP}, deployment="TextGeneration"'
TARGET, HEALTHY = f"ray_serve_autoscaling_target_replicas{{{ONE}}}", f"ray_serve_deployment_replica_healthy{{{ONE}"
STARTS = f"ray_serve_replica_startup_latency_ms_count{{{ONE}}}"
HTTP = f"ray_serve_num_http_requests_total{{{APP}, status_code="
FIRST = f'ray_modelyard_time_to_first_token_seconds_bucket{{{ONE}, replica="a", model="m", le='
VLLM = 'ray_vllm_time_to_first_token_seconds_bucket{namespace="ns", modelyard_dev_service="gpu", model_name="m", le='
LOAD = f'ray_modelyard_load_seconds{{{ONE}, replica="a", model="m", phase='
CACHE = f'ray_modelyard_kv_cache_tokens{{{ONE}, replica="a", model="m", state='


@pytest.mark.parametrize(
    ("alert", "minutes", "series", "fires"),
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
        ("PrestageFailed", 1, {'modelyard_prestage_exit_code{model="m", commit12="c"}': "4x40"}, True),
        ("PrestageFailed", 1, {'modelyard_prestage_exit_code{model="m", commit12="c"}': "0x40"}, False),
        ("Absent", 16, {'up{namespace="ns", modelyard_dev_service="chat", pod="a"}': "0x40"}, True),
        ("Absent", 16, {'up{namespace="ns", modelyard_dev_service="other", pod="a"}': "1x40"}, True),
        ("Absent", 30, {'up{namespace="ns", modelyard_dev_service="chat", pod="a"}': "1x40"}, False),
    ],
)
def test_it_fires_when_it_should(
    alert: str, minutes: int, series: dict[str, str], fires: bool, promtool: str, tmp_path: Path
) -> None:
    name = alert if alert.startswith("Prestage") else f"Service{alert}"
    expected = [{"labels": "{}", "value": 1}] if fires else []
    query = f'count(ALERTS{{alertname="Model{name}", alertstate="firing"}})'
    test = {
        "interval": "1m",
        "input_series": [{"series": s, "values": values} for s, values in series.items()],
        "promql_expr_test": [{"expr": query, "eval_time": f"{minutes}m", "exp_samples": expected}],
    }
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(group()))
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def group() -> dict[str, Any]:
    return {"groups": [{"name": "all", "rules": [alerts.rule(alert) for alert in ALERTS]}]}


def test_prometheus_takes_the_rules(promtool: str, tmp_path: Path) -> None:
    for name, obj in objects(planned()).items():
        if obj["kind"] == "PrometheusRule":
            path = tmp_path / Path(name).name
            path.write_text(yaml.safe_dump(obj["spec"]))
            done = subprocess.run([promtool, "check", "rules", str(path)], capture_output=True, text=True)
            assert done.returncode == 0 and "SUCCESS" in done.stdout, done.stdout + done.stderr


def test_the_text_of_an_alert(promtool: str, tmp_path: Path) -> None:
    labels = {"namespace": "ns", "modelyard_dev_service": "chat", "application": "tiny", "severity": "warning"}
    text = {
        "summary": "chat/tiny sends away 10% of its requests with 503.",
        "description": "Raise replicas.max or concurrency in models.yaml.",
    }
    test = {
        "interval": "1m",
        "input_series": [
            {"series": f'{HTTP}"200"}}', "values": "0+90x40"},
            {"series": f'{HTTP}"503"}}', "values": "0+10x40"},
        ],
        "alert_rule_test": [
            {
                "eval_time": "30m",
                "alertname": "ModelServiceOverloaded",
                "exp_alerts": [{"exp_labels": labels, "exp_annotations": text}],
            }
        ],
    }
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(group()))
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus' own judge of rules: Debian's package `prometheus` has it."""
    there = os.environ.get("MODELYARD_PROMTOOL") or shutil.which("promtool")
    here = ROOT / ".cache/bin/promtool"
    if there is None and not here.is_file():
        pytest.skip("promtool is not installed")
    return there or str(here)
