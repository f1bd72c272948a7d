"""What the Applications and ApplicationSets share.

Everything that belongs to a cluster is read from the annotations of its Secret (GitOps Bridge), with
`missingkey=error`: a cluster without the annotation stops the ApplicationSet instead of getting an empty value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from generator import naming
from generator.plan import Cluster, Plan
from generator.providers import PROVIDERS

APPLICATIONS = "bootstrap/applications"
ROOT = "modelyard-root"
IN_CLUSTER = "https://kubernetes.default.svc"
ADDONS_PROJECT_SUFFIX = "-addons"
SYNC_OPTIONS = ["CreateNamespace=true", "ServerSideApply=true", "SkipDryRunOnMissingResource=true", "PruneLast=true"]
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}


def metadata(plan: Plan, name: str, wave: int = 0) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": plan.platform.argocd_namespace,
        "labels": dict(naming.labels("gitops", name)),
        **({"annotations": {"argocd.argoproj.io/sync-wave": str(wave)}} if wave else {}),
    }


def sync(options: Sequence[str], labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "automated": {"prune": True, "selfHeal": True},
        "retry": {"limit": 10, "backoff": {"duration": "15s", "factor": 2, "maxDuration": "10m"}},
        "syncOptions": list(options),
        **({"managedNamespaceMetadata": {"labels": labels}} if labels else {}),
    }


def bridge(cluster: Cluster, key: str) -> str:
    """A value of the cluster: stated in models.yaml, else read from the annotation of its Secret, if it has such."""
    annotation = f"{{{{ .metadata.annotations.{key} }}}}" if key in PROVIDERS[cluster.provider].bridge_keys else ""
    return cluster.values.get(key) or annotation


def bucket(cluster: Cluster) -> str:
    """The bucket that is named after the cluster; empty where the cluster has no account of AWS.

    Put together for each cluster: a template for all would leave those without with the name's middle.
    """
    prefix, account = bridge(cluster, "resource_prefix"), bridge(cluster, "aws_account_id")
    return f"{prefix}-ray-models-{account}" if prefix and account else ""


def clusters_of(cluster: Cluster, keys: Iterable[str] = ()) -> dict[str, Any]:
    """Cluster generator of one entry of models.yaml; `keys`, of annotations or `bucket`, become `.values.<key>`."""
    found = {key: bucket(cluster) if key == "bucket" else bridge(cluster, key) for key in keys}
    values = {"entry": cluster.name} | found
    labels = {"argocd.argoproj.io/secret-type": "cluster", **cluster.selector}
    return {"clusters": {"selector": {"matchLabels": labels}, "values": values}}


def application_set(
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
        "metadata": metadata(plan, name, wave),
        "spec": {
            "goTemplate": True,
            "goTemplateOptions": ["missingkey=error"],
            "generators": generators,
            "syncPolicy": {"preserveResourcesOnDeletion": True},
            "template": template,
        },
    }


def template(
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
            "syncPolicy": sync(options, RESTRICTED if restricted else None),
            **({"ignoreDifferences": differences} if differences else {}),
        },
    }


def git(plan: Plan, path: str, **source: Any) -> dict[str, Any]:
    platform = plan.platform
    return {
        "repoURL": platform.repo_url,
        "targetRevision": platform.repo_revision,
        "path": f"{platform.root}/{path}",
        **source,
    }
