"""Who stages a model: its ServiceAccount, the rights in Kubernetes, and the role in AWS (ACK, EKS Pod Identity)."""

from __future__ import annotations

import json
from typing import Any

from generator import naming
from generator.emit.graphs.base import NAME, NAMESPACE, made

ACCOUNT = f"{NAME}-stage"


def labels() -> dict[str, str]:
    return {**naming.labels("model-staging", NAME), naming.MODEL_LABEL: NAME}


def named(api: str, kind: str, name: str) -> dict[str, Any]:
    return made(api, kind, name, labels())


def service_account() -> dict[str, Any]:
    return {**named("v1", "ServiceAccount", ACCOUNT), "automountServiceAccountToken": False}


IDENTITY = "${schema.spec.identity.name}"
_PARTITION = "${schema.spec.identity.partition}"
_TARGET = f"arn:{_PARTITION}:s3:::" + "${schema.spec.target.bucket}"
_HOME = f"arn:{_PARTITION}:s3:::" + "${schema.spec.home.bucket}"
_FOLDER = "${schema.spec.target.folder}"


def _document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, separators=(",", ":"))


def _allow(
    sid: str, actions: list[str], resources: list[str], condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    base = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return {**base, "Condition": condition} if condition else base


def policy() -> dict[str, Any]:
    """One model's folder, and reading it where it is replicated from. Nothing is deleted but the notes."""
    objects = f"{_TARGET}/{_FOLDER}/*"
    document = _document(
        _allow("List", ["s3:ListBucket"], [_TARGET, _HOME], {"StringLike": {"s3:prefix": [f"{_FOLDER}/*"]}}),
        _allow("Read", ["s3:GetObject"], [objects, f"{_HOME}/{_FOLDER}/*"]),
        _allow("Write", ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject"], [objects]),
        _allow("Notes", ["s3:DeleteObject"], [f"{_TARGET}/{_FOLDER}/*/{name}" for name in naming.NOTES]),
        _allow("Uploads", ["s3:ListBucketMultipartUploads"], [_TARGET]),
    )
    spec = {"name": f"{IDENTITY}", "description": f"Stages the model {NAME}", "policyDocument": document}
    return {**named("iam.services.k8s.aws/v1alpha1", "Policy", ACCOUNT), "spec": spec}


def tell_policy() -> dict[str, Any]:
    document = _document(_allow("Tell", ["sns:Publish"], ["${schema.spec.snsTopic}"]))
    spec = {"name": f"{IDENTITY}-tell", "description": f"Tells how {NAME} was staged", "policyDocument": document}
    return {**named("iam.services.k8s.aws/v1alpha1", "Policy", f"{ACCOUNT}-tell"), "spec": spec}


def role() -> dict[str, Any]:
    """Taken only by pods of this account, namespace and cluster; session tags are set by EKS Pod Identity alone."""
    cluster = (
        f"arn:{_PARTITION}:eks:" + "${schema.spec.target.region}:${schema.spec.identity.accountId}"
        ":cluster/${schema.spec.identity.cluster}"
    )
    trust = {
        "Sid": "PodIdentity",
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {
            "StringEquals": {
                "aws:SourceAccount": "${schema.spec.identity.accountId}",
                "aws:RequestTag/kubernetes-namespace": NAMESPACE,
                "aws:RequestTag/kubernetes-service-account": ACCOUNT,
            },
            "ArnEquals": {"aws:SourceArn": cluster},
        },
    }
    tell = "schema.spec.snsTopic == 'none' ? [] : [{'from': {'name': schema.metadata.name + '-stage-tell'}}]"
    spec = {
        "name": IDENTITY,
        "description": f"Stages the model {NAME}",
        "assumeRolePolicyDocument": _document(trust),
        "policyRefs": "${[{'from': {'name': policy.metadata.name}}] + (" + tell + ")}",
    }
    return {**named("iam.services.k8s.aws/v1alpha1", "Role", ACCOUNT), "spec": spec}


def association() -> dict[str, Any]:
    spec = {
        "clusterName": "${schema.spec.identity.cluster}",
        "namespace": NAMESPACE,
        "serviceAccount": ACCOUNT,
        "roleRef": {"from": {"name": "${role.metadata.name}"}},
    }
    return {**named("eks.services.k8s.aws/v1alpha1", "PodIdentityAssociation", ACCOUNT), "spec": spec}


RESULTS = {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}


def executor() -> dict[str, Any]:
    return {**named("rbac.authorization.k8s.io/v1", "Role", ACCOUNT), "rules": [RESULTS]}


def executor_binding() -> dict[str, Any]:
    return {
        **named("rbac.authorization.k8s.io/v1", "RoleBinding", ACCOUNT),
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": "${executor.metadata.name}",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "${account.metadata.name}", "namespace": NAMESPACE}],
    }
