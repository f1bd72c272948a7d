"""A RayService of KubeRay, by a plain chart or by the kro definition ModelService."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from generator import naming
from generator.caches import CACHES
from generator.plan import (
    Cluster,
    FaultTolerance,
    Ingress,
    LoadBalancer,
    Monitoring,
    Plan,
    Service,
    Upgrade,
    Workers,
)
from generator.providers import PROVIDERS
from generator.runtimes.base import Delivery, Runtime, Scrape
from generator.runtimes.keyvault import key_vault

# Stands for "no ConfigMap" where a name has to stand.
NO_CONFIG_MAP = "none"


UPSCALING = MappingProxyType({"default": "Default", "aggressive": "Aggressive", "conservative": "Conservative"})
UPGRADES = MappingProxyType(
    {"new-cluster": "NewCluster", "incremental": "NewClusterWithIncrementalUpgrade", "none": "None"}
)
TOPOLOGY = MappingProxyType({"zone": "topology.kubernetes.io/zone", "host": "kubernetes.io/hostname"})
SERVE_PORT = 8000


def values(plan: Plan, cluster: Cluster, service: Service) -> dict[str, Any]:
    provider, cache = PROVIDERS[cluster.provider], CACHES[service.cache.kind]
    namespace, port = provider.dns
    value: dict[str, Any] = {
        "title": service.title,
        "image": service.image,
        "rayVersion": service.ray_version,
        "autoscaling": service.autoscaled,
        "autoscalerOptions": {
            "idleTimeoutSeconds": service.autoscaler.idle_seconds,
            "upscalingMode": UPSCALING[service.autoscaler.upscaling],
        },
        "shutdown": {"drainSeconds": service.shutdown.drain, "graceSeconds": service.shutdown.grace},
        "authOptions": {"mode": "token", **_stated(secretName=service.auth_secret)},
        "metricsFrom": metrics_from(plan.platform.monitoring),
        "dns": {"namespace": namespace, "port": port},
        "identity": list(provider.identity),
        "operatorNamespace": cluster.operator_namespace,
        "egress": [{"protocol": "TCP", "port": port} for port in _ports(cluster, service)],
        "head": dict(service.head),
        "workers": [_group(cluster, service, group) for group in service.groups],
        "mounts": cache.mounts(service),
        "code": {"configMap": config_map(service)},
        "serveConfigV2": service.serve_config,
    }
    return value | _stated(
        uid=provider.uid,
        podLabels=dict(cache.labels(service)),
        volume=dict(cache.volume(service)),
        upgradeStrategy=_upgrade(service.upgrade),
        gcsFaultToleranceOptions=_fault_tolerance(service.fault_tolerance),
        priorityClassName=service.priority_class,
        queue=service.queue,
        serveService=_serve_service(cluster, service.load_balancer),
        ingress=_ingress(service.ingress),
        keyVault=key_vault(cluster, service),
        # kro's definition has no list of rules; networks of EKS, where it is the usual way, count pods as addresses.
        inside=_inside(plan, service) if cluster.services_by == "helm" else None,
    )


def _stated(**fields: Any) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value is not None and value != {}}


def _group(cluster: Cluster, service: Service, group: Workers) -> dict[str, Any]:
    return {
        "name": group.name,
        "image": group.image,
        "minReplicas": group.min,
        "maxReplicas": group.max,
        # One may always go, or a node could never be drained.
        "minAvailable": max(group.busy - 1, 0),
        "limits": dict(group.limits),
        "nodeSelector": {**group.node_selector, **pool(cluster, group)},
        "tolerations": [dict(toleration) for toleration in group.tolerations],
        "topologySpreadConstraints": _spread(service, group),
    }


def _spread(service: Service, group: Workers) -> list[dict[str, Any]]:
    """As well as it goes: a replica that runs beside another is better than none."""
    if service.spread is None:
        return []
    own = {naming.SERVICE_LABEL: service.name, naming.GROUP_LABEL: group.name}
    constraint = {"maxSkew": 1, "topologyKey": TOPOLOGY[service.spread], "whenUnsatisfiable": "ScheduleAnyway"}
    return [{**constraint, "labelSelector": {"matchLabels": own}}]


def _ports(cluster: Cluster, service: Service) -> list[int]:
    """Where pods connect to beside one another: code and the API server, and Redis."""
    ports = {443, *(port for _, port in _servers(service))}
    if service.autoscaled:
        ports.add(PROVIDERS[cluster.provider].api_port)
    return sorted(ports)


def _inside(plan: Plan, service: Service) -> list[str] | None:
    """Namespaces of the cluster that pods connect to: an address block holds no pod where Cilium is the network."""
    hosts = [host for host, _ in _servers(service)]
    found = {naming.namespace_of(host) if "." in host else plan.platform.namespace for host in hosts}
    return sorted(name for name in found if name) or None


def _servers(service: Service) -> list[tuple[str, int]]:
    """Host and port of Redis, and of the server with the code."""
    found = []
    if service.fault_tolerance is not None:
        host, _, port = service.fault_tolerance.redis.rpartition("://")[2].rpartition(":")
        found.append((host, int(port)))
    if service.code_url is not None:
        address = urlsplit(service.code_url)
        found.append((address.hostname or "", address.port or 443))
    return found


def _upgrade(upgrade: Upgrade | None) -> dict[str, Any] | None:
    if upgrade is None:
        return None
    options = {
        "gatewayClassName": upgrade.gateway_class,
        "stepSizePercent": upgrade.step_percent,
        "intervalSeconds": upgrade.interval_seconds,
        "maxSurgePercent": upgrade.surge_percent,
    }
    steps = {"clusterUpgradeOptions": options} if upgrade.strategy == "incremental" else {}
    return {"type": UPGRADES[upgrade.strategy], **steps}


def _fault_tolerance(asked: FaultTolerance | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    secret = {"name": asked.password_secret, "key": asked.password_key}
    return {
        "redisAddress": asked.redis,
        **({"redisUsername": {"value": asked.username}} if asked.username is not None else {}),
        **({"redisPassword": {"valueFrom": {"secretKeyRef": secret}}} if asked.password_secret is not None else {}),
    }


def _serve_service(cluster: Cluster, asked: LoadBalancer | None) -> dict[str, Any] | None:
    """What KubeRay takes over into the serve Service: the selector is its own, and ports are found by their names."""
    if asked is None:
        return None
    provider = PROVIDERS[cluster.provider]
    usual = provider.public if asked.scope == "public" else provider.internal or {}
    annotations = dict(sorted({**usual, **asked.annotations}.items()))
    spec: dict[str, Any] = {
        "type": "LoadBalancer",
        # Requests keep the address that they come from, by which they are let in.
        "externalTrafficPolicy": "Local",
        **({"loadBalancerSourceRanges": list(asked.source_ranges)} if asked.source_ranges else {}),
        "ports": [{"name": "serve", "port": SERVE_PORT, "targetPort": "serve", "protocol": "TCP"}],
    }
    return {**({"metadata": {"annotations": annotations}} if annotations else {}), "spec": spec}


def _ingress(asked: Ingress | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    return {
        "host": asked.host,
        "className": asked.class_name,
        "tls": [{"hosts": [asked.host], "secretName": asked.tls_secret}] if asked.tls_secret else [],
        "annotations": dict(asked.annotations),
    }


def pool(cluster: Cluster, workers: Workers) -> dict[str, str]:
    """Labels of the nodes that the workers want on this cluster; none where no pool is ours."""
    labelled = cluster.node_pools is not None or PROVIDERS[cluster.provider].labels_nodes
    if workers.accelerator is None or not labelled:
        return {}
    return {naming.ACCELERATOR_LABEL: workers.accelerator}


def url(service: Service, namespace: str, route: str) -> str:
    """KubeRay makes `<name>-serve-svc`, or for incremental updates a Gateway, whose address is its own to know."""
    if service.upgrade is not None and service.upgrade.strategy == "incremental":
        return naming.gateway_url(service.name, route)
    return naming.service_url(service.name, namespace, route)


AUTOSCALER = MappingProxyType({"cpu": "500m", "memory": "512Mi"})
"""The container beside the head, as the chart asks for it."""


def beside(service: Service) -> tuple[Mapping[str, str], ...]:
    return (service.head, AUTOSCALER) if service.autoscaled else (service.head,)


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

# The same for every series: they would cost memory and tell nothing.
SCRAPE = Scrape("metrics", metrics=({"action": "labeldrop", "regex": "otel_scope_.*"},))

RUNTIME = Runtime(
    name="ray",
    kind="RayService",
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
                    ("secrets-store.csi.x-k8s.io", "SecretProviderClass"),
                ),
                (("", "PersistentVolume"),),
            ),
        }
    ),
    values=values,
    differences=_DIFFERENCES,
    url=url,
    scrape=SCRAPE,
    beside=beside,
)
