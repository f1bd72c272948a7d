"""A Job for each model and commit; its rights come from Terraform."""

from __future__ import annotations

from typing import Any

from generator import naming
from generator.plan import Plan, Prestage
from generator.prestage.exits import PERMANENT
from generator.stagings import model
from generator.stagings.base import Staging
from generator.yamlio import canonical_json


def values(plan: Plan, prestages: tuple[Prestage, ...], digest: str) -> dict[str, Any]:
    gateway = model.push_gateway(plan.platform)
    return {
        "modelPrestage": {
            "image": prestages[0].image,
            "backoffLimit": model.PODS,
            "permanentExitCodes": [int(code) for code in PERMANENT],
            "notify": model.told(plan.platform),
            **gateway,
            "models": {p.model.name: model.value(p, _digest(p, digest, gateway)) for p in prestages},
        }
    }


def _digest(prestage: Prestage, templates: str, gateway: dict[str, dict[str, Any]]) -> str:
    return naming.digest(canonical_json([prestage.digest, templates, gateway]).encode())


def given(own_bucket: bool) -> dict[str, Any]:
    return {
        "modelPrestage": {
            "enabled": True,
            **({"s3Bucket": model.BUCKET} if own_bucket else {}),
            "region": "{{ .values.aws_region }}",
        }
    }


def bridge_keys(own_bucket: bool) -> tuple[str, ...]:
    return ("aws_account_id", "aws_region", "resource_prefix") if own_bucket else ("aws_region",)


STAGING = Staging(
    way="job",
    chart="prestage",
    values=values,
    given=given,
    bridge_keys=bridge_keys,
    kinds=(
        ("", "ConfigMap"),
        ("", "ServiceAccount"),
        ("batch", "CronJob"),
        ("batch", "Job"),
        ("networking.k8s.io", "NetworkPolicy"),
    ),
    graph="",
)
