"""A Job for each model and commit; on EKS its rights come from Terraform, elsewhere from a Secret, if it needs any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator import naming
from generator.caches import s3
from generator.plan import Bucket, Claims, Cluster, Plan, Prestage, S3Server
from generator.prestage.exits import PERMANENT
from generator.providers import PROVIDERS
from generator.stagings import model
from generator.stagings.base import Kinds, Staging
from generator.yamlio import canonical_json

HTTPS = 443


def values(plan: Plan, cluster: Cluster, prestages: tuple[Prestage, ...], digest: str) -> dict[str, Any]:
    gateway = model.push_gateway(plan.platform)
    return {
        "modelPrestage": {
            "image": prestages[0].image,
            "backoffLimit": model.PODS,
            "permanentExitCodes": [int(code) for code in PERMANENT],
            "notify": model.told(plan.platform),
            **gateway,
            **_user(cluster),
            "egress": _egress(cluster, prestages),
            "models": {
                p.model.name: {**model.value(p, _digest(p, digest, gateway)), **_beside_readers(plan, cluster, p)}
                for p in prestages
            },
        }
    }


def _digest(prestage: Prestage, templates: str, gateway: dict[str, dict[str, Any]]) -> str:
    return naming.digest(canonical_json([prestage.digest, templates, gateway]).encode())


def _user(cluster: Cluster) -> dict[str, Any]:
    """Who the pods run as, and the group of those who read what they write."""
    uid = PROVIDERS[cluster.provider].uid
    return {"assignedUser": True} if uid is None else {"assignedUser": False, "readersGroup": uid}


def _egress(cluster: Cluster, prestages: tuple[Prestage, ...]) -> dict[str, Any]:
    """Where the pods may connect to: DNS, credentials, ports of the world, namespaces of the cluster's own S3 servers.

    Those are open whole: a server's pods may listen on another port than its Service.
    """
    provider = PROVIDERS[cluster.provider]
    servers = {server for p in prestages if (server := _server(p)) is not None}
    inside = {name for server in servers if (name := s3.namespace(server)) is not None}
    return {
        "dns": {"namespace": provider.dns[0], "port": provider.dns[1]},
        "identity": list(provider.identity),
        "ports": sorted({HTTPS} | {s3.port(server) for server in servers if s3.namespace(server) is None}),
        "namespaces": sorted(inside),
    }


def _server(prestage: Prestage) -> S3Server | None:
    cache = prestage.model.cache
    return cache.server if isinstance(cache, Bucket) else None


def _beside_readers(plan: Plan, cluster: Cluster, prestage: Prestage) -> dict[str, Any]:
    """Taints of the node where a disk is read that only one node can mount: a later Job has to get there."""
    cache = prestage.model.cache
    if not isinstance(cache, Claims) or cache.access_mode != "ReadWriteOnce":
        return {}
    found: dict[str, Mapping[str, str]] = {}
    for service in plan.services_on(cluster.name):
        if any(prestage.model in application.models for application in service.applications):
            found |= {canonical_json(dict(t)): t for group in service.groups for t in group.tolerations}
    return {"tolerations": [dict(found[key]) for key in sorted(found)]} if found else {}


def given(own_bucket: bool) -> dict[str, Any]:
    return {
        "modelPrestage": {
            "enabled": True,
            **({"s3Bucket": model.BUCKET} if own_bucket else {}),
            "region": "{{ .values.aws_region }}",
        }
    }


def bridge_keys(own_bucket: bool) -> tuple[str, ...]:
    return ("aws_region", "bucket") if own_bucket else ("aws_region",)


def kinds(plan: Plan) -> Kinds:
    return (
        ("", "ConfigMap"),
        ("", "ServiceAccount"),
        ("batch", "CronJob"),
        ("batch", "Job"),
        ("networking.k8s.io", "NetworkPolicy"),
        *((("", "PersistentVolumeClaim"),) if _claims(plan) else ()),
    )


def cluster_kinds(plan: Plan) -> Kinds:
    return (("storage.k8s.io", "StorageClass"),) if any(cache.made for cache in _claims(plan)) else ()


def _claims(plan: Plan) -> tuple[Claims, ...]:
    return tuple(p.model.cache for p in plan.prestages if isinstance(p.model.cache, Claims))


STAGING = Staging(
    way="job",
    chart="prestage",
    values=values,
    given=given,
    bridge_keys=bridge_keys,
    kinds=kinds,
    graph="",
    cluster_kinds=cluster_kinds,
)
