"""kro: the ResourceGraphDefinitions, and the rights that its controller needs for each. A module and a row each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from generator import stagings
from generator.assets import Assets
from generator.emit.graphs import hugging_face_model, model_service
from generator.emit.graphs.base import Graph, cluster_role, definition
from generator.plan import Cluster, Plan
from generator.yamlio import dump

GRAPHS: Mapping[str, Graph] = MappingProxyType(
    {graph.name: graph for graph in (model_service.GRAPH, hugging_face_model.GRAPH)}
)


def emit(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """`kro/`: each graph that a cluster uses, and its ClusterRole."""
    for name in used(plan):
        yield f"kro/{name}.yaml", dump(definition(GRAPHS[name]))
        yield f"kro/{name}-role.yaml", dump(cluster_role(GRAPHS[name]))


def used(plan: Plan) -> Mapping[str, tuple[Cluster, ...]]:
    """The clusters that need each graph; a graph that none needs is left out."""
    needs = {"model-service": tuple(cluster for cluster in plan.clusters if cluster.services_by == "kro")}
    needs |= {row.graph: stagings.clusters(plan, row.way) for row in stagings.STAGINGS.values() if row.graph}
    return {name: clusters for name, clusters in needs.items() if clusters}


def include(name: str) -> str:
    """Pattern of the files of one graph."""
    return "{" + f"{name}.yaml,{name}-role.yaml" + "}"
