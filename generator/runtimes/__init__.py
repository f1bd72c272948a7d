"""The runtimes of services: a module and a row each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from generator.plan import Cluster, Plan, Service
from generator.runtimes import kserve, ray
from generator.runtimes.base import Delivery, Runtime

RUNTIMES: Mapping[str, Runtime] = MappingProxyType({row.name: row for row in (ray.RUNTIME, kserve.RUNTIME)})


def deliveries() -> tuple[tuple[Runtime, Delivery], ...]:
    """Every chart that makes services, with the runtime that it belongs to."""
    found = {delivery.way: (row, delivery) for row in RUNTIMES.values() for delivery in row.deliveries.values()}
    return tuple(found[way] for way in sorted(found))


def delivered(cluster: Cluster, service: Service) -> Delivery:
    """How the service gets to the cluster."""
    return RUNTIMES[service.runtime].deliveries[cluster.services_by]


def services(plan: Plan, cluster: Cluster, delivery: Delivery) -> tuple[Service, ...]:
    """The services that the chart makes on the cluster."""
    return tuple(s for s in plan.services_on(cluster.name) if delivered(cluster, s) == delivery)


def clusters(plan: Plan, delivery: Delivery) -> tuple[Cluster, ...]:
    """The clusters on which the chart makes something."""
    return tuple(cluster for cluster in plan.clusters if services(plan, cluster, delivery))


__all__ = ["RUNTIMES", "Delivery", "Runtime", "clusters", "delivered", "deliveries", "services"]
