"""`monitoring/`: the Grafana dashboard, and with `platform.monitoring` what the Prometheus operator takes.

Without it the dashboard is a file to import, which needs nothing on the clusters; rules and PodMonitor would fail to
sync where their CRDs are not there. Checked against prometheus-operator's monitoring.coreos.com/v1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from generator import naming
from generator.assets import Assets
from generator.emit.alerts import ALERTS, absent, rule
from generator.emit.dashboard import dashboard
from generator.plan import Cluster, Monitoring, Plan
from generator.yamlio import dump

FOLDER = "monitoring"
NAME = "modelyard-services"
PREFIX = "services-"
COMMON = ("dashboard", "pods", "rules")
SIDECAR = {"grafana_dashboard": "1"}  # the default of Grafana's chart, sidecar.dashboards.label and labelValue
INTERVAL = "15s"
KINDS = (("monitoring.coreos.com", "PodMonitor"), ("monitoring.coreos.com", "PrometheusRule"))


def emit(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """Nothing where nothing is served."""
    if not plan.services:
        return
    monitoring, namespace = plan.platform.monitoring, plan.platform.namespace
    if monitoring is None or not monitoring.dashboards:
        yield f"{FOLDER}/dashboard.json", _json().encode()
    if monitoring is None:
        return
    if monitoring.dashboards:
        yield f"{FOLDER}/dashboard.yaml", dump(_config_map(namespace))
    yield f"{FOLDER}/pods.yaml", dump(_pod_monitor(monitoring, namespace))
    yield f"{FOLDER}/rules.yaml", dump(_rules(monitoring, namespace))
    for cluster in clusters_watched(plan):
        yield f"{FOLDER}/{PREFIX}{cluster.name}.yaml", dump(_presence(plan, monitoring, cluster))


def clusters_watched(plan: Plan) -> tuple[Cluster, ...]:
    """The clusters that get the folder: those that serve, when monitoring is asked for."""
    if plan.platform.monitoring is None:
        return ()
    return tuple(cluster for cluster in plan.clusters if plan.services_on(cluster.name))


def include(entry: str) -> str:
    """Pattern of the files for the cluster that `entry` names: those for all, and its own."""
    return "{" + ",".join(f"{name}.yaml" for name in (*COMMON, PREFIX + entry)) + "}"


def _json() -> str:
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


def _object(api: str, kind: str, name: str, namespace: str, labels: Mapping[str, str]) -> dict[str, Any]:
    own = {**naming.labels("monitoring", name), **labels}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace, "labels": own}}


def _config_map(namespace: str) -> dict[str, Any]:
    base = _object("v1", "ConfigMap", f"{NAME}-dashboard", namespace, SIDECAR)
    return {**base, "data": {f"{NAME}.json": _json()}}


def _pod_monitor(monitoring: Monitoring, namespace: str) -> dict[str, Any]:
    base = _object("monitoring.coreos.com/v1", "PodMonitor", NAME, namespace, monitoring.labels)
    endpoint = {
        "port": "metrics",
        "interval": INTERVAL,
        # The same for every series: they would cost memory and tell nothing.
        "metricRelabelings": [{"action": "labeldrop", "regex": "otel_scope_.*"}],
    }
    spec = {
        "selector": {"matchExpressions": [{"key": naming.SERVICE_LABEL, "operator": "Exists"}]},
        "podTargetLabels": [naming.SERVICE_LABEL],
        "podMetricsEndpoints": [endpoint],
    }
    return {**base, "spec": spec}


def _rules(monitoring: Monitoring, namespace: str) -> dict[str, Any]:
    base = _object("monitoring.coreos.com/v1", "PrometheusRule", NAME, namespace, monitoring.labels)
    return {**base, "spec": {"groups": [{"name": NAME, "rules": [rule(alert) for alert in ALERTS]}]}}


def _presence(plan: Plan, monitoring: Monitoring, cluster: Cluster) -> dict[str, Any]:
    """The services that this cluster has to have: a service without pods has no series that could tell."""
    namespace, name = plan.platform.namespace, f"{NAME}-{cluster.name}"
    base = _object("monitoring.coreos.com/v1", "PrometheusRule", name, namespace, monitoring.labels)
    rules = [
        rule(absent(namespace, service.name), modelyard_dev_service=service.name)
        for service in plan.services_on(cluster.name)
    ]
    return {**base, "spec": {"groups": [{"name": name, "rules": rules}]}}
