"""kro: the ResourceGraphDefinition of a Ray service, and the rights that its controller needs for it.

Written for kro v0.9.3: every spec field is required or has a default, readiness is that of the real objects,
cluster-scoped children carry no owner reference, literal strings hold no `${`.
The plain chart `ray-service` makes the same objects; a test expands this graph and compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from generator import naming
from generator.assets import Assets
from generator.plan import Plan
from generator.yamlio import dump

NAME = "${schema.metadata.name}"
NAMESPACE = "${schema.metadata.namespace}"

# Everything that the graph makes; the controller must hold these rights (rbac.mode aggregation).
CHILDREN = (
    ("", ("persistentvolumes", "persistentvolumeclaims", "serviceaccounts")),
    ("ray.io", ("rayservices",)),
    ("policy", ("poddisruptionbudgets",)),
    ("networking.k8s.io", ("networkpolicies", "ingresses")),
)
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


def emit(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """`kro/`: the graph and its ClusterRole, when a cluster serves by kro."""
    if any(cluster.services_by == "kro" for cluster in plan.clusters):
        yield "kro/model-service.yaml", dump(graph())
        yield "kro/cluster-role.yaml", dump(cluster_role())


def cluster_role() -> dict[str, Any]:
    own = [naming.KRO_PLURAL, f"{naming.KRO_PLURAL}/status", f"{naming.KRO_PLURAL}/finalizers"]
    rules = [{"apiGroups": [naming.KRO_GROUP], "resources": own, "verbs": VERBS}]
    rules += [{"apiGroups": [group], "resources": list(kinds), "verbs": VERBS} for group, kinds in CHILDREN]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {
            "name": "modelyard-kro-model-service",
            "labels": {**naming.labels("kro-rights", "model-service"), "rbac.kro.run/aggregate-to-controller": "true"},
        },
        "rules": rules,
    }


def graph() -> dict[str, Any]:
    return {
        "apiVersion": "kro.run/v1alpha1",
        "kind": "ResourceGraphDefinition",
        "metadata": {
            "name": "modelservice",
            "labels": dict(naming.labels("resource-graph", "model-service")),
            "annotations": {"argocd.argoproj.io/sync-options": "SkipDryRunOnMissingResource=true"},
        },
        "spec": {"schema": _schema(), "resources": _resources()},
    }


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
    quantity = 'pattern="^[0-9]+(m|Mi|Gi|Ti)?$"'
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
        "head": {"cpu": f'string | default="1" {quantity}', "memory": f'string | default="4Gi" {quantity}'},
        "workers": {
            "minReplicas": "integer | default=1 minimum=1 maximum=1000",
            "maxReplicas": "integer | default=1 minimum=1 maximum=1000",
            "limits": 'map[string]string | required=true description="Resources of one worker, quantities as text"',
            "nodeSelector": "map[string]string | default={}",
            "tolerations": "[]Toleration | default=[]",
        },
        "volume": {
            "bucket": 'string | required=true minLength=3 maxLength=63 pattern="^[a-z0-9][a-z0-9.-]+[a-z0-9]$"',
            "region": 'string | required=true pattern="^[a-z]{2}(-[a-z]+)+-[0-9]$"',
            "prefix": 'string | default="models/" pattern="/$"',
            "mountPath": f'string | default="{naming.MODELS_MOUNT}" pattern="^/"',
            "capacity": f'string | default="1Ti" {quantity}',
            "credentials": 'string | default="driver" enum="driver,pod"',
        },
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
        "ready": "${" + _condition("rayService", "Ready") + "}",
        "endpoints": "${rayService.status.numServeEndpoints}",
        "rayCluster": "${rayService.status.activeServiceStatus.rayClusterName}",
        "claim": "${claim.status.phase}",
    }


def _condition(resource: str, kind: str) -> str:
    return f"{resource}.status.conditions.exists(c, c.type == '{kind}' && c.status == 'True')"


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
            "readyWhen": ["${" + _condition("rayService", "Ready") + "}"],
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
    place = {"namespace": NAMESPACE} if namespaced else {}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, **place, "labels": _labels()}}


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


CONTAINER_SECURITY: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}
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
