"""AppProjects: which kinds may come from where to where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from generator import naming, runtimes, stagings
from generator.catalog import Chart
from generator.emit import graphs, monitoring, nodepools
from generator.emit.argocd.base import ADDONS_PROJECT_SUFFIX, IN_CLUSTER, ROOT, metadata
from generator.plan import Plan


def root_project(plan: Plan) -> dict[str, Any]:
    """The root Application may make projects and ApplicationSets where Argo CD runs, and nothing else."""
    kinds = [("argoproj.io", "AppProject"), ("argoproj.io", "ApplicationSet")]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": metadata(plan, ROOT),
        "spec": {
            "description": "What starts the model catalogue",
            "sourceRepos": [plan.platform.repo_url],
            "destinations": [{"server": IN_CLUSTER, "namespace": plan.platform.argocd_namespace}],
            "clusterResourceWhitelist": [],
            "namespaceResourceWhitelist": _kinds(kinds),
        },
    }


def project(plan: Plan) -> dict[str, Any]:
    rows = stagings.used(plan)
    deliveries = [delivery for _, delivery in runtimes.deliveries() if runtimes.clusters(plan, delivery)]
    cluster_kinds = [("", "Namespace"), *(kind for row in rows for kind in row.cluster_kinds(plan))]
    kinds = [("", "ConfigMap"), ("", "ServiceAccount"), ("networking.k8s.io", "NetworkPolicy")]
    kinds += [kind for row in rows for kind in row.kinds(plan)]
    if monitoring.clusters_watched(plan):
        kinds += monitoring.kinds(plan)
    if nodepools.clusters_with_pools(plan):
        cluster_kinds += nodepools.KINDS
    if graphs.used(plan):
        cluster_kinds += [("kro.run", "ResourceGraphDefinition"), ("rbac.authorization.k8s.io", "ClusterRole")]
    if any(c.services_by == "kro" for c in plan.clusters):
        kinds += [(naming.KRO_GROUP, naming.KRO_KIND)]
    for delivery in deliveries:
        cluster_kinds += delivery.cluster_kinds
        kinds += delivery.kinds
    return _app_project(
        plan,
        plan.platform.project,
        "What the model catalogue renders",
        [plan.platform.repo_url],
        [plan.platform.namespace],
        cluster_kinds,
        kinds,
    )


def addons_project(plan: Plan, charts: Sequence[Chart]) -> dict[str, Any]:
    return _app_project(
        plan,
        plan.platform.project + ADDONS_PROJECT_SUFFIX,
        "Cluster software that the model catalogue needs",
        [chart.repository for chart in charts],
        [namespace for chart in charts for namespace in (chart.namespace, *chart.beside)],
        [("", "Namespace"), *(kind for chart in charts for kind in chart.kinds)],
        None,
    )


def _app_project(
    plan: Plan,
    name: str,
    description: str,
    repositories: Iterable[str],
    namespaces: Iterable[str],
    cluster_kinds: Iterable[tuple[str, str]],
    kinds: Iterable[tuple[str, str]] | None,
) -> dict[str, Any]:
    destinations = sorted({c.destination for c in plan.clusters})
    if "*" in destinations:
        destinations = ["*"]
    spec: dict[str, Any] = {
        "description": description,
        "sourceRepos": sorted(set(repositories)),
        "destinations": [
            {"name": destination, "namespace": namespace}
            for destination in destinations
            for namespace in sorted(set(namespaces))
        ],
        "clusterResourceWhitelist": _kinds(cluster_kinds),
    }
    if kinds is not None:
        spec["namespaceResourceWhitelist"] = _kinds(kinds)
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": metadata(plan, name, wave=-10),
        "spec": spec,
    }


def _kinds(kinds: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"group": group, "kind": kind} for group, kind in sorted(set(kinds))]
