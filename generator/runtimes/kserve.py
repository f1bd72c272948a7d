"""An InferenceService of KServe v0.20 in Standard mode, with a ServingRuntime of its own.

It reads its model from a claim (`storageUri: pvc://…`), without Ray: one application, one model, one process a pod.
Facts: pkg/webhook/admission/pod/storage_initializer_injector.go, pkg/utils/storage.go (the volume),
pkg/controller/v1beta1/inferenceservice (Deployment, Service, autoscaler), all of kserve/kserve.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from generator import naming
from generator.caches import pvc
from generator.plan import Cluster, Model, Plan, Process, Service
from generator.providers import PROVIDERS
from generator.runtimes import ray
from generator.runtimes.base import Delivery, Runtime, Scrape

FOR_ENDPOINTS = 5  # seconds in which other pods learn that this one ends
FOR_PROCESS = 25  # seconds for the process after its last answer
SLOWEST_DISK = 50_000_000  # bytes a second of a disk that still counts as alive
SHORTEST_START = 600  # seconds
UNKNOWN_START = 3600
SHARED_MEMORY = "2Gi"


def values(plan: Plan, cluster: Cluster, service: Service) -> dict[str, Any]:
    (workers,) = service.groups
    (application,) = service.applications
    (model,) = application.models
    process = program(service)
    claims = pvc.claims(model.cache)
    alone = claims.access_mode == "ReadWriteOnce"
    value: dict[str, Any] = {
        "title": service.title,
        "image": workers.image,
        "command": list(process.command),
        "env": dict(sorted(process.env.items())),
        "health": process.health,
        "startSeconds": start(model),
        "shutdown": {"forEndpoints": FOR_ENDPOINTS, "graceSeconds": FOR_ENDPOINTS + process.drain + FOR_PROCESS},
        "model": {
            "name": model.name,
            "commit": model.commit,
            "claim": naming.claim(model.name, model.commit),
            "folder": model.key,
            "oneNode": alone,
        },
        "waiting": waiting(plan, cluster, model),
        "minReplicas": application.min_replicas,
        "maxReplicas": application.max_replicas,
        "autoscaler": "hpa" if application.max_replicas > application.min_replicas else "none",
        # The pods of two versions would want the disk on two nodes.
        "strategy": "Recreate" if alone else "RollingUpdate",
        "limits": dict(workers.limits),
        "nodeSelector": {**workers.node_selector, **ray.pool(cluster, workers)},
        "tolerations": [dict(toleration) for toleration in workers.tolerations],
        "user": user(cluster),
        "code": {"configMap": ray.config_map(service)},
    }
    optional = {
        "priorityClassName": service.priority_class,
        "spread": ray.TOPOLOGY[service.spread] if service.spread else None,
        "sharedMemory": SHARED_MEMORY if process.shares else None,
        "ingress": _ingress(service, application.route),
    }
    return value | {key: found for key, found in optional.items() if found is not None}


def program(service: Service) -> Process:
    """What its pods run."""
    if service.process is None:
        raise TypeError(f"{service.name} has no application that runs without Ray")
    return service.process


def start(model: Model) -> int:
    """Seconds until a pod that does not answer is started anew."""
    return UNKNOWN_START if model.size is None else max(SHORTEST_START, model.size // SLOWEST_DISK)


def waiting(plan: Plan, cluster: Cluster, model: Model) -> dict[str, Any]:
    """The program that waits for the model's manifest; `gate`: whether Argo CD lets it run before anything changes."""
    staged = next(prestage for prestage in plan.prestages if prestage.model == model)
    return {"image": staged.image, "seconds": staged.deadline, "gate": cluster.gitops == "argocd"}


def user(cluster: Cluster) -> dict[str, Any]:
    """Who the pods run as: on OpenShift, whom the namespace is given."""
    uid = PROVIDERS[cluster.provider].uid
    return {"assigned": True} if uid is None else {"assigned": False, "id": uid}


def _ingress(service: Service, route: str) -> Mapping[str, Any] | None:
    """The application's route and nothing beside it: metrics stay inside, where it has one."""
    asked = service.ingress
    if asked is None:
        return None
    tls = [{"hosts": [asked.host], "secretName": asked.tls_secret}] if asked.tls_secret else []
    return {
        "host": asked.host,
        "path": route,
        "className": asked.class_name,
        "tls": tls,
        "annotations": dict(asked.annotations),
    }


def url(service: Service, namespace: str, route: str) -> str:
    """In-cluster address, of the chart's own Service.

    That of KServe, `<name>-predictor`, answers on port 80, and where the platform made it headless (the default of
    OpenShift AI, rawDeploymentServiceConfig) on 8080 only.
    """
    return f"http://{service.name}-serve.{namespace}.svc{route if route != '/' else ''}"


_DELIVERY = Delivery(
    "kserve",
    "kserve-service",
    (
        ("", "Service"),
        ("batch", "Job"),
        ("policy", "PodDisruptionBudget"),
        ("networking.k8s.io", "Ingress"),
        ("serving.kserve.io", "InferenceService"),
        ("serving.kserve.io", "ServingRuntime"),
    ),
    of_cluster=False,
)


def _renamed(pattern: str, name: str) -> dict[str, Any]:
    """A metric that Ray would export under this name (ours; vLLM 0.12, docs/design/metrics)."""
    series = "__name__"
    return {"action": "replace", "sourceLabels": [series], "regex": pattern, "targetLabel": series, "replacement": name}


SCRAPE = Scrape(
    "http",
    labels=(
        {"action": "replace", "targetLabel": naming.RUNTIME_SERIES, "replacement": "kserve"},
        # One application, and a pod for each replica.
        {"action": "replace", "sourceLabels": [naming.SERVICE_SERIES], "targetLabel": "application"},
        {"action": "replace", "sourceLabels": ["pod"], "targetLabel": "replica"},
    ),
    metrics=(_renamed("(modelyard_.*)", "ray_${1}"), _renamed("vllm:(.*)", "ray_vllm_${1}")),
)

RUNTIME = Runtime(
    name="kserve",
    kind="InferenceService",
    folder="inference",
    deliveries=MappingProxyType({"kro": _DELIVERY, "helm": _DELIVERY}),
    values=values,
    differences=(),
    url=url,
    scrape=SCRAPE,
    model=naming.KSERVE_MODEL,
)
