"""What both charts are told of a model that is staged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from generator.caches import CACHES
from generator.plan import Model, Platform, Prestage

PODS = 5
"""Pods that a run may start after the first."""
BUCKET = "{{ .values.bucket }}"
"""The bucket that is named after a cluster, filled in by its ApplicationSet; empty where there is none."""


def value(prestage: Prestage, digest: str) -> dict[str, Any]:
    model = prestage.model
    return {
        "repoId": model.repo,
        "revision": model.commit,
        "digest": digest,
        "deadlineSeconds": prestage.deadline,
        **({"tokenSecret": {"name": model.token.secret, "key": model.token.key}} if model.token else {}),
        "target": dict(CACHES[model.cache.kind].target(model)),
        **({"loadTest": True} if model.load_test else {}),
        **_refresh(model),
        "plan": prestage.plan,
    }


def _refresh(model: Model) -> Mapping[str, Any]:
    asked = model.refresh
    if asked is None:
        return {}
    return {"refresh": {"schedule": asked.schedule, "timeZone": asked.time_zone, "revision": asked.revision}}


def told(platform: Platform) -> dict[str, Any]:
    """Who is told how a run ended."""
    notify = platform.notify
    return {
        "snsTopic": notify.sns_topic,
        "webhook": {"name": notify.webhook_secret, "key": notify.webhook_key},
    }


def push_gateway(platform: Platform) -> dict[str, dict[str, Any]]:
    """The Pushgateway that is told; nothing where there is none."""
    gateway = platform.monitoring.push_gateway if platform.monitoring else None
    return {"pushGateway": asdict(gateway)} if gateway else {}
