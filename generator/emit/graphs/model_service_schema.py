"""The schema of ModelService: its types, its fields and its status."""

from __future__ import annotations

from typing import Any

from generator import naming
from generator.emit.graphs.base import QUANTITY, condition


def schema() -> dict[str, Any]:
    return {
        "apiVersion": naming.KRO_VERSION,
        "kind": naming.KRO_KIND,
        "group": naming.KRO_GROUP,
        "scope": "Namespaced",
        "types": _types(),
        "spec": _spec(),
        "status": _status(),
        "additionalPrinterColumns": [
            {"name": "Ready", "type": "boolean", "jsonPath": ".status.ready"},
            {"name": "Url", "type": "string", "jsonPath": ".status.url"},
            {"name": "State", "type": "string", "jsonPath": ".status.state"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
    }


# Nobody but `modelyard render` writes instances: what KubeRay and Kubernetes take as it is has their names here, and
# what an instance may leave out is left out of the objects (`.?`).
def _types() -> dict[str, Any]:
    return {
        "Toleration": {
            "key": 'string | required=true description="Key of the taint"',
            "operator": 'string | default="Exists" enum="Exists,Equal"',
            "value": "string",
            "effect": 'string | enum="NoSchedule,PreferNoSchedule,NoExecute"',
        },
        "Selector": {"matchLabels": "map[string]string | required=true"},
        "Spread": {
            "maxSkew": "integer | required=true minimum=1",
            "topologyKey": "string | required=true",
            "whenUnsatisfiable": 'string | required=true enum="ScheduleAnyway"',
            "labelSelector": "Selector | required=true",
        },
        "Workers": {
            "name": 'string | default="workers" maxLength=20 pattern="^[a-z]([-a-z0-9]*[a-z0-9])?$"',
            "minReplicas": "integer | default=1 minimum=0 maximum=1000",
            "maxReplicas": "integer | default=1 minimum=1 maximum=1000",
            "minAvailable": "integer | default=0 minimum=0 maximum=1000",
            "limits": 'map[string]string | required=true description="Resources of one worker, quantities as text"',
            "nodeSelector": "map[string]string | default={}",
            "tolerations": "[]Toleration | default=[]",
            "topologySpreadConstraints": "[]Spread | default=[]",
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
        "Port": {"protocol": 'string | required=true enum="TCP"', "port": "integer | required=true maximum=65535"},
        # Step by step, requests go to a Gateway, and not where `status.url` says.
        "Upgrade": {"type": 'string | required=true enum="NewCluster,None"'},
        **_redis_types(),
        **_serve_service_types(),
    }


def _redis_types() -> dict[str, Any]:
    return {
        "SecretKey": {"name": "string | required=true minLength=1", "key": "string | required=true minLength=1"},
        "SecretValue": {"secretKeyRef": "SecretKey | required=true"},
        "Username": {"value": "string | required=true minLength=1"},
        "Password": {"valueFrom": "SecretValue | required=true"},
        "Redis": {
            "redisAddress": "string | required=true minLength=1",
            "redisUsername": "Username",
            "redisPassword": "Password",
        },
    }


def _serve_service_types() -> dict[str, Any]:
    return {
        "ServePort": {
            "name": 'string | required=true enum="serve"',
            "port": "integer | required=true maximum=65535",
            "targetPort": 'string | required=true enum="serve"',
            "protocol": 'string | required=true enum="TCP"',
        },
        "ServeServiceSpec": {
            "type": 'string | required=true enum="LoadBalancer"',
            "externalTrafficPolicy": 'string | required=true enum="Local"',
            "loadBalancerSourceRanges": "[]string",
            "ports": "[]ServePort | required=true",
        },
        "Annotations": {"annotations": "map[string]string | required=true"},
        "ServeService": {"metadata": "Annotations", "spec": "ServeServiceSpec | required=true"},
        "AuthOptions": {"mode": 'string | default="token" enum="token"', "secretName": "string"},
    }


def _spec() -> dict[str, Any]:
    return {
        "rayImage": 'string | required=true minLength=1 description="Image with Ray and all packages"',
        "rayVersion": 'string | required=true pattern="^[0-9]+[.][0-9]+[.][0-9]+$" description="Ray in the image"',
        "autoscaling": 'boolean | default=false description="Add workers under load"',
        "autoscalerOptions": {
            "idleTimeoutSeconds": "integer | default=60 minimum=0 maximum=86400",
            "upscalingMode": 'string | default="Default" enum="Default,Aggressive,Conservative"',
        },
        "authOptions": "AuthOptions | default={}",
        "shutdown": {
            "drainSeconds": 'integer | default=50 minimum=1 maximum=3600 description="For answers in work"',
            "graceSeconds": 'integer | default=80 minimum=30 maximum=7200 description="Until pods are killed"',
        },
        "metricsFrom": 'map[string]string | default={} description="Labels of namespaces that may read metrics"',
        "dns": {"namespace": 'string | default="kube-system"', "port": "integer | default=53 minimum=1 maximum=65535"},
        "operatorNamespace": 'string | default="kuberay-system" description="Where the KubeRay operator runs"',
        "egress": '[]Port | default=[{"protocol": "TCP", "port": 443}] description="Where pods connect to"',
        "uid": 'integer | minimum=1 description="User and group of pods; the platform\'s when left out"',
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
        "upgradeStrategy": 'Upgrade | description="What a change does; KubeRay\'s default when left out"',
        "gcsFaultToleranceOptions": 'Redis | description="Keeps the control store; nothing does when left out"',
        "priorityClassName": 'string | minLength=1 description="Of all pods"',
        "serveService": 'ServeService | description="Opens the service outside; inside only when left out"',
    }


def _status() -> dict[str, Any]:
    return {
        "url": "http://${rayService.metadata.name}-serve-svc.${rayService.metadata.namespace}.svc:8000",
        "ready": "${" + condition("rayService", "Ready") + "}",
        "endpoints": "${rayService.status.numServeEndpoints}",
        "rayCluster": "${rayService.status.activeServiceStatus.rayClusterName}",
        "claim": "${claim.status.phase}",
    }
