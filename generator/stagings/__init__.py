"""The ways to stage models: a module and a row each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from generator.plan import Cluster, Plan
from generator.stagings import job, workflow
from generator.stagings.base import Staging

STAGINGS: Mapping[str, Staging] = MappingProxyType({row.way: row for row in (job.STAGING, workflow.STAGING)})


def clusters(plan: Plan, way: str) -> tuple[Cluster, ...]:
    """The clusters on which something is staged in this way."""
    return tuple(cluster for cluster in plan.clusters if plan.staged(cluster.name, way))


def used(plan: Plan) -> tuple[Staging, ...]:
    """The ways that the catalogue goes."""
    return tuple(row for row in STAGINGS.values() if clusters(plan, row.way))


__all__ = ["STAGINGS", "Staging", "clusters", "used"]
