"""Our Helm charts, copied as they are, and the values that make them this catalogue's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from generator import naming
from generator.assets import Assets
from generator.caches import CACHES
from generator.plan import Cluster, Monitoring, Notify, Plan, Prestage, Service
from generator.prestage.exits import PERMANENT
from generator.yamlio import dump

PODS_PER_JOB = 5
HEAD = {"cpu": "1", "memory": "4Gi"}
# Stands for "no ConfigMap" where a name has to stand.
NO_CONFIG_MAP = "none"


def emit(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """`charts/`, static, and `clusters/<cluster>/`, the values of each."""
    for chart in charts_used(plan):
        for name, content in assets.files(f"chart-templates/{chart}"):
            yield f"charts/{chart}/{name}", content
    for cluster in plan.clusters:
        prestages = plan.models_on(cluster.name)
        if prestages:
            yield prestage_values_path(cluster), dump(_prestage_values(plan.platform.notify, prestages))
        for service in plan.services_on(cluster.name):
            yield (
                f"{services_folder(cluster)}/{service.name}.yaml",
                dump(_service_values(service, plan.platform.monitoring)),
            )


SERVICE_CHARTS = {"kro": "model-services", "helm": "ray-service"}
"""Which chart makes a cluster's services."""


def charts_used(plan: Plan) -> tuple[str, ...]:
    ways = {c.services_by for c in plan.clusters if plan.services_on(c.name)}
    return (*(("prestage",) if plan.prestages else ()), *sorted(SERVICE_CHARTS[way] for way in ways))


def prestage_values_path(cluster: Cluster) -> str:
    return f"clusters/{cluster.name}/prestage.yaml"


def services_folder(cluster: Cluster) -> str:
    return f"clusters/{cluster.name}/services"


def _prestage_values(notify: Notify, prestages: tuple[Prestage, ...]) -> dict[str, Any]:
    return {
        "modelPrestage": {
            "image": prestages[0].image,
            "backoffLimit": PODS_PER_JOB,
            "permanentExitCodes": [int(code) for code in PERMANENT],
            "notify": {
                "snsTopic": notify.sns_topic,
                "webhook": {"name": notify.webhook_secret, "key": notify.webhook_key},
            },
            "models": {p.model.name: _prestage_value(p) for p in prestages},
        }
    }


def _prestage_value(prestage: Prestage) -> dict[str, Any]:
    model = prestage.model
    token = {"tokenSecret": {"name": model.token.secret, "key": model.token.key}} if model.token else {}
    return {
        "repoId": model.repo,
        "revision": model.commit,
        "digest": prestage.digest,
        "deadlineSeconds": prestage.deadline,
        **token,
        "target": dict(CACHES[model.cache.kind].target(model.cache, model)),
        "plan": prestage.plan,
    }


def _service_values(service: Service, monitoring: Monitoring | None) -> dict[str, Any]:
    workers = service.workers
    value: dict[str, Any] = {
        "title": service.title,
        "image": service.image,
        "rayVersion": service.ray_version,
        "autoscaling": service.autoscaled,
        "shutdown": {"drainSeconds": service.shutdown.drain, "graceSeconds": service.shutdown.grace},
        "metricsFrom": _metrics_from(monitoring),
        "head": HEAD,
        "workers": {
            "minReplicas": workers.min,
            "maxReplicas": workers.max,
            "limits": dict(workers.limits),
            "nodeSelector": dict(workers.node_selector),
            "tolerations": [{"key": key, "operator": "Exists"} for key in workers.tolerations],
        },
        "volume": dict(CACHES[service.cache.kind].volume(service.cache, service.capacity)),
        "code": {"configMap": _config_map(service)},
        "serveConfigV2": service.serve_config,
    }
    if service.ingress is not None:
        secret = service.ingress.tls_secret
        value["ingress"] = {
            "host": service.ingress.host,
            "className": service.ingress.class_name,
            "tls": [{"hosts": [service.ingress.host], "secretName": secret}] if secret else [],
            "annotations": dict(service.ingress.annotations),
        }
    return {"services": {service.name: value}}


def _metrics_from(monitoring: Monitoring | None) -> dict[str, str]:
    """Labels of the namespaces that may read metrics; none: all."""
    if monitoring is None or monitoring.namespace is None:
        return {}
    return {"kubernetes.io/metadata.name": monitoring.namespace}


def _config_map(service: Service) -> str:
    if service.code_by != "config-map" or service.code is None:
        return NO_CONFIG_MAP
    return naming.code_config_map(service.code.app, service.code.sha256)
