"""A RayService of KubeRay, by a plain chart or by the kro definition ModelService."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from generator import naming
from generator.caches import CACHES
from generator.plan import Cluster, Monitoring, Plan, Service, Workers
from generator.runtimes.base import Delivery, Runtime

# Stands for "no ConfigMap" where a name has to stand.
NO_CONFIG_MAP = "none"


def values(plan: Plan, cluster: Cluster, service: Service) -> dict[str, Any]:
    (workers,) = service.groups
    value: dict[str, Any] = {
        "title": service.title,
        "image": service.image,
        "rayVersion": service.ray_version,
        "autoscaling": service.autoscaled,
        "shutdown": {"drainSeconds": service.shutdown.drain, "graceSeconds": service.shutdown.grace},
        "metricsFrom": metrics_from(plan.platform.monitoring),
        "head": dict(service.head),
        "workers": {
            "minReplicas": workers.min,
            "maxReplicas": workers.max,
            "limits": dict(workers.limits),
            "nodeSelector": {**workers.node_selector, **pool(cluster, workers)},
            "tolerations": [dict(toleration) for toleration in workers.tolerations],
        },
        "volume": dict(CACHES[service.cache.kind].volume(service)),
        "code": {"configMap": config_map(service)},
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
    return value


def pool(cluster: Cluster, workers: Workers) -> dict[str, str]:
    """Labels of the nodes that the workers want on this cluster; none where no pool is ours."""
    if cluster.node_pools is None or workers.accelerator is None:
        return {}
    return {naming.ACCELERATOR_LABEL: workers.accelerator}


def metrics_from(monitoring: Monitoring | None) -> dict[str, str]:
    """Labels of the namespaces that may read metrics; none: all."""
    if monitoring is None or monitoring.namespace is None:
        return {}
    return {"kubernetes.io/metadata.name": monitoring.namespace}


def config_map(service: Service) -> str:
    """ConfigMap with the code."""
    if service.code_by != "config-map" or service.code is None:
        return NO_CONFIG_MAP
    return naming.code_config_map(service.code.app, service.code.sha256)


# What Ray's autoscaler and KubeRay write into objects that Argo CD also knows (kuberay#4149).
_DIFFERENCES = tuple(
    {"group": "ray.io", "kind": kind, "jqPathExpressions": [f"{path}.workerGroupSpecs[].replicas"]}
    for kind, path in (("RayService", ".spec.rayClusterConfig"), ("RayCluster", ".spec"))
)

RUNTIME = Runtime(
    name="ray",
    folder="services",
    deliveries=MappingProxyType(
        {
            "kro": Delivery("kro", "model-services", ((naming.KRO_GROUP, naming.KRO_KIND),), graph="model-service"),
            "helm": Delivery(
                "helm",
                "ray-service",
                (
                    ("", "PersistentVolumeClaim"),
                    ("ray.io", "RayService"),
                    ("policy", "PodDisruptionBudget"),
                    ("networking.k8s.io", "Ingress"),
                ),
                (("", "PersistentVolume"),),
            ),
        }
    ),
    values=values,
    differences=_DIFFERENCES,
    url=naming.service_url,
)
