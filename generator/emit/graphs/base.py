"""What the graphs share: names of the instance, objects, readiness, the security that every pod has.

Written for kro v0.9.3: every spec field is required or has a default, readiness is that of the real objects,
cluster-scoped children carry no owner reference, literal strings hold no `${`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from generator import naming

NAME = "${schema.metadata.name}"
NAMESPACE = "${schema.metadata.namespace}"
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
QUANTITY = 'pattern="^[0-9]+(m|Mi|Gi|Ti)?$"'

CONTAINER_SECURITY: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True, slots=True)
class Graph:
    """A ResourceGraphDefinition. `children` are what it makes, as API group and resources.

    `grants` are rights that it gives away: a controller must hold what it grants (Kubernetes, RBAC escalation).
    """

    name: str
    kind: str
    plural: str
    children: tuple[tuple[str, tuple[str, ...]], ...]
    spec: Callable[[], Mapping[str, Any]]
    grants: tuple[Mapping[str, Any], ...] = ()


def definition(graph: Graph) -> dict[str, Any]:
    return {
        "apiVersion": "kro.run/v1alpha1",
        "kind": "ResourceGraphDefinition",
        "metadata": {
            "name": graph.kind.lower(),
            "labels": dict(naming.labels("resource-graph", graph.name)),
            "annotations": {"argocd.argoproj.io/sync-options": "SkipDryRunOnMissingResource=true"},
        },
        "spec": dict(graph.spec()),
    }


def cluster_role(graph: Graph) -> dict[str, Any]:
    """The rights of kro's controller for this graph (rbac.mode aggregation)."""
    own = [graph.plural, f"{graph.plural}/status", f"{graph.plural}/finalizers"]
    rules: list[dict[str, Any]] = [{"apiGroups": [naming.KRO_GROUP], "resources": own, "verbs": VERBS}]
    rules += [{"apiGroups": [group], "resources": list(kinds), "verbs": VERBS} for group, kinds in graph.children]
    rules += [dict(rule) for rule in graph.grants]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {
            "name": f"modelyard-kro-{graph.name}",
            "labels": {**naming.labels("kro-rights", graph.name), "rbac.kro.run/aggregate-to-controller": "true"},
        },
        "rules": rules,
    }


def condition(resource: str, kind: str) -> str:
    return f"{resource}.status.conditions.exists(c, c.type == '{kind}' && c.status == 'True')"


def made(api: str, kind: str, name: str, labels: Mapping[str, str], *, namespaced: bool = True) -> dict[str, Any]:
    place = {"namespace": NAMESPACE} if namespaced else {}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, **place, "labels": dict(labels)}}
