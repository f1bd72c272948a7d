"""One object of each kind that we emit, with most of the fields that we use; all of them are good."""

from __future__ import annotations

import json
from typing import Any

IMAGE = "registry.example.com/ml/ray:2.58.0@sha256:" + "a" * 64
LABELS = {"app.kubernetes.io/name": "ray-service", "modelyard.dev/service": "chat"}
CHAT = {"matchLabels": {"modelyard.dev/service": "chat"}}
SMALL = {"cpu": "500m", "memory": "512Mi"}


def obj(api: str, kind: str, name: str, *, namespace: str | None = "ray-system", **rest: Any) -> dict[str, Any]:
    metadata = {"name": name, "labels": LABELS} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}


CONTAINER: dict[str, Any] = {
    "name": "ray-head",
    "image": IMAGE,
    "imagePullPolicy": "IfNotPresent",
    "command": ["python", "-m", "prestage"],
    "args": ["--model", "tinyllama"],
    "env": [
        {"name": "HOME", "value": "/tmp"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf-token", "key": "token"}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "REGION", "valueFrom": {"configMapKeyRef": {"name": "place", "key": "region"}}},
    ],
    "ports": [{"name": "serve", "containerPort": 8000}],
    "resources": {"requests": SMALL, "limits": {**SMALL, "nvidia.com/gpu": "1", "ephemeral-storage": "10Gi"}},
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    },
    "volumeMounts": [{"name": "models", "mountPath": "/mnt/models", "readOnly": True, "subPath": "models"}],
    "readinessProbe": {"httpGet": {"path": "/-/healthz", "port": "serve"}, "periodSeconds": 10},
    "livenessProbe": {"tcpSocket": {"port": 8000}},
    "startupProbe": {"exec": {"command": ["true"]}, "failureThreshold": 60},
    "lifecycle": {"preStop": {"exec": {"command": ["ray", "stop"]}}},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "FallbackToLogsOnError",
}
POD: dict[str, Any] = {
    "serviceAccountName": "prestage",
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
    "restartPolicy": "Never",
    "priorityClassName": "batch",
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["a10g"]}]}]
            }
        },
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 1,
                    "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": CHAT},
                }
            ]
        },
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": CHAT}
    ],
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 100,
        "fsGroup": 100,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "initContainers": [{"name": "wait", "image": IMAGE, "restartPolicy": "Always"}],
    "containers": [CONTAINER],
    "volumes": [
        {"name": "models", "persistentVolumeClaim": {"claimName": "chat-models", "readOnly": True}},
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
        {"name": "code", "configMap": {"name": "code", "items": [{"key": "app.zip", "path": "app.zip"}]}},
        {"name": "token", "secret": {"secretName": "hf-token", "defaultMode": 256}},
        {"name": "identity", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
        {"name": "vault", "csi": {"driver": "secrets-store.csi.k8s.io", "readOnly": True, "volumeAttributes": {}}},
        {"name": "weights", "image": {"reference": IMAGE, "pullPolicy": "IfNotPresent"}},
    ],
    "terminationGracePeriodSeconds": 60,
}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": POD}
JOB_SPEC: dict[str, Any] = {
    "backoffLimit": 6,
    "activeDeadlineSeconds": 14400,
    "completions": 1,
    "parallelism": 1,
    "podReplacementPolicy": "Failed",
    "podFailurePolicy": {
        "rules": [
            {
                "action": "FailJob",
                "onExitCodes": {"containerName": "ray-head", "operator": "In", "values": [20, 21]},
            },
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        ]
    },
    "template": TEMPLATE,
}
SERVE: dict[str, Any] = {
    "proxy_location": "EveryNode",
    "http_options": {"host": "0.0.0.0", "port": 8000},
    "applications": [
        {
            "name": "tinyllama",
            "route_prefix": "/generate",
            "import_path": "text_generation.app:build",
            "runtime_env": {"working_dir": "https://git.example.com/code-abc.zip", "env_vars": {"HF_HUB_OFFLINE": "1"}},
            "args": {"model": "/mnt/models/tinyllama"},
            "deployments": [
                {
                    "name": "Generator",
                    "max_ongoing_requests": 8,
                    "autoscaling_config": {"min_replicas": 1, "max_replicas": 3, "target_ongoing_requests": 2},
                    "ray_actor_options": {"num_cpus": 2, "num_gpus": 0.5},
                    "user_config": {"max_batch_size": 8},
                }
            ],
        }
    ],
}
CLUSTER: dict[str, Any] = {
    "rayVersion": "2.58.0",
    "enableInTreeAutoscaling": True,
    "autoscalerOptions": {
        "version": "v2",
        "idleTimeoutSeconds": 60,
        "upscalingMode": "Conservative",
        "resources": {"requests": SMALL, "limits": SMALL},
    },
    "authOptions": {"mode": "token", "secretName": "ray-token"},
    "gcsFaultToleranceOptions": {
        "redisAddress": "redis:6379",
        "redisUsername": {"value": "default"},
        "redisPassword": {"valueFrom": {"secretKeyRef": {"name": "redis", "key": "password"}}},
    },
    "headGroupSpec": {"rayStartParams": {"num-cpus": "0"}, "serviceType": "ClusterIP", "template": TEMPLATE},
    "workerGroupSpecs": [
        {
            "groupName": "workers",
            "replicas": 0,
            "minReplicas": 0,
            "maxReplicas": 3,
            "labels": {"modelyard.dev/group": "workers"},
            "rayStartParams": {},
            "template": TEMPLATE,
        }
    ],
}
SERVICE_PORTS = [{"name": "serve", "port": 80, "targetPort": "serve", "protocol": "TCP"}]
RAY_SERVICE: dict[str, Any] = {
    "serveConfigV2": json.dumps(SERVE),
    "rayClusterConfig": CLUSTER,
    "serveService": {"metadata": {"labels": LABELS}, "spec": {"type": "LoadBalancer", "ports": SERVICE_PORTS}},
    "excludeHeadPodFromServeSvc": True,
    "upgradeStrategy": {
        "type": "NewClusterWithIncrementalUpgrade",
        "clusterUpgradeOptions": {
            "gatewayClassName": "istio",
            "stepSizePercent": 10,
            "intervalSeconds": 60,
            "maxSurgePercent": 50,
        },
    },
    "rayClusterDeletionDelaySeconds": 60,
}
APPLICATION: dict[str, Any] = {
    "project": "models",
    "destination": {"name": "{{ .name }}", "namespace": "ray-system"},
    "sources": [
        {
            "repoURL": "https://git.example.com/platform/gitops.git",
            "targetRevision": "main",
            "path": "rendered/charts/ray-service",
            "helm": {
                "releaseName": "chat",
                "valueFiles": ["$values/rendered/clusters/{{ .name }}/services/chat.yaml"],
                "valuesObject": {"cluster": {"region": "{{ .metadata.annotations.aws_region }}"}},
                "parameters": [{"name": "cluster.bucket", "value": "x", "forceString": True}],
            },
        },
        {"repoURL": "https://git.example.com/platform/gitops.git", "targetRevision": "main", "ref": "values"},
        {
            "repoURL": "https://git.example.com/platform/gitops.git",
            "targetRevision": "main",
            "path": "kro",
            "directory": {"include": "*.yaml", "exclude": "test-*", "recurse": True},
        },
    ],
    "syncPolicy": {
        "automated": {"prune": True, "selfHeal": True},
        "syncOptions": ["CreateNamespace=true", "ServerSideApply=true"],
        "managedNamespaceMetadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        "retry": {"limit": 5, "backoff": {"duration": "30s", "factor": 2, "maxDuration": "10m"}},
    },
    "ignoreDifferences": [{"group": "ray.io", "kind": "RayService", "jsonPointers": ["/spec/suspend"]}],
    "revisionHistoryLimit": 3,
}
GIT = {"repoURL": "https://git.example.com/g.git", "revision": "main", "files": [{"path": "clusters/*/prestage.yaml"}]}
APPLICATION_SET: dict[str, Any] = {
    "goTemplate": True,
    "goTemplateOptions": ["missingkey=error"],
    "generators": [
        {"clusters": {"selector": {"matchLabels": {"enable_ray_operator": "true"}}, "values": {"a": "{{ .name }}"}}},
        {"matrix": {"generators": [{"git": GIT}, {"list": {"elements": [{"model": "tinyllama"}]}}]}},
    ],
    "template": {
        "metadata": {"name": "chat-{{ .nameNormalized }}", "labels": {"cluster": "{{ .name }}"}},
        "spec": APPLICATION,
    },
    "syncPolicy": {"applicationsSync": "sync", "preserveResourcesOnDeletion": True},
}
PROJECT: dict[str, Any] = {
    "description": "Models",
    "sourceRepos": ["https://git.example.com/platform/gitops.git"],
    "destinations": [{"name": "*", "namespace": "ray-system"}],
    "clusterResourceWhitelist": [{"group": "", "kind": "PersistentVolume"}],
    "namespaceResourceWhitelist": [{"group": "ray.io", "kind": "RayService"}],
    "orphanedResources": {"warn": True},
}
VOLUME: dict[str, Any] = {
    "capacity": {"storage": "1Ti"},
    "accessModes": ["ReadOnlyMany"],
    "persistentVolumeReclaimPolicy": "Retain",
    "storageClassName": "",
    "volumeMode": "Filesystem",
    "claimRef": {"namespace": "ray-system", "name": "chat-models"},
    "mountOptions": ["region eu-west-1"],
    "csi": {"driver": "s3.csi.aws.com", "volumeHandle": "chat", "volumeAttributes": {"bucketName": "models"}},
}
CLAIM: dict[str, Any] = {
    "accessModes": ["ReadOnlyMany"],
    "storageClassName": "",
    "volumeName": "chat-models",
    "resources": {"requests": {"storage": "1Ti"}},
}
POLICY: dict[str, Any] = {
    "podSelector": CHAT,
    "policyTypes": ["Ingress", "Egress"],
    "ingress": [{"from": [{"namespaceSelector": {}}], "ports": [{"protocol": "TCP", "port": 8000}]}],
    "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}}]}],
}
INGRESS: dict[str, Any] = {
    "ingressClassName": "nginx",
    "tls": [{"hosts": ["chat.example.com"], "secretName": "chat-tls"}],
    "rules": [
        {
            "host": "chat.example.com",
            "http": {
                "paths": [
                    {
                        "path": "/",
                        "pathType": "Prefix",
                        "backend": {"service": {"name": "chat-serve-svc", "port": {"name": "serve"}}},
                    }
                ]
            },
        }
    ],
}
GRAPH: dict[str, Any] = {
    "schema": {
        "apiVersion": "v1alpha1",
        "kind": "ModelService",
        "group": "modelyard.dev",
        "scope": "Namespaced",
        "spec": {"replicas": "integer | default=1", "image": "string | required=true"},
        "status": {"url": "http://${service.metadata.name}"},
        "additionalPrinterColumns": [{"name": "Url", "type": "string", "jsonPath": ".status.url"}],
    },
    "resources": [
        {"id": "place", "externalRef": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "place"}}},
        {
            "id": "service",
            "readyWhen": ["${service.spec.clusterIP != ''}"],
            "includeWhen": ["${schema.spec.replicas > 0}"],
            "template": obj(
                "v1",
                "Service",
                "${schema.metadata.name}",
                namespace="${schema.metadata.namespace}",
                spec={"selector": LABELS, "ports": [{"name": "serve", "port": "${schema.spec.replicas}"}]},
            ),
        },
        {
            "id": "budget",
            "template": obj(
                "policy/v1",
                "PodDisruptionBudget",
                "${schema.metadata.name}-workers",
                spec={"selector": "${schema.spec.selector}", "minAvailable": "${schema.spec.replicas - 1}"},
            ),
        },
    ],
}
RBAC = "rbac.authorization.k8s.io"
RULES = [{"apiGroups": ["", "ray.io"], "resources": ["pods", "rayservices/status"], "verbs": ["get", "list"]}]
SUBJECTS = [{"kind": "ServiceAccount", "name": "ray", "namespace": "ray-system"}]
SCAFFOLD: dict[str, Any] = {
    "type": "service",
    "owner": "group:default/platform",
    "parameters": [
        {
            "title": "Model",
            "required": ["model"],
            "properties": {"model": {"title": "Model", "type": "string", "enum": ["tinyllama"], "enumNames": ["Tiny"]}},
        }
    ],
    "steps": [
        {"id": "fetch", "name": "Fetch", "action": "fetch:template", "input": {"url": "./skeleton"}},
        {"id": "publish", "name": "Publish", "action": "publish:github:pull-request", "if": "${{ parameters.model }}"},
    ],
    "output": {"links": [{"title": "Pull request", "url": "${{ steps.publish.output.remoteUrl }}"}]},
}

WORKFLOW_CONTAINER: dict[str, Any] = {
    "name": "main",
    "image": IMAGE,
    "imagePullPolicy": "IfNotPresent",
    "command": ["python", "-m", "generator.prestage"],
    "args": ["/etc/modelyard/prestage/plan.json", "--outputs", "/tmp/outputs"],
    "env": [{"name": "AWS_REGION", "value": "eu-west-1"}],
    "resources": {"requests": SMALL, "limits": SMALL},
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    },
    "volumeMounts": [{"name": "plan", "mountPath": "/etc/modelyard/prestage", "readOnly": True}],
    "terminationMessagePolicy": "FallbackToLogsOnError",
}
WORKFLOW_SPEC: dict[str, Any] = {
    "entrypoint": "main",
    "onExit": "ended",
    "serviceAccountName": "modelyard-tinyllama",
    "automountServiceAccountToken": True,
    "activeDeadlineSeconds": 14400,
    "synchronization": {
        "mutexes": [{"name": "models/tinyllama/fe8a4ea1ffed"}],
        "semaphores": [{"configMapKeyRef": {"name": "staging-limits", "key": "parallel"}}],
    },
    "podGC": {"strategy": "OnWorkflowSuccess", "deleteDelayDuration": "24h"},
    "podMetadata": {"labels": LABELS},
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
    "volumes": [{"name": "plan", "configMap": {"name": "plan"}}, {"name": "tmp", "emptyDir": {"sizeLimit": "128Mi"}}],
    "templates": [
        {
            "name": "main",
            "steps": [
                [{"name": "stage", "template": "stage"}],
                [
                    {
                        "name": "load-test",
                        "template": "load-test",
                        "when": "true",
                        "arguments": {
                            "parameters": [{"name": "path", "value": "{{steps.stage.outputs.parameters.path}}"}]
                        },
                    }
                ],
            ],
            "outputs": {
                "parameters": [{"name": "path", "valueFrom": {"parameter": "{{steps.stage.outputs.parameters.path}}"}}]
            },
        },
        {
            "name": "stage",
            "metadata": {"labels": LABELS},
            "container": WORKFLOW_CONTAINER,
            "retryStrategy": {
                "limit": 5,
                "retryPolicy": "Always",
                "expression": "asInt(lastRetry.exitCode) in [75, 143]",
                "backoff": {"duration": "30s", "factor": "2", "cap": "5m", "maxDuration": "10m"},
            },
            "activeDeadlineSeconds": 3600,
            "outputs": {"parameters": [{"name": "path", "valueFrom": {"path": "/tmp/outputs/path"}}]},
            "volumes": [{"name": "scratch", "emptyDir": {}}],
        },
        {"name": "load-test", "inputs": {"parameters": [{"name": "path"}]}, "container": WORKFLOW_CONTAINER},
        {"name": "ended", "container": WORKFLOW_CONTAINER},
    ],
}
CRON_WORKFLOW: dict[str, Any] = {
    "schedules": ["0 3 * * 1-5", "30 */2 1,15 * ?"],
    "timezone": "Europe/Berlin",
    "concurrencyPolicy": "Forbid",
    "startingDeadlineSeconds": 3600,
    "successfulJobsHistoryLimit": 3,
    "failedJobsHistoryLimit": 1,
    "suspend": False,
    "workflowMetadata": {"labels": LABELS},
    "workflowSpec": WORKFLOW_SPEC,
}
IAM, EKS = "iam.services.k8s.aws/v1alpha1", "eks.services.k8s.aws/v1alpha1"
TAGS = [{"key": "modelyard.dev/managed-by", "value": "kro"}]
DOCUMENT = '{"Version":"2012-10-17","Statement":[]}'
_REFERENCE = {"from": {"name": "tinyllama-writer"}}
_IAM_POLICY = {
    "name": "peeks-hub-tinyllama",
    "policyDocument": DOCUMENT,
    "description": "x",
    "path": "/m/",
    "tags": TAGS,
}
_IAM_ROLE = {
    "name": "peeks-hub-tinyllama",
    "assumeRolePolicyDocument": DOCUMENT,
    "policyRefs": [_REFERENCE],
    "description": "Writes tinyllama.",
    "maxSessionDuration": 43200,
    "path": "/modelyard/",
    "tags": TAGS,
}
_ASSOCIATION = {
    "clusterName": "peeks_hub-1",
    "namespace": "ray-system",
    "serviceAccount": "modelyard-tinyllama",
    "roleRef": _REFERENCE,
    "tags": {"modelyard.dev/managed-by": "kro"},
}


def entity(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    api = "scaffolder.backstage.io/v1beta3" if kind == "Template" else "backstage.io/v1alpha1"
    metadata = {"name": "chat", "title": "Chat", "description": "Chat", "tags": ["ray-serve"]}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


_OWNED = {"type": "service", "owner": "group:default/platform", "system": "models"}
_SCHEDULED = {
    "schedule": "0 3 * * mon",
    "timeZone": "Etc/UTC",
    "concurrencyPolicy": "Forbid",
    "jobTemplate": {"metadata": {"labels": LABELS}, "spec": JOB_SPEC},
}
_ROLE_REF = {"apiGroup": RBAC, "kind": "Role", "name": "ray"}
_CLUSTER_ROLE_REF = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "ray"}

_MONITOR = {
    "selector": {"matchExpressions": [{"key": "modelyard.dev/service", "operator": "Exists"}]},
    "podTargetLabels": ["modelyard.dev/service"],
    "podMetricsEndpoints": [
        {
            "port": "metrics",
            "path": "/metrics",
            "interval": "15s",
            "metricRelabelings": [{"action": "labeldrop", "regex": "otel_.*"}],
        }
    ],
}
_SERVICE_MONITOR = {
    "selector": {"matchLabels": {"app.kubernetes.io/name": "prometheus-pushgateway"}},
    "namespaceSelector": {"matchNames": ["monitoring"]},
    "endpoints": [{"port": "http", "path": "/metrics", "interval": "30s", "honorLabels": True}],
}
_ALERT = {
    "alert": "ServiceDown",
    "expr": "up == 0",
    "for": "10m",
    "labels": {"severity": "critical"},
    "annotations": {"summary": "It is down.", "description": "See its log."},
}

_NODE_POOL = {
    "template": {
        "metadata": {"labels": {"modelyard.dev/accelerator": "nvidia-l4"}},
        "spec": {
            "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"},
            "requirements": [{"key": "karpenter.k8s.aws/instance-family", "operator": "In", "values": ["g6", "gr6"]}],
            "taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}],
            "expireAfter": "720h",
            "terminationGracePeriod": "2h",
        },
    },
    "limits": {"nvidia.com/gpu": "8"},
    "disruption": {
        "consolidationPolicy": "WhenEmpty",
        "consolidateAfter": "10m",
        "budgets": [{"nodes": "1", "reasons": ["Drifted"]}],
    },
}

_UUID = "6fd1b7c2-6f5e-4d3c-9a4e-2b7f0c1d8e9a"
_KEY_VAULT: dict[str, Any] = {
    "provider": "azure",
    "parameters": {
        "keyvaultName": "kv-models",
        "tenantId": _UUID,
        "clientID": _UUID,
        "usePodIdentity": "false",
        "useVMManagedIdentity": "false",
        "objects": "array:\n- |-\n  objectName: redis-password\n  objectType: secret",
    },
    "secretObjects": [
        {"secretName": "redis", "type": "Opaque", "data": [{"objectName": "redis-password", "key": "password"}]}
    ],
}

_RUNTIME: dict[str, Any] = {
    "annotations": {"prometheus.kserve.io/port": "8080"},
    "multiModel": False,
    "protocolVersions": ["v1"],
    "supportedModelFormats": [{"name": "modelyard", "autoSelect": False}],
    "containers": [{**CONTAINER, "name": "kserve-container"}],
    "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "10Gi"}}],
}
_PREDICTOR: dict[str, Any] = {
    "minReplicas": 1,
    "maxReplicas": 3,
    "deploymentStrategy": {"type": "Recreate"},
    "labels": {"claim.modelyard.dev/model-tinyllama-fe8a4ea1ffed": ""},
    "serviceAccountName": "chat-serve",
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
    "terminationGracePeriodSeconds": 60,
    "priorityClassName": "serving",
    **{key: POD[key] for key in ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints")},
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "model": {
        "modelFormat": {"name": "modelyard"},
        "runtime": "chat",
        "storageUri": "pvc://model-tinyllama-fe8a4ea1ffed/models/tinyllama/fe8a4ea1ffed",
        "resources": {"requests": SMALL, "limits": SMALL},
    },
    "initContainers": POD["initContainers"],
    "volumes": [POD["volumes"][0]],
}
_INFERENCE = obj("serving.kserve.io/v1beta1", "InferenceService", "chat", spec={"predictor": _PREDICTOR})
_INFERENCE["metadata"] |= {
    "labels": {**LABELS, "networking.kserve.io/visibility": "cluster-local"},
    "annotations": {"serving.kserve.io/deploymentMode": "Standard", "serving.kserve.io/autoscalerClass": "hpa"},
}
GOOD: tuple[dict[str, Any], ...] = (
    obj("v1", "Namespace", "ray-system", namespace=None),
    obj("v1", "ServiceAccount", "chat-ray", automountServiceAccountToken=False),
    obj("v1", "ConfigMap", "code", immutable=True, data={"app.py": "x"}, binaryData={"app.zip": "UEsDBA=="}),
    obj("v1", "PersistentVolume", "ray-system-chat-models", namespace=None, spec=VOLUME),
    obj("v1", "PersistentVolumeClaim", "chat-models", spec=CLAIM),
    obj("v1", "Service", "chat", spec={"type": "ClusterIP", "selector": LABELS, "ports": SERVICE_PORTS}),
    obj("v1", "Pod", "probe", spec=POD),
    obj("batch/v1", "Job", "prestage-tinyllama-0123456789", spec=JOB_SPEC),
    obj("batch/v1", "CronJob", "refresh", spec=_SCHEDULED),
    obj("networking.k8s.io/v1", "NetworkPolicy", "chat-ray", spec=POLICY),
    obj("policy/v1", "PodDisruptionBudget", "chat", spec={"selector": CHAT, "minAvailable": "50%"}),
    obj("monitoring.coreos.com/v1", "PodMonitor", "services", spec=_MONITOR),
    obj("monitoring.coreos.com/v1", "ServiceMonitor", "pushgateway", spec=_SERVICE_MONITOR),
    obj("monitoring.coreos.com/v1", "PrometheusRule", "services", spec={"groups": [{"name": "a", "rules": [_ALERT]}]}),
    obj("networking.k8s.io/v1", "Ingress", "chat", spec=INGRESS),
    obj(f"{RBAC}/v1", "Role", "ray", rules=RULES),
    obj(f"{RBAC}/v1", "RoleBinding", "ray", roleRef=_ROLE_REF, subjects=SUBJECTS),
    obj(f"{RBAC}/v1", "ClusterRole", "ray", namespace=None, rules=RULES),
    obj(f"{RBAC}/v1", "ClusterRoleBinding", "ray", namespace=None, roleRef=_CLUSTER_ROLE_REF, subjects=SUBJECTS),
    obj(
        "storage.k8s.io/v1",
        "StorageClass",
        "gp3-retain",
        namespace=None,
        provisioner="ebs.csi.aws.com",
        parameters={"type": "gp3"},
        reclaimPolicy="Retain",
        volumeBindingMode="WaitForFirstConsumer",
    ),
    obj("ray.io/v1", "RayService", "chat", spec=RAY_SERVICE),
    obj("ray.io/v1", "RayCluster", "dev", spec=CLUSTER),
    obj("kro.run/v1alpha1", "ResourceGraphDefinition", "modelservice", namespace=None, spec=GRAPH),
    obj("argoproj.io/v1alpha1", "Application", "root", namespace="argocd", spec=APPLICATION),
    obj("argoproj.io/v1alpha1", "ApplicationSet", "chat", namespace="argocd", spec=APPLICATION_SET),
    obj("argoproj.io/v1alpha1", "AppProject", "models", namespace="argocd", spec=PROJECT),
    obj("argoproj.io/v1alpha1", "Workflow", "stage-tinyllama-0123456789", spec=WORKFLOW_SPEC),
    obj("argoproj.io/v1alpha1", "CronWorkflow", "refresh-tinyllama", spec=CRON_WORKFLOW),
    obj(IAM, "Policy", "tinyllama-writer", spec=_IAM_POLICY),
    obj(IAM, "Role", "tinyllama-writer", spec=_IAM_ROLE),
    obj(EKS, "PodIdentityAssociation", "tinyllama-writer", spec=_ASSOCIATION),
    obj("karpenter.sh/v1", "NodePool", "modelyard-nvidia-l4", namespace=None, spec=_NODE_POOL),
    obj("secrets-store.csi.x-k8s.io/v1", "SecretProviderClass", "chat-key-vault", spec=_KEY_VAULT),
    obj("serving.kserve.io/v1alpha1", "ServingRuntime", "chat", spec=_RUNTIME),
    _INFERENCE,
    entity("Template", SCAFFOLD),
    entity("Component", {**_OWNED, "lifecycle": "production", "dependsOn": ["resource:default/tinyllama"]}),
    entity("Resource", _OWNED),
    entity("System", {"owner": "group:default/platform"}),
    entity("Location", {"targets": ["./template.yaml"]}),
)
