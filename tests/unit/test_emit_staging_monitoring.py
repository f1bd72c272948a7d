"""Staging in monitoring: queries name metrics that exist, alerts fire when they should, files are those wanted."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from generator.emit import monitoring, staging_alerts
from generator.emit.alerts import rule
from generator.emit.dashboard import dashboard
from generator.emit.staging_alerts import Labelled
from generator.emit.staging_panels import STAGING
from generator.emit.staging_schedule import longest_gap
from generator.plan import Plan, PushGateway, Refresh
from generator.prestage import metrics
from generator.prestage.exits import PrestageExit
from generator.prestage.outcome import Outcome
from tests.unit import plans
from tests.unit.promql import check, fires, grouped, judge, selectors, shown
from tests.unit.test_emit_monitoring import objects, planned

GATEWAY = PushGateway("observability", "prometheus-pushgateway", 9091)
RUN = Outcome("m", "c", "s3://b/m", 0, 1.0, 1, 1, 0, 1, False, "")
WEEKLY = Refresh("0 3 * * 1", "Etc/UTC", "main")
TINY = replace(plans.TINYLLAMA, refresh=WEEKLY)
NAMESPACE = "ray-system"
HOURS = 60  # minutes, as promtool's samples are
DAYS = 24 * HOURS

# kube-state-metrics v2, docs/metrics/workload: name -> labels that every series has.
OF_KUBERNETES = {
    "kube_job_failed": {"namespace", "job_name", "condition"},
    "kube_job_complete": {"namespace", "job_name", "condition"},
    "kube_cronjob_created": {"namespace", "cronjob"},
    "kube_cronjob_status_last_successful_time": {"namespace", "cronjob"},
}


def pushed() -> dict[str, set[str]]:
    """Labels by name of all that the programs push."""
    runs = {metrics.PREFIX + name: {"model", "commit12"} for name in metrics.gauges(RUN, 0.0)}
    others = (metrics.checked(RUN, "main", answered=True, newer=True), metrics.tested(RUN))
    return runs | {name: set(labels) for other in others for name, (_, _, labels) in other.gauges.items()}


def all_alerts() -> list[Labelled]:
    prestages = (plans.staged(TINY),)
    return [*staging_alerts.alerts(NAMESPACE), *staging_alerts.of_models(NAMESPACE, prestages, pushed=True)]


def rules() -> list[dict[str, Any]]:
    return [rule(alert, **labels) for labels, alert in all_alerts()]


def expressions() -> dict[str, str]:
    of_alerts = {f"{alert.name} {labels}": alert.expr for labels, alert in all_alerts()}
    return shown(dashboard(STAGING)) | of_alerts


def pushing(**changes: Any) -> Plan:
    """The example with a Pushgateway, one model of two looked after by schedule."""
    models = (plans.MISTRAL, TINY)
    return replace(planned(push_gateway=GATEWAY), prestages=tuple(map(plans.staged, models)), models=models, **changes)


@pytest.mark.parametrize("place", sorted(expressions()))
def test_every_metric_and_label_exists(place: str) -> None:
    ours = pushed()
    known = ours | OF_KUBERNETES
    found = list(selectors(promql_parser.parse(expressions()[place])))
    assert found
    for selector in found:
        assert selector.name in known
        assert {m.name for m in selector.matchers.matchers} <= known[selector.name] | {"cluster"}
    assert grouped(expressions()[place]) <= set().union(*(known[s.name] for s in found)) | {"cluster"}


def test_every_metric_that_is_pushed_is_shown() -> None:
    text = " ".join(shown(dashboard(STAGING)).values())
    assert {name for name in pushed() if name not in text} == set()


def test_alerts_say_what_happened_and_what_to_do() -> None:
    told = [(alert.name, tuple(labels.items())) for labels, alert in all_alerts()]
    assert len(set(told)) == len(told)
    for _, alert in all_alerts():
        assert alert.what.endswith(".") and alert.then.endswith(".") and alert.severity in ("warning", "info")
        assert set(re.findall(r"\$labels\.(\w+)", alert.what)) <= grouped(alert.expr)


def test_every_exit_but_success_has_an_alert() -> None:
    assert {code for code, *_ in staging_alerts.EXITS} == set(PrestageExit) - {PrestageExit.DONE}


EXIT = 'modelyard_prestage_exit_code{model="m", commit12="c"}'
OLD = EXIT.replace('c"', 'b"')
NEWER = 'modelyard_refresh_newer_staged{model="m", branch="main", commit12="c"}'
LOOK, TEST = (
    'modelyard_refresh_exit_code{model="m", branch="main"}',
    'modelyard_loadtest_exit_code{model="m", commit12="c"}',
)
COPIED = 'modelyard_prestage_copied_bytes{model="m", commit12="c"}'
SECONDS = 'modelyard_prestage_duration_seconds{model="m", commit12="c"}'
TOLD = 'modelyard_prestage_exit_code{model="tinyllama", commit12="c"}'
CHECKED = 'modelyard_refresh_last_answer_timestamp_seconds{model="tinyllama", branch="main"}'
JOB = f'kube_job_failed{{namespace="{NAMESPACE}", job_name="prestage-tinyllama-0123456789", condition='
DONE = f'kube_job_complete{{namespace="{NAMESPACE}", job_name="prestage-tinyllama-0123456789", condition='
CRON = f'{{namespace="{NAMESPACE}", cronjob="refresh-tinyllama"}}'
SUCCEEDED, CREATED = f"kube_cronjob_status_last_successful_time{CRON}", f"kube_cronjob_created{CRON}"
LATE = 7 * DAYS + 2 * HOURS  # the pause of WEEKLY, an hour to start and one to run


@pytest.mark.parametrize(
    ("alert", "minutes", "series", "wanted"),
    [
        ("PrestageFailed", 1, {EXIT: "77x40"}, True),
        ("PrestageFailed", 1, {EXIT: "0x40"}, False),
        ("PrestageFailed", 20, {EXIT: "75x40"}, False),  # another pod may mend it
        ("PrestageFailed", 31, {EXIT: "75x40"}, True),
        ("PrestageFailed", 31, {EXIT: "75x20 0x20"}, False),
        ("PrestageJobFailed", 1, {f'{JOB}"true"}}': "1x9", f'{JOB}"false"}}': "0x9"}, True),
        ("PrestageJobFailed", 1, {f'{JOB}"true"}}': "0x9", f'{JOB}"false"}}': "1x9"}, False),
        ("PrestageJobFailed", 1, {f'{JOB.replace("ray-system", "other")}"true"}}': "1x9"}, False),
        ("PrestageJobFailed", 1, {f'{JOB.replace("prestage-", "backup-")}"true"}}': "1x9"}, False),
        ("PrestageSlow", 1, {COPIED: "5e9x9", SECONDS: "1000x9"}, True),
        ("PrestageSlow", 1, {COPIED: "5e9x9", SECONDS: "100x9"}, False),
        ("PrestageSlow", 1, {COPIED: "1000x9", SECONDS: "10x9"}, False),  # too little to tell
        ("PrestageSlow", 1, {COPIED: "0x9", SECONDS: "0x9"}, False),
        ("LoadTestFailed", 1, {TEST: "65x9"}, True),
        ("LoadTestFailed", 1, {TEST: "0x9"}, False),
        ("RefreshFailed", 1, {LOOK: "66x9"}, True),
        ("RefreshFailed", 1, {LOOK: "0x9"}, False),
        ("NewerCommitStaged", 1, {NEWER: "1x9"}, True),
        ("NewerCommitStaged", 1, {NEWER: "1x9", OLD: "0x9"}, True),
        ("NewerCommitStaged", 1, {NEWER: "0x9"}, False),
        ("NewerCommitStaged", 1, {NEWER: "1x9", EXIT: "0x9"}, False),  # adopted since
        ("PrestageAbsent", 61, {EXIT: "0x99"}, True),
        ("PrestageAbsent", 59, {EXIT: "0x99"}, False),
        ("PrestageAbsent", 61, {TOLD: "75x99"}, False),
        ("PrestageAbsent", 61, {f'{DONE}"true"}}': "1x99"}, False),  # the Pushgateway forgot it
        ("PrestageAbsent", 61, {f'{DONE}"true"}}': "0x99"}, True),
        ("RefreshLate", LATE + 1, {CHECKED: f"0x{LATE + 9}"}, True),
        ("RefreshLate", LATE - 1, {CHECKED: f"0x{LATE + 9}"}, False),
        ("RefreshLate", LATE + 1, {CHECKED: f"0x{DAYS} {DAYS * 60}x{LATE}"}, False),
        ("RefreshLate", LATE + 1, {SUCCEEDED: f"0x{LATE + 9}", CREATED: f"0x{LATE + 9}"}, True),
        ("RefreshLate", LATE + 1, {SUCCEEDED: f"{DAYS * 60}x{LATE + 9}", CREATED: f"0x{LATE + 9}"}, False),
        ("RefreshLate", LATE + 1, {CREATED: f"0x{LATE + 9}"}, True),  # it never succeeded
        ("RefreshLate", LATE + 1, {CHECKED: f"{DAYS * 60}x{LATE + 9}", CREATED: f"0x{LATE + 9}"}, False),
        ("RefreshLate", LATE + 1, {SUCCEEDED.replace("tinyllama", "other"): f"0x{LATE + 9}"}, False),
    ],
)
def test_it_fires_when_it_should(
    alert: str, minutes: int, series: dict[str, str], wanted: bool, tmp_path: Path
) -> None:
    name = f"Model{alert}"
    asked = [r for r in rules() if r["alert"] == name]
    fires(asked, name, minutes, series, wanted, tmp_path)


def test_the_text_of_an_alert(tmp_path: Path) -> None:
    text = {
        "summary": "The last run that staged m ended with exit status 77:"
        " the Hub refuses: gated, private, or a wrong token.",
        "description": "Accept the licence on the model's page,"
        " or mend the token in the Secret that models.yaml names.",
    }
    expected = {"exp_labels": {"model": "m", "severity": "warning", "exit_code": "77"}, "exp_annotations": text}
    test = {
        "input_series": [{"series": EXIT, "values": "77x9"}],
        "alert_rule_test": [{"eval_time": "5m", "alertname": "ModelPrestageFailed", "exp_alerts": [expected]}],
    }
    judge(rules(), test, tmp_path)


def test_prometheus_takes_the_rules(tmp_path: Path) -> None:
    found = [obj for obj in objects(pushing()).values() if obj["kind"] == "PrometheusRule"]
    assert len(found) == 4
    for obj in found:
        check(obj["spec"], tmp_path)


def test_the_push_gateway_is_read_with_the_labels_of_the_runs() -> None:
    found = objects(pushing())["monitoring/staging-pushgateway.yaml"]
    assert (found["kind"], found["metadata"]["namespace"]) == ("ServiceMonitor", NAMESPACE)
    assert found["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert found["spec"]["namespaceSelector"] == {"matchNames": ["observability"]}
    assert found["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/name": "prometheus-pushgateway"}
    (endpoint,) = found["spec"]["endpoints"]
    assert endpoint["honorLabels"] is True
    assert ("monitoring.coreos.com", "ServiceMonitor") in monitoring.kinds(pushing())


def test_without_a_push_gateway_only_kubernetes_is_asked_for_models() -> None:
    plan = replace(pushing(), platform=planned().platform)
    found = objects(plan)
    assert "monitoring/staging-pushgateway.yaml" not in found
    (group,) = found["monitoring/models-peeks-hub.yaml"]["spec"]["groups"]
    assert [r["alert"] for r in group["rules"]] == ["ModelRefreshLate"]
    assert "ServiceMonitor" not in {kind for _, kind in monitoring.kinds(plan)}


def test_each_cluster_is_asked_for_its_own_models() -> None:
    east = replace(plans.CLUSTER, name="east")
    only_mistral = replace(plans.staged(plans.MISTRAL), ways={"east": "workflow", "peeks-hub": "job"})
    plan = pushing(clusters=(plans.CLUSTER, east))
    plan = replace(plan, prestages=(only_mistral, *plan.prestages[1:]), services=())
    found = {name: obj for name, obj in objects(plan).items() if "models-" in name}
    told = {
        name: [(r["alert"], r["labels"]["model"]) for r in obj["spec"]["groups"][0]["rules"]]
        for name, obj in found.items()
    }
    assert told == {
        "monitoring/models-peeks-hub.yaml": [
            ("ModelPrestageAbsent", "mistral-7b"),
            ("ModelPrestageAbsent", "tinyllama"),
            ("ModelRefreshLate", "tinyllama"),
        ],
        "monitoring/models-east.yaml": [("ModelPrestageAbsent", "mistral-7b")],
    }
    assert {cluster.name for cluster in monitoring.clusters_watched(plan)} == {"east", "peeks-hub"}
    assert "{dashboard.yaml" in monitoring.include("east") and "models-east.yaml" in monitoring.include("east")


def test_staging_is_watched_where_nothing_is_served() -> None:
    plan = replace(pushing(), services=())
    names = ("models-peeks-hub", "staging-dashboard", "staging-pushgateway", "staging-rules")
    assert sorted(objects(plan)) == [f"monitoring/{name}.yaml" for name in names]
    assert {kind for _, kind in monitoring.kinds(plan)} == {"PrometheusRule", "ServiceMonitor"}


MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("schedule", "gap"),
    [
        ("* * * * *", MINUTE),
        ("*/15 * * * *", 15 * MINUTE),
        ("7 * * * *", HOUR),
        ("0 3 * * *", DAY),
        ("0 3,15 * * *", 12 * HOUR),
        ("0 9-17 * * *", 16 * HOUR),
        ("30 */7 * * *", 7 * HOUR),  # 0, 7, 14, 21
        ("5/20 0 * * *", DAY - 40 * MINUTE),
        ("0 3 * * 1", 7 * DAY),
        ("0 3 * * mon-fri", 3 * DAY),
        ("0 3 * * SUN,3", 4 * DAY),
        ("0 3 1 * *", 31 * DAY),
        ("0 3 1 * ?", 31 * DAY),
        ("0 3 31 * *", 61 * DAY),  # months of 30 days have none
        ("0 3 1 1 *", 366 * DAY),
        ("0 3 29 2 *", 1461 * DAY),
        ("0 3 1,15 * 1", 7 * DAY),  # both limited: either is enough
        ("0 3 */2 * 1", 2 * DAY),  # a step is a limit
        ("0 3 * feb *", 338 * DAY),
    ],
)
def test_the_longest_pause_of_a_schedule(schedule: str, gap: int) -> None:
    assert longest_gap(schedule) == gap
