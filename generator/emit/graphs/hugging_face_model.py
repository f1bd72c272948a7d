"""HuggingFaceModel: one model staged by an Argo Workflow, with an identity of its own (ACK, EKS Pod Identity).

The instance is ACTIVE when the model is staged and verified, and not before. No pod starts before its identity is
associated: the Workflow refers to the association's status, and kro waits for what is referred to. The Workflow is
named after its inputs: it runs again when they change, and only then. Argo Workflows v4.1.2, ACK iam v1.8, eks v1.20.
"""

from __future__ import annotations

from typing import Any

from generator import naming
from generator.emit.graphs import hugging_face_identity as identity
from generator.emit.graphs import hugging_face_workflow as workflow
from generator.emit.graphs.base import Graph, condition

_BUCKET = 'minLength=3 maxLength=63 pattern="^[a-z0-9][a-z0-9-]+[a-z0-9]$"'
_REFERENCE = 'string | default="none" minLength=1 maxLength=253'


def _graph() -> dict[str, Any]:
    return {"schema": _schema(), "resources": _resources()}


def _schema() -> dict[str, Any]:
    return {
        "apiVersion": naming.KRO_VERSION,
        "kind": naming.KRO_MODEL_KIND,
        "group": naming.KRO_GROUP,
        "scope": "Namespaced",
        "types": _types(),
        "spec": _spec(),
        "status": _status(),
        "additionalPrinterColumns": [
            {"name": "Commit", "type": "string", "jsonPath": ".spec.source.commit"},
            {"name": "Region", "type": "string", "jsonPath": ".spec.target.region"},
            {"name": "Staged", "type": "boolean", "jsonPath": ".status.staged"},
            {"name": "State", "type": "string", "jsonPath": ".status.state"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
    }


def _types() -> dict[str, Any]:
    """Objects that an instance has to give; kro takes a nested object without a type for one that may be left out."""
    return {
        "Source": {
            "repoId": 'string | required=true minLength=1 maxLength=96 description="Repository on the Hub"',
            "commit": 'string | required=true pattern="^[0-9a-f]{40}$" description="Commit, never a branch"',
        },
        "Target": {
            "bucket": f"string | required=true {_BUCKET}",
            "region": 'string | required=true pattern="^[a-z]{2}(-[a-z]+)+-[0-9]$"',
            "key": 'string | required=true pattern="^models/[a-z][a-z0-9-]*/[0-9a-f]{12}$"',
            "folder": 'string | required=true pattern="^models/[a-z][a-z0-9-]*$" description="Of all its commits"',
        },
        "Home": {
            "bucket": f'string | required=true {_BUCKET} description="Where it is replicated from; else the target"',
        },
        "Identity": {
            "cluster": 'string | required=true minLength=1 maxLength=100 description="Name of the EKS cluster"',
            "accountId": 'string | required=true pattern="^[0-9]{12}$"',
            "partition": 'string | default="aws" enum="aws,aws-cn,aws-us-gov"',
            "name": 'string | required=true pattern="^[A-Za-z0-9-]{1,59}$" description="Of its policy and role"',
        },
    }


def _spec() -> dict[str, Any]:
    return {
        "source": "Source | required=true",
        "inputs": 'string | required=true pattern="^[0-9a-f]{10}$" description="Digest of all inputs"',
        "plan": 'string | required=true minLength=2 description="What the program reads, JSON text"',
        "programImage": 'string | required=true minLength=1 description="Image of the prestage program"',
        "target": "Target | required=true",
        "home": "Home | required=true",
        "replica": 'boolean | default=false description="Replicate from the home bucket instead of the Hub"',
        "identity": "Identity | required=true",
        "deadlineSeconds": "integer | default=21600 minimum=60 maximum=2147483647",
        "loadTest": 'boolean | default=false description="Try the copy before it counts as complete"',
        "token": {"secret": _REFERENCE, "key": _REFERENCE},
        "webhook": {"secret": _REFERENCE, "key": _REFERENCE},
        "snsTopic": 'string | default="none" minLength=1 description="ARN of a topic that is told; none"',
        "pushGateway": 'string | default="none" minLength=1 description="Address of a Pushgateway; none"',
        "refresh": {
            "schedule": 'string | default="none" minLength=1 description="When to look for a new commit; none"',
            "timeZone": 'string | default="Etc/UTC"',
            "revision": 'string | default="main" minLength=1',
        },
    }


def _status() -> dict[str, Any]:
    said = {name: "${" + _output("workflow", name) + "}" for name in workflow.OUTPUTS}
    return {
        "staged": "${workflow.status.phase == 'Succeeded'}",
        "path": said["path"],
        "commit": said["commit"],
        "bytes": said["bytes"],
        "durationSeconds": said["seconds"],
        "workflow": "${workflow.metadata.name}",
        "role": "${role.status.ackResourceMetadata.arn}",
    }


def _output(workflow: str, name: str) -> str:
    return f"{workflow}.status.outputs.parameters.filter(p, p.name == '{name}')[0].value"


def _resources() -> list[dict[str, Any]]:
    synced = "ACK.ResourceSynced"
    return [
        {"id": "account", "template": identity.service_account()},
        {"id": "policy", "readyWhen": ["${" + condition("policy", synced) + "}"], "template": identity.policy()},
        {
            "id": "tellPolicy",
            "includeWhen": ["${schema.spec.snsTopic != 'none'}"],
            "readyWhen": ["${" + condition("tellPolicy", synced) + "}"],
            "template": identity.tell_policy(),
        },
        {"id": "role", "readyWhen": ["${" + condition("role", synced) + "}"], "template": identity.role()},
        {
            "id": "association",
            "readyWhen": ["${" + condition("association", synced) + "}"],
            "template": identity.association(),
        },
        {"id": "executor", "template": identity.executor()},
        {"id": "executorBinding", "template": identity.executor_binding()},
        {"id": "planFile", "template": workflow.plan_file()},
        {
            "id": "workflow",
            "readyWhen": ["${workflow.status.phase == 'Succeeded'}"],
            "template": workflow.workflow(),
        },
        {
            "id": "refresh",
            "includeWhen": ["${schema.spec.refresh.schedule != 'none' && !schema.spec.replica}"],
            "template": workflow.refresh(),
        },
    ]


GRAPH = Graph(
    name="hugging-face-model",
    kind=naming.KRO_MODEL_KIND,
    plural=naming.KRO_MODEL_PLURAL,
    children=(
        ("", ("configmaps", "serviceaccounts")),
        ("argoproj.io", ("cronworkflows", "workflows")),
        ("eks.services.k8s.aws", ("podidentityassociations",)),
        ("iam.services.k8s.aws", ("policies", "roles")),
        ("rbac.authorization.k8s.io", ("rolebindings", "roles")),
    ),
    spec=_graph,
    grants=(identity.RESULTS,),
)
