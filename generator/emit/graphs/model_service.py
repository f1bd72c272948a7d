"""ModelService: a Ray service and what it mounts.

The plain chart `ray-service` makes the same objects of the same values; a test expands this graph and compares. It has
one worker group and mounts a bucket; more is for the plain chart (generator/rayclusters.py refuses it).
"""

from __future__ import annotations

from typing import Any

from generator import naming
from generator.emit.graphs.base import CONTAINER_SECURITY, NAME, NAMESPACE, Graph, condition, made
from generator.emit.graphs.model_service_schema import schema


def _graph() -> dict[str, Any]:
    return {"schema": schema(), "resources": _resources()}


def _resources() -> list[dict[str, Any]]:
    return [
        {"id": "account", "template": _service_account()},
        {
            "id": "volume",
            "readyWhen": ["${volume.status.phase == 'Bound' || volume.status.phase == 'Available'}"],
            "template": _volume(),
        },
        {"id": "claim", "readyWhen": ["${claim.status.phase == 'Bound'}"], "template": _claim()},
        {"id": "networkPolicy", "template": _network_policy()},
        {
            "id": "rayService",
            "readyWhen": ["${" + condition("rayService", "Ready") + "}"],
            "template": _ray_service(),
        },
        {
            "id": "disruptionBudget",
            "includeWhen": ["${schema.spec.workers.minAvailable > 0}"],
            "template": _disruption_budget(),
        },
        {"id": "route", "includeWhen": ["${schema.spec.ingress.host != ''}"], "template": _ingress()},
    ]


def _labels() -> dict[str, str]:
    return {**naming.labels("model-service", NAME), naming.SERVICE_LABEL: NAME}


def _object(api: str, kind: str, name: str, *, namespaced: bool = True) -> dict[str, Any]:
    return made(api, kind, name, _labels(), namespaced=namespaced)


def _service_account() -> dict[str, Any]:
    return {**_object("v1", "ServiceAccount", naming.service_account(NAME)), "automountServiceAccountToken": False}


def _volume() -> dict[str, Any]:
    name = f"{NAMESPACE}-{NAME}-models"
    spec = {
        "capacity": {"storage": "${schema.spec.volume.capacity}"},
        "accessModes": ["ReadOnlyMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
        "claimRef": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": NAMESPACE,
            "name": f"{NAME}-models",
        },
        "mountOptions": [
            "region ${schema.spec.volume.region}",
            "prefix ${schema.spec.volume.prefix}",
            "read-only",
            "allow-other",
            "uid=1000",
            "gid=1000",
            # Not `indefinite`: that a model is not there yet would be remembered too.
            "metadata-ttl 60",
        ],
        "csi": {
            "driver": "s3.csi.aws.com",
            "volumeHandle": naming.volume_handle(NAMESPACE, NAME),
            "volumeAttributes": {
                "bucketName": "${schema.spec.volume.bucket}",
                "authenticationSource": "${schema.spec.volume.credentials}",
            },
        },
    }
    return {**_object("v1", "PersistentVolume", name, namespaced=False), "spec": spec}


def _claim() -> dict[str, Any]:
    spec = {
        "accessModes": ["ReadOnlyMany"],
        "storageClassName": "",
        "volumeName": "${volume.metadata.name}",
        "resources": {"requests": {"storage": "${schema.spec.volume.capacity}"}},
    }
    return {**_object("v1", "PersistentVolumeClaim", f"{NAME}-models"), "spec": spec}


def _network_policy() -> dict[str, Any]:
    own = {"podSelector": {"matchLabels": {naming.SERVICE_LABEL: NAME}}}
    dns = [{"protocol": protocol, "port": "${schema.spec.dns.port}"} for protocol in ("UDP", "TCP")]
    spec = {
        "podSelector": own["podSelector"],
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"from": [own]},
            {"from": [_namespace("${schema.spec.operatorNamespace}")], "ports": [_tcp(8265), _tcp(8000)]},
            {"ports": [_tcp(8000)]},
            {
                "from": [{"namespaceSelector": {"matchLabels": "${schema.spec.metricsFrom}"}}],
                "ports": [_tcp(8080)],
            },
        ],
        "egress": [
            {"to": [own]},
            {"to": [_namespace("${schema.spec.dns.namespace}")], "ports": dns},
            # The Pod Identity agent of EKS; nobody answers there elsewhere.
            {"to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}], "ports": [_tcp(80)]},
            {
                "to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}}],
                "ports": "${schema.spec.egress}",
            },
        ],
    }
    return {**_object("networking.k8s.io/v1", "NetworkPolicy", naming.service_account(NAME)), "spec": spec}


def _tcp(port: int) -> dict[str, Any]:
    return {"protocol": "TCP", "port": port}


def _namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


POD_SECURITY: dict[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": "${schema.spec.?uid}",
    "runAsGroup": "${schema.spec.?uid}",
    "fsGroup": "${schema.spec.?uid}",
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}


def _ray_service() -> dict[str, Any]:
    small = {"cpu": "500m", "memory": "512Mi"}
    spec = {
        "upgradeStrategy": "${schema.spec.?upgradeStrategy}",
        "serveService": "${schema.spec.?serveService}",
        "serveConfigV2": "${schema.spec.serveConfigV2}",
        "rayClusterConfig": {
            "rayVersion": "${schema.spec.rayVersion}",
            "authOptions": "${schema.spec.authOptions}",
            "gcsFaultToleranceOptions": "${schema.spec.?gcsFaultToleranceOptions}",
            "enableInTreeAutoscaling": "${schema.spec.autoscaling}",
            "autoscalerOptions": {
                "idleTimeoutSeconds": "${schema.spec.autoscalerOptions.idleTimeoutSeconds}",
                "upscalingMode": "${schema.spec.autoscalerOptions.upscalingMode}",
                "resources": {"requests": small, "limits": small},
                "securityContext": CONTAINER_SECURITY,
            },
            "headGroupSpec": {
                "rayStartParams": {"num-cpus": "0"},
                "template": _pod(
                    "ray-head",
                    {"cpu": "${schema.spec.head.cpu}", "memory": "${schema.spec.head.memory}"},
                    [("gcs-server", 6379), ("dashboard", 8265), ("client", 10001), ("serve", 8000), ("metrics", 8080)],
                    labels=_labels(),
                    automountServiceAccountToken="${schema.spec.autoscaling}",
                ),
            },
            "workerGroupSpecs": [
                {
                    "groupName": "${schema.spec.workers.name}",
                    "replicas": "${schema.spec.workers.minReplicas}",
                    "minReplicas": "${schema.spec.workers.minReplicas}",
                    "maxReplicas": "${schema.spec.workers.maxReplicas}",
                    "rayStartParams": {},
                    "template": _pod(
                        "ray-worker",
                        "${schema.spec.workers.limits}",
                        [("serve", 8000), ("metrics", 8080)],
                        labels={**_labels(), naming.GROUP_LABEL: "${schema.spec.workers.name}"},
                        automountServiceAccountToken=False,
                        nodeSelector="${schema.spec.workers.nodeSelector}",
                        tolerations="${schema.spec.workers.tolerations}",
                        topologySpreadConstraints="${schema.spec.workers.topologySpreadConstraints}",
                    ),
                }
            ],
        },
    }
    return {**_object("ray.io/v1", "RayService", NAME), "spec": spec}


def _pod(
    name: str, limits: Any, ports: list[tuple[str, int]], *, labels: dict[str, str], **spec: Any
) -> dict[str, Any]:
    container = {
        "name": name,
        "image": "${schema.spec.rayImage}",
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "HOME", "value": "/tmp"},  # noqa: S108  the only writable folder
            {"name": "USER", "value": "ray"},
            {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"},
            {"name": "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", "value": "${string(schema.spec.shutdown.drainSeconds)}"},
        ],
        "ports": [{"name": port, "containerPort": number} for port, number in ports],
        "resources": {"requests": limits, "limits": limits},
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            {"name": "models", "mountPath": "${schema.spec.volume.mountPath}", "readOnly": True},
            {"name": "code", "mountPath": naming.CODE_MOUNT, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
    }
    claim = {"claimName": "${claim.metadata.name}", "readOnly": True}
    code = {"name": "${schema.spec.code.configMap}", "optional": "${schema.spec.code.configMap == 'none'}"}
    return {
        "metadata": {"labels": labels},
        "spec": {
            "priorityClassName": "${schema.spec.?priorityClassName}",
            "serviceAccountName": "${account.metadata.name}",
            "terminationGracePeriodSeconds": "${schema.spec.shutdown.graceSeconds}",
            **spec,
            "enableServiceLinks": False,
            "securityContext": POD_SECURITY,
            "containers": [container],
            "volumes": [
                {"name": "models", "persistentVolumeClaim": claim},
                {"name": "code", "configMap": code},
                {"name": "tmp", "emptyDir": {"sizeLimit": "10Gi"}},
            ],
        },
    }


def _disruption_budget() -> dict[str, Any]:
    own = {naming.SERVICE_LABEL: NAME, naming.GROUP_LABEL: "${schema.spec.workers.name}"}
    spec = {
        "minAvailable": "${schema.spec.workers.minAvailable}",
        "selector": {"matchLabels": own},
        # A worker without a replica is never Ready, and nobody misses it.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return {**_object("policy/v1", "PodDisruptionBudget", f"{NAME}.${{schema.spec.workers.name}}"), "spec": spec}


def _ingress() -> dict[str, Any]:
    # The Service that KubeRay makes: it follows the active cluster during an upgrade, and has no dashboard port.
    backend = {"service": {"name": "${rayService.metadata.name}-serve-svc", "port": {"name": "serve"}}}
    spec = {
        "ingressClassName": "${schema.spec.ingress.className}",
        "tls": "${schema.spec.ingress.tls}",
        "rules": [
            {
                "host": "${schema.spec.ingress.host}",
                "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
            }
        ],
    }
    route = _object("networking.k8s.io/v1", "Ingress", NAME)
    route["metadata"]["annotations"] = "${schema.spec.ingress.annotations}"
    return {**route, "spec": spec}


GRAPH = Graph(
    name="model-service",
    kind=naming.KRO_KIND,
    plural=naming.KRO_PLURAL,
    children=(
        ("", ("persistentvolumes", "persistentvolumeclaims", "serviceaccounts")),
        ("ray.io", ("rayservices",)),
        ("policy", ("poddisruptionbudgets",)),
        ("networking.k8s.io", ("networkpolicies", "ingresses")),
    ),
    spec=_graph,
)
