"""ApplicationSets: one for each part of the tree that goes to clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from generator import runtimes, stagings
from generator.catalog import ADDONS
from generator.emit import graphs, monitoring, nodepools
from generator.emit.argocd.base import (
    ADDONS_PROJECT_SUFFIX,
    application_set,
    clusters_of,
    git,
    template,
)
from generator.emit.charts import services_folder, staging_values_path
from generator.plan import Bucket, Cache, Cluster, Plan
from generator.runtimes import Delivery, Runtime
from generator.stagings import Staging
from generator.stagings.model import BUCKET


def addon(plan: Plan, name: str) -> dict[str, Any]:
    chart = ADDONS[name]
    clusters = [c for c in plan.clusters if name in c.addons]
    helm: dict[str, Any] = {"releaseName": chart.release}
    if chart.values:
        helm["valuesObject"] = dict(chart.values)
    source = {"repoURL": chart.repository, "chart": chart.chart, "targetRevision": chart.version, "helm": helm}
    made = template(
        plan,
        f"{name}-{{{{ .nameNormalized }}}}",
        source,
        part=name,
        namespace=chart.namespace,
        project=plan.platform.project + ADDONS_PROJECT_SUFFIX,
        restricted=False,
    )
    return application_set(plan, f"addon-{name}", [clusters_of(c, chart.annotations) for c in clusters], made, wave=-5)


def staging(plan: Plan, row: Staging) -> dict[str, Any]:
    clusters = stagings.clusters(plan, row.way)
    own = any(_cluster_bucket(p.model.cache) for c in clusters for p in plan.staged(c.name, row.way))
    helm = {
        "releaseName": row.chart,
        "valueFiles": [f"../../{staging_values_path('{{ .values.entry }}', row)}"],
        "valuesObject": dict(row.given(own)),
    }
    source = git(plan, f"charts/{row.chart}", helm=helm)
    made = template(plan, f"{row.chart}-{{{{ .nameNormalized }}}}", source, part=row.chart)
    return application_set(plan, row.chart, [clusters_of(c, row.bridge_keys(own)) for c in clusters], made)


def serve_code(plan: Plan) -> dict[str, Any]:
    clusters = [c for c in plan.clusters if plan.services_on(c.name)]
    source = git(plan, "serve", directory={"include": "*.yaml"})
    made = template(plan, "serve-code-{{ .nameNormalized }}", source, part="serve-code")
    return application_set(plan, "serve-code", [clusters_of(c) for c in clusters], made)


def watching(plan: Plan) -> dict[str, Any]:
    source = git(plan, monitoring.FOLDER, directory={"include": monitoring.include("{{ .values.entry }}")})
    made = template(plan, "monitoring-{{ .nameNormalized }}", source, part="monitoring")
    return application_set(plan, "monitoring", [clusters_of(c) for c in monitoring.clusters_watched(plan)], made)


def node_pools(plan: Plan) -> dict[str, Any]:
    source = git(plan, nodepools.FOLDER, directory={"include": nodepools.include("{{ .values.entry }}")})
    made = template(plan, "nodepools-{{ .nameNormalized }}", source, part="nodepools")
    return application_set(plan, "nodepools", [clusters_of(c) for c in nodepools.clusters_with_pools(plan)], made)


def definitions(plan: Plan, graph: str, clusters: Sequence[Cluster]) -> dict[str, Any]:
    name = f"definitions-{graph}"
    source = git(plan, "kro", directory={"include": graphs.include(graph)})
    made = template(plan, f"{name}-{{{{ .nameNormalized }}}}", source, part=name)
    return application_set(plan, name, [clusters_of(c) for c in clusters], made, wave=-2)


def services(plan: Plan, runtime: Runtime, delivery: Delivery) -> dict[str, Any]:
    """One Application per service and cluster, found by its values file: a failing one stops no other."""
    clusters = runtimes.clusters(plan, delivery)
    own = any(_cluster_bucket(s.cache) for c in clusters for s in runtimes.services(plan, c, delivery))
    values = {"cluster": {**({"bucket": BUCKET} if own else {}), "region": "{{ .values.aws_region }}"}}
    helm: dict[str, Any] = {
        "releaseName": '{{ trimSuffix ".yaml" .path.filename }}',
        "valueFiles": [f"../../{services_folder('{{ .values.entry }}', runtime)}/{{{{ .path.filename }}}}"],
        **({"valuesObject": values} if delivery.of_cluster else {}),
    }
    made = template(
        plan,
        '{{ .nameNormalized }}-{{ trimSuffix ".yaml" .path.filename }}',
        git(plan, f"charts/{delivery.chart}", helm=helm),
        part="services",
        differences=[dict(difference) for difference in runtime.differences],
    )
    keys = _bucket_keys(own) if delivery.of_cluster else ()
    generators = [_with_services(plan, c, runtime, clusters_of(c, keys)) for c in clusters]
    return application_set(plan, delivery.set, generators, made)


def _with_services(plan: Plan, cluster: Cluster, runtime: Runtime, clusters: dict[str, Any]) -> dict[str, Any]:
    platform = plan.platform
    files = {
        "git": {
            "repoURL": platform.repo_url,
            "revision": platform.repo_revision,
            "files": [{"path": f"{platform.root}/{services_folder(cluster.name, runtime)}/*.yaml"}],
        }
    }
    return {"matrix": {"generators": [clusters, files]}}


def _bucket_keys(cluster_bucket: bool) -> tuple[str, ...]:
    return ("aws_region", "bucket") if cluster_bucket else ("aws_region",)


def _cluster_bucket(cache: Cache) -> bool:
    """Whether the bucket is named after the cluster."""
    return isinstance(cache, Bucket) and cache.of_cluster
