"""ModelService: a Ray service and what it mounts.

The plain chart `ray-service` makes the same objects; a test expands this graph and compares.
"""

from __future__ import annotations

from typing import Any

from generator import naming
from generator.emit.graphs.base import CONTAINER_SECURITY, NAME, NAMESPACE, QUANTITY, Graph, condition, made


def _graph() -> dict[str, Any]:
    return {"schema": _schema(), "resources": _resources()}


def _schema() -> dict[str, Any]:
    return {
        "apiVersion": naming.KRO_VERSION,
        "kind": naming.KRO_KIND,
        "group": naming.KRO_GROUP,
        "scope": "Namespaced",
        "types": {
            "Toleration": {
                "key": 'string | required=true description="Key of the taint"',
                "operator": 'string | default="Exists" enum="Exists,Equal"',
            },
            "Workers": {
                "minReplicas": "integer | default=1 minimum=1 maximum=1000",
                "maxReplicas": "integer | default=1 minimum=1 maximum=1000",
                "limits": 'map[string]string | required=true description="Resources of one worker, quantities as text"',
                "nodeSelector": "map[string]string | default={}",
                "tolerations": "[]Toleration | default=[]",
            },
            "Volume": {
                "bucket": 'string | required=true minLength=3 maxLength=63 pattern="^[a-z0-9][a-z0-9.-]+[a-z0-9]$"',
                "region": 'string | required=true pattern="^[a-z]{2}(-[a-z]+)+-[0-9]$"',
                "prefix": 'string | default="models/" pattern="/$"',
                "mountPath": f'string | default="{naming.MODELS_MOUNT}" pattern="^/"',
                "capacity": f'string | default="1Ti" {QUANTITY}',
                "credentials": 'string | default="driver" enum="driver,pod"',
            },
            "IngressTLS": {"hosts": "[]string | required=true", "secretName": "string | required=true"},
        },
        "spec": _spec(),
        "status": _status(),
        "additionalPrinterColumns": [
            {"name": "Ready", "type": "boolean", "jsonPath": ".status.ready"},
            {"name": "Url", "type": "string", "jsonPath": ".status.url"},
            {"name": "State", "type": "string", "jsonPath": ".status.state"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
    }


def _spec() -> dict[str, Any]:
    return {
        "rayImage": 'string | required=true minLength=1 description="Image with Ray and all packages"',
        "rayVersion": 'string | required=true pattern="^[0-9]+[.][0-9]+[.][0-9]+$" description="Ray in the image"',
        "autoscaling": 'boolean | default=false description="Add workers under load"',
        "shutdown": {
            "drainSeconds": 'integer | default=50 minimum=1 maximum=3600 description="For answers in work"',
            "graceSeconds": 'integer | default=80 minimum=30 maximum=7200 description="Until pods are killed"',
        },
        "metricsFrom": 'map[string]string | default={} description="Labels of namespaces that may read metrics"',
        "serveConfigV2": 'string | required=true minLength=1 description="Serve configuration, YAML text"',
        "head": {"cpu": f'string | default="1" {QUANTITY}', "memory": f'string | default="4Gi" {QUANTITY}'},
        "workers": "Workers | required=true",
        "volume": "Volume | required=true",
        "code": {"configMap": 'string | default="none" description="ConfigMap with the working_dir zip, or none"'},
        "ingress": {
            "host": 'string | default="" description="Host name; no Ingress when empty"',
            "className": 'string | default="none"',
            "tls": "[]IngressTLS | default=[]",
            "annotations": "map[string]string | default={}",
        },
    }


def _status() -> dict[str, Any]:
    return {
        "url": "http://${rayService.metadata.name}-serve-svc.${rayService.metadata.namespace}.svc:8000",
        "ready": "${" + condition("rayService", "Ready") + "}",
        "endpoints": "${rayService.status.numServeEndpoints}",
        "rayCluster": "${rayService.status.activeServiceStatus.rayClusterName}",
        "claim": "${claim.status.phase}",
    }


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
            "includeWhen": ["${schema.spec.workers.minReplicas > 1}"],
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
    dns = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    spec = {
        "podSelector": own["podSelector"],
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"from": [own]},
            {"from": [_namespace("kuberay-system")], "ports": [_tcp(8265), _tcp(8000)]},
            {"ports": [_tcp(8000)]},
            {
                "from": [{"namespaceSelector": {"matchLabels": "${schema.spec.metricsFrom}"}}],
                "ports": [_tcp(8080)],
            },
        ],
        "egress": [
            {"to": [own]},
            {"to": [_namespace("kube-system")], "ports": dns},
            {"to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}], "ports": [_tcp(80)]},
            {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}}], "ports": [_tcp(443)]},
        ],
    }
    return {**_object("networking.k8s.io/v1", "NetworkPolicy", naming.service_account(NAME)), "spec": spec}


def _tcp(port: int) -> dict[str, Any]:
    return {"protocol": "TCP", "port": port}


def _namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


POD_SECURITY: dict[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "runAsGroup": 1000,
    "fsGroup": 1000,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}


def _ray_service() -> dict[str, Any]:
    small = {"cpu": "500m", "memory": "512Mi"}
    spec = {
        "serveConfigV2": "${schema.spec.serveConfigV2}",
        "rayClusterConfig": {
            "rayVersion": "${schema.spec.rayVersion}",
            "authOptions": {"mode": "token"},
            "enableInTreeAutoscaling": "${schema.spec.autoscaling}",
            "autoscalerOptions": {
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
                    "groupName": "workers",
                    "replicas": "${schema.spec.workers.minReplicas}",
                    "minReplicas": "${schema.spec.workers.minReplicas}",
                    "maxReplicas": "${schema.spec.workers.maxReplicas}",
                    "rayStartParams": {},
                    "template": _pod(
                        "ray-worker",
                        "${schema.spec.workers.limits}",
                        [("serve", 8000), ("metrics", 8080)],
                        labels={**_labels(), "modelyard.dev/group": "workers"},
                        automountServiceAccountToken=False,
                        nodeSelector="${schema.spec.workers.nodeSelector}",
                        tolerations="${schema.spec.workers.tolerations}",
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
    own = {naming.SERVICE_LABEL: NAME, "modelyard.dev/group": "workers"}
    # One pod may always go, or a node could never be drained.
    spec = {"minAvailable": "${schema.spec.workers.minReplicas - 1}", "selector": {"matchLabels": own}}
    return {**_object("policy/v1", "PodDisruptionBudget", f"{NAME}-workers"), "spec": spec}


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
