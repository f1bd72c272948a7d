"""A service of a rendered tree on a cluster, and the objects that the cluster would hold for it.

Where a cluster has Argo CD, what its ApplicationSets read from the annotations of the cluster's Secret is made up: the
rehearsal has no cluster. Where people apply the tree, its manifests are what they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generator.deployed import KUSTOMIZATION, MANIFESTS, Object, documents, entries, expanded, of_cluster, root_of
from generator.emit.graphs import GRAPHS
from generator.errors import UserError
from generator.kro.expand import expand
from generator.lint import regions
from generator.runtimes import deliveries
from generator.stagings import STAGINGS
from generator.suggest import suggest

ANNOTATIONS = {"aws_account_id": "000000000000", "aws_region": "eu-west-1", "resource_prefix": "rehearsal"}
SERVICE_SETS = {delivery.set: runtime.folder for runtime, delivery in deliveries()}
GRAPH_FILES = {graph.kind: f"kro/{name}.yaml" for name, graph in GRAPHS.items()}
_APPLICATIONS = "bootstrap/applications"


@dataclass(frozen=True, slots=True)
class Place:
    """A service on a cluster. `set` is the ApplicationSet that brings it there, empty where people apply it."""

    cluster: str
    service: str
    set: str


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a cluster would hold. `facts` are the made-up annotations that were asked for.

    `plans` are those of the service's image, by file name; empty where its models are not in its image.
    """

    place: Place
    objects: tuple[Object, ...]
    facts: Mapping[str, str]
    plans: Mapping[str, bytes] = field(default_factory=dict)


def places(tree: Path) -> tuple[Place, ...]:
    """Every service of the tree on each of its clusters, sorted. Raises UserError where there is no tree."""
    if not (tree / ".modelyard").is_dir():
        raise UserError.of("no rendered tree", file=str(tree), hint="run `modelyard render` first, or name it: --tree")
    sets = {
        (values["entry"], folder): name
        for name, folder in SERVICE_SETS.items()
        if (tree / _set_file(name)).is_file()
        for values, _ in entries(_read(tree, _set_file(name))["spec"]["generators"])
    }
    sets |= {(path.parent.name, folder): "" for path in _kustomizations(tree) for folder in SERVICE_SETS.values()}
    files = sorted(path for folder in {*SERVICE_SETS.values()} for path in tree.glob(f"clusters/*/{folder}/*.yaml"))
    found = (path.parts[-3:] for path in files)
    return tuple(
        Place(cluster, file.removesuffix(".yaml"), sets[cluster, folder])
        for cluster, folder, file in found
        if (cluster, folder) in sets
    )


def chosen(found: tuple[Place, ...], service: str | None, cluster: str | None, tree: Path) -> tuple[Place, ...]:
    """The places that the words on the command line allow. Raises UserError that says which there are."""
    for kind, wanted in (("cluster", cluster), ("service", service)):
        if wanted is not None:
            known = sorted({str(getattr(place, kind)) for place in found})
            found = tuple(place for place in found if getattr(place, kind) == wanted)
            if not found:
                where = f" on cluster `{cluster}`" if kind == "service" and cluster else ""
                message = f"the rendered tree has no {kind} `{wanted}`{where}"
                raise UserError.of(message, file=str(tree), hint=suggest(wanted, known))
    if not found:
        hint = "add one: modelyard add service NAME --model MODEL"
        raise UserError.of("the rendered tree has no service", file=str(tree), hint=hint)
    return found


def deploy(tree: Path, place: Place, helm: str | None) -> Deployed:
    """Everything that concerns the service: what stages its models, the code, the service and its volumes.

    `helm` is the program; what people apply needs none. Raises UserError.
    """
    facts = _Facts(_made_up(tree, place.cluster))
    found = _applied(tree, place.cluster) if not place.set else _synced(tree, place, helm, facts)
    objects: list[Object] = []
    for item in found:
        graph = GRAPH_FILES.get(item["kind"])
        objects += expand(_read(tree, graph), item) if graph else [item]
    plans = {path.name: path.read_bytes() for path in sorted(tree.glob(f"images/{place.service}/plans/*.json"))}
    return Deployed(place, tuple(objects), facts.used, plans)


def _applied(tree: Path, cluster: str) -> Iterator[Object]:
    """What people apply."""
    for path in sorted((tree / "clusters" / cluster / MANIFESTS).rglob("*.yaml")):
        yield from _read_all(tree, path.relative_to(tree).as_posix())


def _synced(tree: Path, place: Place, helm: str | None, facts: Mapping[str, str]) -> Iterator[Object]:
    """What Argo CD makes."""
    if helm is None:
        raise UserError.of("helm is not on PATH", hint="install helm, or give its path: --helm PATH or MODELYARD_HELM")
    for path in sorted(tree.glob("serve/*.yaml")):
        yield from _read_all(tree, path.relative_to(tree).as_posix())
    root = root_of(_read_all(tree, "bootstrap/root.yaml"))
    sets = [row.chart for row in STAGINGS.values() if (tree / _set_file(row.chart)).is_file()]
    (values,) = tree.glob(f"clusters/{place.cluster}/{SERVICE_SETS[place.set]}/{place.service}.yaml")
    for name in (*sets, place.set):
        paths = [values.relative_to(tree).as_posix()]
        for application in of_cluster(_read(tree, _set_file(name)), place.cluster, facts, paths, root):
            yield from expanded(application, tree, root, helm)


class _Facts(dict[str, str]):
    """Made-up annotations; notes the ones that were asked for, and makes one up where none is known."""

    def __init__(self, facts: Mapping[str, str]) -> None:
        super().__init__(facts)
        self.used: dict[str, str] = {}

    def __getitem__(self, key: str) -> str:
        self.used[key] = self.get(key, "rehearsal")
        return self.used[key]


def _made_up(tree: Path, cluster: str) -> dict[str, str]:
    """A region is one in which the cluster's caches have a bucket."""
    folder = tree / "clusters" / cluster
    files = [path for path in sorted(folder.rglob("*.yaml")) if MANIFESTS not in path.relative_to(folder).parts]
    values = [path for path in files if path.name != KUSTOMIZATION]
    return {**ANNOTATIONS, "aws_region": next(iter(regions(values)), ANNOTATIONS["aws_region"])}


def _kustomizations(tree: Path) -> list[Path]:
    """Of the clusters that people serve."""
    return sorted(tree.glob(f"clusters/*/{KUSTOMIZATION}"))


def _set_file(name: str) -> str:
    return f"{_APPLICATIONS}/{name}.yaml"


def _read(tree: Path, path: str) -> dict[str, Any]:
    (document,) = _read_all(tree, path)
    return document


def _read_all(tree: Path, path: str) -> list[dict[str, Any]]:
    try:
        return list(documents((tree / path).read_text(encoding="utf-8"), str(tree / path)))
    except FileNotFoundError as error:
        hint = "the tree is not complete: run `modelyard render`"
        raise UserError.of("is missing", file=str(tree / path), hint=hint) from error
