"""Argo CD: root Application, AppProjects, ApplicationSets, and the fragment of argocd-cm with health checks.

Checked against Argo CD v3.5.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from generator import naming, runtimes, stagings
from generator.assets import Assets
from generator.catalog import ADDONS
from generator.emit import graphs, monitoring, nodepools
from generator.emit.argocd import projects, sets
from generator.emit.argocd.base import APPLICATIONS, IN_CLUSTER, ROOT, metadata, sync
from generator.plan import Plan
from generator.yamlio import dump, dump_all


def emit(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """`bootstrap/`: what is applied by hand (root.yaml, argocd-cm.yaml), and what root.yaml syncs.

    Nothing where no cluster has Argo CD.
    """
    plan = replace(plan, clusters=tuple(cluster for cluster in plan.clusters if cluster.gitops == "argocd"))
    if not plan.clusters:
        return
    yield "bootstrap/root.yaml", dump_all([projects.root_project(plan), _root(plan)])
    yield "bootstrap/argocd-cm.yaml", dump(_health(plan, assets))
    for name, document in applications(plan):
        yield f"{APPLICATIONS}/{name}.yaml", dump(document)


def applications(plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
    """What root.yaml syncs, by name of its file: AppProjects and ApplicationSets for all clusters of the plan."""
    yield "project", projects.project(plan)
    addons = sorted({addon for cluster in plan.clusters for addon in cluster.addons})
    if addons:
        yield "project-addons", projects.addons_project(plan, [ADDONS[name] for name in addons])
    for name in addons:
        yield f"addon-{name}", sets.addon(plan, name)
    for row in stagings.used(plan):
        yield row.chart, sets.staging(plan, row)
    for graph, users in graphs.used(plan).items():
        yield f"definitions-{graph}", sets.definitions(plan, graph, users)
    served = any(plan.services_on(cluster.name) for cluster in plan.clusters)
    if served and any(s.code_by == "config-map" for s in plan.services) and plan.bundles:
        yield "serve-code", sets.serve_code(plan)
    if monitoring.clusters_watched(plan):
        yield "monitoring", sets.watching(plan)
    if nodepools.clusters_with_pools(plan):
        yield "nodepools", sets.node_pools(plan)
    for runtime, delivery in runtimes.deliveries():
        if runtimes.clusters(plan, delivery):
            yield delivery.set, sets.services(plan, runtime, delivery)


def _root(plan: Plan) -> dict[str, Any]:
    platform = plan.platform
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": metadata(plan, ROOT),
        "spec": {
            "project": ROOT,
            "source": {
                "repoURL": platform.repo_url,
                "targetRevision": platform.repo_revision,
                "path": f"{platform.root}/{APPLICATIONS}",
            },
            "destination": {"server": IN_CLUSTER, "namespace": platform.argocd_namespace},
            "syncPolicy": sync(["ServerSideApply=true", "PruneLast=true"]),
        },
    }


# Lua health checks by key of argocd-cm, and their files under chart-templates/argocd/health/.
_HEALTH = {
    "ray.io_RayService": "ray.io_RayService",
    "ray.io_RayCluster": "ray.io_RayCluster",
    "kro.run_ResourceGraphDefinition": "kro.run_ResourceGraphDefinition",
    f"kro.run_{naming.KRO_KIND}": "kro.run_instance",
    f"kro.run_{naming.KRO_MODEL_KIND}": "kro.run_instance",
}


def _health(plan: Plan, assets: Assets) -> dict[str, Any]:
    prefix = "resource.customizations.health."
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "argocd-cm",
            "namespace": plan.platform.argocd_namespace,
            "labels": {"app.kubernetes.io/name": "argocd-cm", "app.kubernetes.io/part-of": "argocd"},
        },
        "data": {
            prefix + kind: assets.read(f"chart-templates/argocd/health/{script}.lua").decode()
            for kind, script in _HEALTH.items()
        },
    }
