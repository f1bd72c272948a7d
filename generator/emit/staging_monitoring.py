"""The part of `monitoring/` about staging: a dashboard, rules, and the monitor of the Pushgateway that runs tell."""

from __future__ import annotations

from collections.abc import Iterator

from generator.emit import monitors
from generator.emit.alerts import rule
from generator.emit.staging_alerts import alerts, of_models
from generator.emit.staging_panels import STAGING
from generator.plan import Cluster, Plan, PushGateway

NAME = STAGING.uid
PREFIX = "models-"
COMMON = ("staging-dashboard", "staging-pushgateway", "staging-rules")
INTERVAL = "30s"
PORT = "http"  # as the chart prometheus-pushgateway 3 names it


def emit(plan: Plan) -> Iterator[tuple[str, bytes]]:
    """For a plan that stages something."""
    yield from monitors.board(plan, STAGING, "staging-dashboard")
    if plan.platform.monitoring is None:
        return
    if (told := gateway(plan)) is not None:
        yield f"{monitors.FOLDER}/staging-pushgateway.yaml", _service_monitor(plan, told)
    common = (rule(alert, **labels) for labels, alert in alerts(plan.platform.namespace))
    yield f"{monitors.FOLDER}/staging-rules.yaml", monitors.rules(plan, NAME, common)
    for cluster in plan.clusters:
        yield from _of_cluster(plan, cluster)


def gateway(plan: Plan) -> PushGateway | None:
    """The Pushgateway that runs tell."""
    return plan.platform.monitoring.push_gateway if plan.platform.monitoring else None


def _of_cluster(plan: Plan, cluster: Cluster) -> Iterator[tuple[str, bytes]]:
    """The models that this cluster has to have: what was never told has no series."""
    pushed = gateway(plan) is not None
    wanted = list(of_models(plan.platform.namespace, plan.models_on(cluster.name), pushed=pushed))
    if wanted:
        own = (rule(alert, **labels) for labels, alert in wanted)
        yield f"{monitors.FOLDER}/{PREFIX}{cluster.name}.yaml", monitors.rules(plan, f"{NAME}-{cluster.name}", own)


def _service_monitor(plan: Plan, told: PushGateway) -> bytes:
    """`honorLabels`: the job, model and commit that a run gave, not those of the Pushgateway's own pod."""
    spec = {
        "namespaceSelector": {"matchNames": [told.namespace]},
        "selector": {"matchLabels": {"app.kubernetes.io/name": told.service}},
        "endpoints": [{"port": PORT, "interval": INTERVAL, "honorLabels": True}],
    }
    return monitors.monitor(plan, "ServiceMonitor", f"{NAME}-pushgateway", spec)
