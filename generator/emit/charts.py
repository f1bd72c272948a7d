"""Our Helm charts, copied as they are, and the values that make them this catalogue's."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from generator import naming, stagings
from generator.assets import Assets
from generator.caches import CACHES
from generator.emit import nodepools
from generator.plan import Cluster, Monitoring, Plan, Service
from generator.stagings import Staging
from generator.yamlio import dump

HEAD = {"cpu": "1", "memory": "4Gi"}
# Stands for "no ConfigMap" where a name has to stand.
NO_CONFIG_MAP = "none"


def emit(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """`charts/`, static, and `clusters/<cluster>/`, the values of each."""
    for chart in charts_used(plan):
        for name, content in assets.files(f"chart-templates/{chart}"):
            yield f"charts/{chart}/{name}", content
    for row in stagings.used(plan):
        digest = _digest(assets, row.chart)
        for cluster in stagings.clusters(plan, row.way):
            yield (
                staging_values_path(cluster.name, row),
                dump(row.values(plan, plan.staged(cluster.name, row.way), digest)),
            )
    for cluster in plan.clusters:
        for service in plan.services_on(cluster.name):
            yield (
                f"{services_folder(cluster)}/{service.name}.yaml",
                dump(_service_values(cluster, service, plan.platform.monitoring)),
            )


SERVICE_CHARTS = {"kro": "model-services", "helm": "ray-service"}
"""Which chart makes a cluster's services."""


def charts_used(plan: Plan) -> tuple[str, ...]:
    ways = {c.services_by for c in plan.clusters if plan.services_on(c.name)}
    return (*(row.chart for row in stagings.used(plan)), *sorted(SERVICE_CHARTS[way] for way in ways))


def staging_values_path(cluster: str, row: Staging) -> str:
    return f"clusters/{cluster}/{row.file}"


def services_folder(cluster: Cluster) -> str:
    return f"clusters/{cluster.name}/services"


def _digest(assets: Assets, chart: str) -> str:
    """Digest of a chart's templates."""
    digest = sha256()
    for name, content in assets.files(f"chart-templates/{chart}/templates"):
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()


def _service_values(cluster: Cluster, service: Service, monitoring: Monitoring | None) -> dict[str, Any]:
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
            "nodeSelector": {**workers.node_selector, **nodepools.selector(cluster, service)},
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
