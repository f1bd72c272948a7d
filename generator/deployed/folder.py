"""`clusters/<cluster>/kustomization.yaml` and `manifests/`: what `kubectl apply -k` and `oc apply -k` take.

For clusters that no Argo CD serves. The objects are those that Argo CD would make, one in each file; the bytes are
ours, whichever helm expanded the charts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from generator.deployed.applications import Application, of_cluster
from generator.deployed.documents import Object
from generator.deployed.sources import expanded, laid_out
from generator.emit import argocd
from generator.errors import UserError
from generator.plan import Cluster, Plan
from generator.yamlio import dump

MANIFESTS = "manifests"
KUSTOMIZATION = "kustomization.yaml"
_HELMS = 2  # at a time
# kubectl applies in the order of the kustomization: what others stand on comes first.
_FIRST = (
    "Namespace",
    "StorageClass",
    "NodePool",
    "ClusterRole",
    "ResourceGraphDefinition",
    "ServiceAccount",
    "SecretProviderClass",
    "ConfigMap",
    "NetworkPolicy",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "ServingRuntime",
    "Job",
)

Made = tuple[Application, list[dict[str, Any]]]


def by_hand(plan: Plan) -> tuple[Cluster, ...]:
    """The clusters that people serve with kubectl."""
    return tuple(cluster for cluster in plan.clusters if cluster.gitops == "kubectl")


def emit(plan: Plan, files: Mapping[str, bytes], helm: str | None) -> Iterator[tuple[str, bytes]]:
    """The folder of each cluster in `by_hand`, from the tree's other `files`; `helm` is the program.

    Raises UserError without helm, and in its words.
    """
    clusters = by_hand(plan)
    if not clusters:
        return
    if helm is None:
        message = f"helm is not on PATH, and expands the charts for cluster `{clusters[0].name}` (gitops: kubectl)"
        raise UserError.of(message, hint="install helm, or give its path: --helm PATH")
    with laid_out(files) as tree:
        for cluster in clusters:
            yield from _folder(cluster, _made(plan, cluster, files, tree, helm))


def _made(plan: Plan, cluster: Cluster, files: Mapping[str, bytes], tree: Path, helm: str) -> list[Made]:
    """What Argo CD would make of the tree, were the cluster one of its own."""
    served = replace(plan, clusters=(replace(cluster, gitops="argocd"),))
    root = plan.platform.root
    sets = (document for _, document in argocd.applications(served) if document["kind"] == "ApplicationSet")
    found = [a for document in sets for a in of_cluster(document, cluster.name, cluster.values, files, root)]
    with ThreadPoolExecutor(_HELMS) as pool:
        objects = pool.map(lambda application: expanded(application, tree, root, helm), found)
        return [(application, made) for application, made in zip(found, objects, strict=True) if made]


def _folder(cluster: Cluster, made: list[Made]) -> Iterator[tuple[str, bytes]]:
    """The kustomization, and a file for each object."""
    folder = f"clusters/{cluster.name}"
    found = {f"{MANIFESTS}/{_name(item)}": item for item in _namespaces(application for application, _ in made)}
    for application, objects in made:
        for item in objects:
            found[_free(f"{MANIFESTS}/{application.name}/{_name(item)}", found)] = item
    resources = sorted(found, key=lambda path: (_rank(found[path]), path))
    # Without apiVersion and kind, which kustomize knows: it is no object for a cluster.
    yield f"{folder}/{KUSTOMIZATION}", dump({"resources": resources})
    yield from ((f"{folder}/{path}", dump(item)) for path, item in found.items())


def _namespaces(applications: Iterable[Application]) -> Iterator[Object]:
    """What CreateNamespace and managedNamespaceMetadata make."""
    labels: dict[str, dict[str, str]] = {}
    for application in applications:
        labels.setdefault(application.namespace, {}).update(application.labels)
    for name in sorted(labels):
        metadata = {"name": name, "labels": labels[name]}
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _name(item: Object) -> str:
    """`<kind>-<name>.yaml`; what a file may not be called becomes a hyphen."""
    return re.sub(r"[^a-z0-9.-]+", "-", f"{item['kind']}-{item['metadata']['name']}".lower()) + ".yaml"


def _free(path: str, taken: Mapping[str, Any]) -> str:
    """`path`, with a number where objects of two groups have one kind and name."""
    stem = path.removesuffix(".yaml")
    number = 1
    while path in taken:
        number += 1
        path = f"{stem}-{number}.yaml"
    return path


def _rank(item: Object) -> int:
    return _FIRST.index(item["kind"]) if item["kind"] in _FIRST else len(_FIRST)
