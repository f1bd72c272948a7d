"""What is certain of Kubernetes' own kinds without their schemas: metadata, and the fields that people get wrong.

Everything else in them is open, so that a sound graph of anybody is never refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

ANYTHING: Schema = {"x-kubernetes-preserve-unknown-fields": True}
TEXT: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "array", "items": TEXT}
TEXT_MAP: Schema = {"type": "object", "additionalProperties": TEXT}
TIME: Schema = {"type": "string", "format": "date-time"}

# meta/v1 ObjectMeta, whole.
OBJECT_META: Schema = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "generateName": TEXT,
        "namespace": TEXT,
        "selfLink": TEXT,
        "uid": TEXT,
        "resourceVersion": TEXT,
        "generation": INTEGER,
        "deletionGracePeriodSeconds": INTEGER,
        "creationTimestamp": TIME,
        "deletionTimestamp": TIME,
        "labels": TEXT_MAP,
        "annotations": TEXT_MAP,
        "finalizers": TEXTS,
        "ownerReferences": {"type": "array", "items": ANYTHING},
        "managedFields": {"type": "array", "items": ANYTHING},
    },
}


def open_object(**fields: Schema) -> Schema:
    """An object with some known fields, and any other."""
    return {"type": "object", "properties": fields, "additionalProperties": ANYTHING}


def _items(item: Schema) -> Schema:
    return {"type": "array", "items": item}


_CONTAINERS = _items(
    open_object(
        name=TEXT,
        image=TEXT,
        imagePullPolicy=TEXT,
        command=TEXTS,
        args=TEXTS,
        workingDir=TEXT,
        env=_items(open_object(name=TEXT, value=TEXT)),
        ports=_items(open_object(name=TEXT, containerPort=INTEGER, protocol=TEXT)),
        volumeMounts=_items(open_object(name=TEXT, mountPath=TEXT, subPath=TEXT, readOnly=BOOLEAN)),
    )
)
_POD_SPEC = open_object(
    containers=_CONTAINERS,
    initContainers=_CONTAINERS,
    nodeSelector=TEXT_MAP,
    restartPolicy=TEXT,
    serviceAccountName=TEXT,
    terminationGracePeriodSeconds=INTEGER,
)
_POD = open_object(metadata=OBJECT_META, spec=_POD_SPEC)
_SELECTOR = open_object(matchLabels=TEXT_MAP)
_WORKLOAD = open_object(spec=open_object(replicas=INTEGER, selector=_SELECTOR, template=_POD))
_JOB_SPEC = open_object(backoffLimit=INTEGER, completions=INTEGER, parallelism=INTEGER, template=_POD)

_KINDS: dict[tuple[str, str], Schema] = {
    ("v1", "ConfigMap"): open_object(data=TEXT_MAP, immutable=BOOLEAN),
    ("v1", "Secret"): open_object(stringData=TEXT_MAP, type=TEXT, immutable=BOOLEAN),
    ("v1", "Pod"): open_object(spec=_POD_SPEC),
    ("v1", "Service"): open_object(
        spec=open_object(
            selector=TEXT_MAP, type=TEXT, ports=_items(open_object(name=TEXT, port=INTEGER, protocol=TEXT))
        )
    ),
    ("apps/v1", "Deployment"): _WORKLOAD,
    ("apps/v1", "ReplicaSet"): _WORKLOAD,
    ("apps/v1", "StatefulSet"): _WORKLOAD,
    ("apps/v1", "DaemonSet"): _WORKLOAD,
    ("batch/v1", "Job"): open_object(spec=_JOB_SPEC),
    ("batch/v1", "CronJob"): open_object(spec=open_object(schedule=TEXT, jobTemplate=open_object(spec=_JOB_SPEC))),
}


def certain(api_version: str, kind: str) -> Schema:
    """What every object of the kind has to be; for kinds that are not Kubernetes' own, metadata alone."""
    known = _KINDS.get((api_version, kind), open_object())
    return {**known, "properties": {**known["properties"], "apiVersion": TEXT, "kind": TEXT, "metadata": OBJECT_META}}
