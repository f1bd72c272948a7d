"""What a runtime row says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from generator.plan import Cluster, Plan, Service

Kinds = tuple[tuple[str, str], ...]
"""API groups and kinds."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A chart that makes services, and what Argo CD must know of it. `graph`: row of emit.graphs that it needs."""

    way: str  # also names the ApplicationSet, as services-<way>
    chart: str  # folder of chart-templates
    kinds: Kinds
    cluster_kinds: Kinds = ()
    graph: str = ""
    of_cluster: bool = True  # whether the chart takes the bucket and the region of the cluster

    @property
    def set(self) -> str:
        """Name of the ApplicationSet."""
        return f"services-{self.way}"


@dataclass(frozen=True, slots=True)
class Scrape:
    """The port of the pods that answers Prometheus at /metrics, and what becomes of the labels there.

    Dashboards and alerts know one name of each metric and of each label, those of Ray: `labels` and `metrics` are the
    relabelings of the target and of its series (prometheus-operator, PodMetricsEndpoint) that make them so.
    """

    port: str  # its name
    labels: tuple[Mapping[str, Any], ...] = ()
    metrics: tuple[Mapping[str, Any], ...] = ()


def nothing(service: Service) -> tuple[Mapping[str, str], ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Runtime:
    """What serves models. `folder` holds the values of a cluster's services, below the cluster's folder.

    `differences` are what controllers write into objects that Argo CD also knows; `url` is where an application
    answers inside of the cluster: (the service, namespace, route). `beside` are the requests of what runs beside the
    workers, always. `model` is the folder of the only model where the runtime runs programs without Ray, empty where
    it runs Ray. `kind` is the object of a service, which people look at first.
    """

    name: str
    kind: str
    folder: str
    deliveries: Mapping[str, Delivery]  # by Cluster.services_by
    values: Callable[[Plan, Cluster, Service], Mapping[str, Any]]
    differences: tuple[Mapping[str, Any], ...]
    url: Callable[[Service, str, str], str]
    scrape: Scrape
    beside: Callable[[Service], tuple[Mapping[str, str], ...]] = nothing
    model: str = ""
