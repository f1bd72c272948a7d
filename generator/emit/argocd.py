"""Argo CD: root Application, AppProjects, ApplicationSets, and the fragment of argocd-cm with health checks.

Everything that belongs to a cluster is read from the annotations of its Secret (GitOps Bridge), with
`missingkey=error`: a cluster without the annotation stops the ApplicationSet instead of getting an empty value.
Checked against Argo CD v3.5.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from generator import naming
from generator.assets import Assets
from generator.catalog import ADDONS, Chart
from generator.emit import monitoring
from generator.emit.charts import SERVICE_CHARTS, prestage_values_path, services_folder
from generator.plan import Cluster, Plan
from generator.yamlio import dump, dump_all

APPLICATIONS = "bootstrap/applications"
ROOT = "modelyard-root"
IN_CLUSTER = "https://kubernetes.default.svc"
ADDONS_PROJECT_SUFFIX = "-addons"
SYNC_OPTIONS = ["CreateNamespace=true", "ServerSideApply=true", "SkipDryRunOnMissingResource=true", "PruneLast=true"]
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
# What Ray's autoscaler and KubeRay write into objects that Argo CD also knows (kuberay#4149).
RAY_DIFFERENCES = [
    {"group": "ray.io", "kind": kind, "jqPathExpressions": [f"{path}.workerGroupSpecs[].replicas"]}
    for kind, path in (("RayService", ".spec.rayClusterConfig"), ("RayCluster", ".spec"))
]


def emit(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """`bootstrap/`: what is applied by hand (root.yaml, argocd-cm.yaml), and what root.yaml syncs."""
    yield "bootstrap/root.yaml", dump_all([_root_project(plan), _root(plan)])
    yield "bootstrap/argocd-cm.yaml", dump(_health(plan, assets))
    for name, document in _applications(plan):
        yield f"{APPLICATIONS}/{name}.yaml", dump(document)


def _applications(plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "project", _project(plan)
    addons = sorted({addon for cluster in plan.clusters for addon in cluster.addons})
    if addons:
        yield "project-addons", _addons_project(plan, [ADDONS[name] for name in addons])
    for name in addons:
        yield f"addon-{name}", _addon(plan, name)
    if plan.prestages:
        yield "prestage", _prestage(plan)
    if any(s.code_by == "config-map" for s in plan.services) and plan.bundles:
        yield "serve-code", _serve_code(plan)
    if monitoring.clusters_watched(plan):
        yield "monitoring", _monitoring(plan)
    for way, chart in sorted(SERVICE_CHARTS.items()):
        clusters = [c for c in plan.clusters if c.services_by == way]
        if way == "kro" and clusters:
            yield "definitions", _definitions(plan, clusters)
        if any(plan.services_on(c.name) for c in clusters):
            yield f"services-{way}", _services(plan, chart, clusters)


def _metadata(plan: Plan, name: str, wave: int = 0) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": plan.platform.argocd_namespace,
        "labels": dict(naming.labels("gitops", name)),
        **({"annotations": {"argocd.argoproj.io/sync-wave": str(wave)}} if wave else {}),
    }


def _root_project(plan: Plan) -> dict[str, Any]:
    """The root Application may make projects and ApplicationSets where Argo CD runs, and nothing else."""
    kinds = [("argoproj.io", "AppProject"), ("argoproj.io", "ApplicationSet")]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": _metadata(plan, ROOT),
        "spec": {
            "description": "What starts the model catalogue",
            "sourceRepos": [plan.platform.repo_url],
            "destinations": [{"server": IN_CLUSTER, "namespace": plan.platform.argocd_namespace}],
            "clusterResourceWhitelist": [],
            "namespaceResourceWhitelist": _kinds(kinds),
        },
    }


def _root(plan: Plan) -> dict[str, Any]:
    platform = plan.platform
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": _metadata(plan, ROOT),
        "spec": {
            "project": ROOT,
            "source": {
                "repoURL": platform.repo_url,
                "targetRevision": platform.repo_revision,
                "path": f"{platform.root}/{APPLICATIONS}",
            },
            "destination": {"server": IN_CLUSTER, "namespace": platform.argocd_namespace},
            "syncPolicy": _sync(["ServerSideApply=true", "PruneLast=true"]),
        },
    }


def _sync(options: Sequence[str], labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "automated": {"prune": True, "selfHeal": True},
        "retry": {"limit": 10, "backoff": {"duration": "15s", "factor": 2, "maxDuration": "10m"}},
        "syncOptions": list(options),
        **({"managedNamespaceMetadata": {"labels": labels}} if labels else {}),
    }


def _project(plan: Plan) -> dict[str, Any]:
    kro = any(c.services_by == "kro" for c in plan.clusters)
    helm = any(c.services_by == "helm" and plan.services_on(c.name) for c in plan.clusters)
    cluster_kinds = [("", "Namespace")]
    kinds = [("", "ConfigMap"), ("", "ServiceAccount"), ("batch", "Job"), ("networking.k8s.io", "NetworkPolicy")]
    if monitoring.clusters_watched(plan):
        kinds += monitoring.KINDS
    if kro:
        cluster_kinds += [("kro.run", "ResourceGraphDefinition"), ("rbac.authorization.k8s.io", "ClusterRole")]
        kinds += [(naming.KRO_GROUP, naming.KRO_KIND)]
    if helm:
        cluster_kinds += [("", "PersistentVolume")]
        kinds += [("", "PersistentVolumeClaim"), ("ray.io", "RayService"), ("policy", "PodDisruptionBudget")]
        kinds += [("networking.k8s.io", "Ingress")]
    return _app_project(
        plan,
        plan.platform.project,
        "What the model catalogue renders",
        [plan.platform.repo_url],
        [plan.platform.namespace],
        cluster_kinds,
        kinds,
    )


def _addons_project(plan: Plan, charts: Sequence[Chart]) -> dict[str, Any]:
    return _app_project(
        plan,
        plan.platform.project + ADDONS_PROJECT_SUFFIX,
        "Cluster software that the model catalogue needs",
        [chart.repository for chart in charts],
        [chart.namespace for chart in charts],
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
        "metadata": _metadata(plan, name, wave=-10),
        "spec": spec,
    }


def _kinds(kinds: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"group": group, "kind": kind} for group, kind in sorted(set(kinds))]


def bridge(cluster: Cluster, key: str) -> str:
    """A value of the cluster: stated in models.yaml, else read from the annotation of its Secret."""
    return cluster.values.get(key) or f"{{{{ .metadata.annotations.{key} }}}}"


def _clusters(cluster: Cluster, keys: Iterable[str] = ()) -> dict[str, Any]:
    """Cluster generator of one entry of models.yaml; `keys` become `.values.<key>` of the template."""
    values = {"entry": cluster.name} | {key: bridge(cluster, key) for key in keys}
    labels = {"argocd.argoproj.io/secret-type": "cluster", **cluster.selector}
    return {"clusters": {"selector": {"matchLabels": labels}, "values": values}}


def _bucket_keys(cluster_bucket: bool) -> tuple[str, ...]:
    return ("aws_account_id", "aws_region", "resource_prefix") if cluster_bucket else ("aws_region",)


BUCKET = "{{ .values.resource_prefix }}-ray-models-{{ .values.aws_account_id }}"


def _application_set(
    plan: Plan,
    name: str,
    generators: list[dict[str, Any]],
    template: dict[str, Any],
    *,
    wave: int = 0,
) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ApplicationSet",
        "metadata": _metadata(plan, name, wave),
        "spec": {
            "goTemplate": True,
            "goTemplateOptions": ["missingkey=error"],
            "generators": generators,
            "syncPolicy": {"preserveResourcesOnDeletion": True},
            "template": template,
        },
    }


def _template(
    plan: Plan,
    name: str,
    source: dict[str, Any],
    *,
    part: str,
    namespace: str | None = None,
    project: str | None = None,
    restricted: bool = True,
    differences: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    options = SYNC_OPTIONS + (["RespectIgnoreDifferences=true"] if differences else [])
    return {
        "metadata": {"name": name, "labels": dict(naming.labels("gitops", part))},
        "spec": {
            "project": project or plan.platform.project,
            "source": source,
            "destination": {"name": "{{ .name }}", "namespace": namespace or plan.platform.namespace},
            "syncPolicy": _sync(options, RESTRICTED if restricted else None),
            **({"ignoreDifferences": differences} if differences else {}),
        },
    }


def _git(plan: Plan, path: str, **source: Any) -> dict[str, Any]:
    platform = plan.platform
    return {
        "repoURL": platform.repo_url,
        "targetRevision": platform.repo_revision,
        "path": f"{platform.root}/{path}",
        **source,
    }


def _addon(plan: Plan, name: str) -> dict[str, Any]:
    chart = ADDONS[name]
    clusters = [c for c in plan.clusters if name in c.addons]
    helm: dict[str, Any] = {"releaseName": chart.release}
    if chart.values:
        helm["valuesObject"] = dict(chart.values)
    source = {"repoURL": chart.repository, "chart": chart.chart, "targetRevision": chart.version, "helm": helm}
    template = _template(
        plan,
        f"{name}-{{{{ .nameNormalized }}}}",
        source,
        part=name,
        namespace=chart.namespace,
        project=plan.platform.project + ADDONS_PROJECT_SUFFIX,
        restricted=False,
    )
    return _application_set(plan, f"addon-{name}", [_clusters(c) for c in clusters], template, wave=-5)


def _prestage(plan: Plan) -> dict[str, Any]:
    clusters = [c for c in plan.clusters if plan.models_on(c.name)]
    own = any(p.model.cache.bucket is None for p in plan.prestages)
    values = {
        "modelPrestage": {
            "enabled": True,
            **({"s3Bucket": BUCKET} if own else {}),
            "region": "{{ .values.aws_region }}",
        }
    }
    helm = {
        "releaseName": "prestage",
        "valueFiles": [f"../../{prestage_values_path(clusters[0]).replace(clusters[0].name, '{{ .values.entry }}')}"],
        "valuesObject": values,
    }
    template = _template(
        plan, "prestage-{{ .nameNormalized }}", _git(plan, "charts/prestage", helm=helm), part="prestage"
    )
    return _application_set(plan, "prestage", [_clusters(c, _bucket_keys(own)) for c in clusters], template)


def _serve_code(plan: Plan) -> dict[str, Any]:
    clusters = [c for c in plan.clusters if plan.services_on(c.name)]
    source = _git(plan, "serve", directory={"include": "*.yaml"})
    template = _template(plan, "serve-code-{{ .nameNormalized }}", source, part="serve-code")
    return _application_set(plan, "serve-code", [_clusters(c) for c in clusters], template)


def _monitoring(plan: Plan) -> dict[str, Any]:
    source = _git(plan, monitoring.FOLDER, directory={"include": monitoring.include("{{ .values.entry }}")})
    template = _template(plan, "monitoring-{{ .nameNormalized }}", source, part="monitoring")
    return _application_set(plan, "monitoring", [_clusters(c) for c in monitoring.clusters_watched(plan)], template)


def _definitions(plan: Plan, clusters: Sequence[Cluster]) -> dict[str, Any]:
    template = _template(plan, "definitions-{{ .nameNormalized }}", _git(plan, "kro"), part="definitions")
    return _application_set(plan, "definitions", [_clusters(c) for c in clusters], template, wave=-2)


def _services(plan: Plan, chart: str, clusters: Sequence[Cluster]) -> dict[str, Any]:
    """One Application per service and cluster, found by its values file: a failing one stops no other."""
    own = any(s.cache.bucket is None for s in plan.services)
    values = {"cluster": {**({"bucket": BUCKET} if own else {}), "region": "{{ .values.aws_region }}"}}
    helm = {
        "releaseName": '{{ trimSuffix ".yaml" .path.filename }}',
        "valueFiles": ["../../clusters/{{ .values.entry }}/services/{{ .path.filename }}"],
        "valuesObject": values,
    }
    template = _template(
        plan,
        '{{ .nameNormalized }}-{{ trimSuffix ".yaml" .path.filename }}',
        _git(plan, f"charts/{chart}", helm=helm),
        part="services",
        differences=RAY_DIFFERENCES,
    )
    generators = [
        _with_services(plan, c, _clusters(c, _bucket_keys(own))) for c in clusters if plan.services_on(c.name)
    ]
    return _application_set(plan, f"services-{SERVICE_WAYS[chart]}", generators, template)


SERVICE_WAYS = {chart: way for way, chart in SERVICE_CHARTS.items()}


def _with_services(plan: Plan, cluster: Cluster, clusters: dict[str, Any]) -> dict[str, Any]:
    platform = plan.platform
    files = {
        "git": {
            "repoURL": platform.repo_url,
            "revision": platform.repo_revision,
            "files": [{"path": f"{platform.root}/{services_folder(cluster)}/*.yaml"}],
        }
    }
    return {"matrix": {"generators": [clusters, files]}}


# Lua health checks by key of argocd-cm; the scripts are files under chart-templates/argocd/health/.
_HEALTH = ("ray.io_RayService", "ray.io_RayCluster", "kro.run_ResourceGraphDefinition", f"kro.run_{naming.KRO_KIND}")


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
        "data": {prefix + kind: assets.read(f"chart-templates/argocd/health/{kind}.lua").decode() for kind in _HEALTH},
    }
