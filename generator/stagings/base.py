"""What a way of staging says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from generator.plan import Cluster, Plan, Prestage

Values = Mapping[str, Any]
Kinds = tuple[tuple[str, str], ...]
"""API groups and kinds."""


def _none(plan: Plan) -> Kinds:
    return ()


@dataclass(frozen=True, slots=True)
class Staging:
    """A way to stage models: a chart, and the values that make it those of a cluster.

    `values` are known from the catalogue; `given` are those that the ApplicationSet fills in from the cluster's
    annotations: templates by the path of the value, from the names of the GitOps Bridge as `.values.<name>`.
    `digest` is that of the chart's templates: a Job is immutable, so a new template needs a new name.
    """

    way: str
    chart: str  # folder of chart-templates; also names the ApplicationSet, the release and the values' file
    values: Callable[[Plan, Cluster, tuple[Prestage, ...], str], Values]  # (plan, where, what is staged, digest)
    given: Callable[[bool], Values]  # whether a cache's bucket is named after the cluster
    bridge_keys: Callable[[bool], tuple[str, ...]]  # annotations that `given` reads
    kinds: Callable[[Plan], Kinds]  # namespaced ones that the chart makes
    graph: str  # row of generator.emit.graphs that the chart's instances need; empty for none
    cluster_kinds: Callable[[Plan], Kinds] = _none

    @property
    def file(self) -> str:
        """Values of a cluster, below its folder."""
        return f"{self.chart}.yaml"
