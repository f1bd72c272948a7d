"""`monitoring/`: the Grafana dashboards, and with `platform.monitoring` what the Prometheus operator takes.

Without it the dashboards are files to import, which need nothing on the clusters; rules and monitors would fail to
sync where their CRDs are not there. Services and staging have a part each, and none where there is nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from generator import naming
from generator.assets import Assets
from generator.emit import monitors, staging_monitoring
from generator.emit.alerts import ALERTS, absent, rule
from generator.emit.panels import SERVICES
from generator.plan import Cluster, Plan
from generator.runtimes import RUNTIMES
from generator.runtimes.base import Scrape

FOLDER = monitors.FOLDER
NAME = SERVICES.uid
PREFIX = "services-"
COMMON = ("dashboard", "pods", "rules")
INTERVAL = "15s"


def emit(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """Nothing where nothing is served and nothing staged."""
    if plan.services:
        yield from _services(plan)
    if plan.prestages:
        yield from staging_monitoring.emit(plan)


def clusters_watched(plan: Plan) -> tuple[Cluster, ...]:
    """The clusters that get the folder: those that serve or stage, when monitoring is asked for."""
    if plan.platform.monitoring is None:
        return ()
    return tuple(c for c in plan.clusters if plan.services_on(c.name) or plan.models_on(c.name))


def kinds(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Group and kind of what the operator gets."""
    found = ["PrometheusRule"]
    found += ["PodMonitor"] if plan.services else []
    found += ["ServiceMonitor"] if plan.prestages and staging_monitoring.gateway(plan) else []
    return tuple((monitors.GROUP, kind) for kind in found)


def include(entry: str) -> str:
    """Pattern of the files for the cluster that `entry` names: those for all, and its own."""
    own = (PREFIX + entry, staging_monitoring.PREFIX + entry)
    return "{" + ",".join(f"{name}.yaml" for name in (*COMMON, *staging_monitoring.COMMON, *own)) + "}"


def _services(plan: Plan) -> Iterator[tuple[str, bytes]]:
    yield from monitors.board(plan, SERVICES, "dashboard")
    if plan.platform.monitoring is None:
        return
    yield f"{FOLDER}/pods.yaml", _pod_monitor(plan)
    yield f"{FOLDER}/rules.yaml", monitors.rules(plan, NAME, map(rule, ALERTS))
    for cluster in clusters_watched(plan):
        if plan.services_on(cluster.name):
            yield f"{FOLDER}/{PREFIX}{cluster.name}.yaml", _presence(plan, cluster)


def _pod_monitor(plan: Plan) -> bytes:
    runtimes = {service.runtime for service in plan.services}
    spec = {
        "selector": {"matchExpressions": [{"key": naming.SERVICE_LABEL, "operator": "Exists"}]},
        "podTargetLabels": [naming.SERVICE_LABEL],
        "podMetricsEndpoints": [_endpoint(row.scrape) for row in RUNTIMES.values() if row.name in runtimes],
    }
    return monitors.monitor(plan, "PodMonitor", NAME, spec)


def _endpoint(scrape: Scrape) -> dict[str, Any]:
    found: dict[str, Any] = {"port": scrape.port, "interval": INTERVAL}
    if scrape.labels:
        found["relabelings"] = list(scrape.labels)
    return {**found, "metricRelabelings": list(scrape.metrics)}


def _presence(plan: Plan, cluster: Cluster) -> bytes:
    """The services that this cluster has to have: a service without pods has no series that could tell."""
    namespace = plan.platform.namespace
    wanted = (
        rule(absent(namespace, service.name, RUNTIMES[service.runtime].kind), modelyard_dev_service=service.name)
        for service in plan.services_on(cluster.name)
    )
    return monitors.rules(plan, f"{NAME}-{cluster.name}", wanted)
