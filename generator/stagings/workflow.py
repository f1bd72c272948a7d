"""An instance of the kro definition HuggingFaceModel for each model: rights of its own (ACK) and an Argo Workflow."""

from __future__ import annotations

from typing import Any

from generator import naming
from generator.plan import Cluster, Plan, Prestage
from generator.stagings import model
from generator.stagings.base import Kinds, Staging


def values(plan: Plan, cluster: Cluster, prestages: tuple[Prestage, ...], digest: str) -> dict[str, Any]:
    """`digest` is not in it: a template of an instance can change, and only new inputs stage again."""
    return {
        "huggingFaceModels": {
            "image": prestages[0].image,
            "parallel": plan.platform.parallel,
            "notify": model.told(plan.platform),
            **model.push_gateway(plan.platform),
            "models": {p.model.name: model.value(p, p.digest) for p in prestages},
        }
    }


def given(own_bucket: bool) -> dict[str, Any]:
    return {
        "cluster": {
            **({"bucket": model.BUCKET} if own_bucket else {}),
            "accountId": "{{ .values.aws_account_id }}",
            "name": "{{ .values.aws_cluster_name }}",
            "prefix": "{{ .values.resource_prefix }}",
            "region": "{{ .values.aws_region }}",
        },
        "huggingFaceModels": {"enabled": True},
    }


def bridge_keys(own_bucket: bool) -> tuple[str, ...]:
    return (*naming.BRIDGE_KEYS, "bucket") if own_bucket else naming.BRIDGE_KEYS


def kinds(plan: Plan) -> Kinds:
    return (
        ("", "ConfigMap"),
        ("networking.k8s.io", "NetworkPolicy"),
        (naming.KRO_GROUP, naming.KRO_MODEL_KIND),
    )


STAGING = Staging(
    way="workflow",
    chart="platform-manifests",
    values=values,
    given=given,
    bridge_keys=bridge_keys,
    kinds=kinds,
    graph="hugging-face-model",
)
