"""The objects that Argo CD, helm and kro make of a rendered tree for one cluster.

The ApplicationSets say which chart gets which values. What they read from the annotations of the cluster's Secret is
made up: the rehearsal has no cluster.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from generator import yamlio
from generator.emit.graphs import GRAPHS
from generator.errors import UserError
from generator.kro.expand import expand
from generator.lint import RENDERED, regions
from generator.runtimes import deliveries
from generator.stagings import STAGINGS
from generator.suggest import suggest

Object = Mapping[str, Any]

ANNOTATIONS = {"aws_account_id": "000000000000", "aws_region": "eu-west-1", "resource_prefix": "rehearsal"}
SERVICE_SETS = {delivery.set: runtime.folder for runtime, delivery in deliveries()}
_APPLICATIONS = "bootstrap/applications"
_EXPRESSION = re.compile(r"\{\{ (.+?) \}\}")
_HELM_TIMEOUT = 120.0  # seconds


@dataclass(frozen=True, slots=True)
class Place:
    """A service on a cluster. `set` is the ApplicationSet that brings it there."""

    cluster: str
    service: str
    set: str


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a cluster would hold. `facts` are the made-up annotations that were asked for."""

    place: Place
    objects: tuple[Object, ...]
    facts: Mapping[str, str]


def places(tree: Path) -> tuple[Place, ...]:
    """Every service of the tree on each of its clusters, sorted. Raises UserError where there is no tree."""
    if not (tree / ".modelyard").is_dir():
        raise UserError.of("no rendered tree", file=str(tree), hint="run `modelyard render` first, or name it: --tree")
    sets = {
        (values["entry"], folder): name
        for name, folder in SERVICE_SETS.items()
        if (tree / _set_file(name)).is_file()
        for values in _clusters(_read(tree, _set_file(name))["spec"]["generators"])
    }
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


GRAPH_FILES = {graph.kind: f"kro/{name}.yaml" for name, graph in GRAPHS.items()}


def deploy(tree: Path, place: Place, helm: str) -> Deployed:
    """Everything that concerns the service: what stages its models, the code, the RayService and its volumes."""
    used: dict[str, str] = {}
    objects = [_read(tree, path.relative_to(tree).as_posix()) for path in sorted(tree.glob("serve/*.yaml"))]
    sets = [row.chart for row in STAGINGS.values() if (tree / _set_file(row.chart)).is_file()]
    for name in (*sets, place.set):
        for item in _expanded(tree, helm, name, place, used):
            graph = GRAPH_FILES.get(item["kind"])
            objects += expand(_read(tree, graph), item) if graph else [item]
    return Deployed(place, tuple(objects), used)


def _expanded(tree: Path, helm: str, name: str, place: Place, used: dict[str, str]) -> list[dict[str, Any]]:
    """The objects of the Application that the set `name` makes for the cluster (and the service's file)."""
    spec = _read(tree, _set_file(name))["spec"]
    values = next((entry for entry in _clusters(spec["generators"]) if entry["entry"] == place.cluster), None)
    if values is None:
        return []  # the cluster has nothing of this kind
    files = sorted((tree / "clusters" / place.cluster).rglob("*.yaml"))
    annotations = {**ANNOTATIONS, "aws_region": next(iter(regions(files)), ANNOTATIONS["aws_region"])}
    facts = _Facts({f".metadata.annotations.{key}": value for key, value in annotations.items()}, used)
    known = {f".values.{key}": str(filled(value, facts)) for key, value in values.items()}
    known |= {".name": place.cluster, ".nameNormalized": place.cluster, ".path.filename": f"{place.service}.yaml"}
    known['trimSuffix ".yaml" .path.filename'] = place.service
    application = filled(spec["template"]["spec"], known)
    return _template(tree, helm, application)


class _Facts(dict[str, str]):
    """Made-up annotations; notes the ones that were asked for, and makes one up where none is known."""

    def __init__(self, facts: Mapping[str, str], used: dict[str, str]) -> None:
        super().__init__(facts)
        self._used = used

    def __getitem__(self, key: str) -> str:
        name = key.removeprefix(".metadata.annotations.")
        self._used[name] = self.get(key, "rehearsal")
        return self._used[name]


def filled(node: Any, facts: Mapping[str, str]) -> Any:
    """Templates of an ApplicationSet with `facts` in their places; UserError where one is not known."""
    if isinstance(node, dict):
        return {key: filled(value, facts) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, facts) for value in node]
    return _EXPRESSION.sub(lambda found: _fact(found[1], facts), node) if isinstance(node, str) else node


def _fact(expression: str, facts: Mapping[str, str]) -> str:
    try:
        return facts[expression]
    except KeyError:
        hint = "run `modelyard render` with this version of modelyard"
        raise UserError.of(
            f"an ApplicationSet asks for {{{{ {expression} }}}}, which is not known", hint=hint
        ) from None


def _template(tree: Path, helm: str, application: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`helm template` of an Application's chart, as Argo CD runs it."""
    source = application["source"]
    chart = tree / _inside(tree, source["path"])
    files = [chart / name for name in source["helm"]["valueFiles"]]
    command = [helm, "template", source["helm"]["releaseName"], str(chart)]
    options = ["-n", application["destination"]["namespace"], *(word for path in files for word in ("-f", str(path)))]
    values = yamlio.dump(source["helm"].get("valuesObject", {})).decode()
    try:
        done = subprocess.run(  # noqa: S603  a list, no shell
            [*command, *options, "-f", "-"],
            input=values,
            capture_output=True,
            text=True,
            check=False,
            timeout=_HELM_TIMEOUT,
        )
    except OSError as error:
        hint = "install helm, or give its path: --helm PATH"
        raise UserError.of(f"cannot run helm: {error.strerror}", file=helm, hint=hint) from error
    except subprocess.TimeoutExpired as error:
        raise UserError.of(f"helm template takes more than {_HELM_TIMEOUT:.0f} s", file=str(chart)) from error
    if done.returncode:
        raise UserError.of(f"helm template: {' '.join(done.stderr.split())}", file=str(chart))
    return list(_documents(done.stdout, str(chart)))


def _documents(text: str, origin: str) -> Iterator[dict[str, Any]]:
    for part in re.split(r"^---$", text, flags=re.MULTILINE):
        if any(line and not line.startswith("#") for line in part.splitlines()):
            yield yamlio.load(part, origin, RENDERED).data


def _inside(tree: Path, path: str) -> str:
    """A path of the repository below the tree: the root Application says where the tree stands."""
    (root,) = (item for item in _read_all(tree, "bootstrap/root.yaml") if item["kind"] == "Application")
    prefix = str(root["spec"]["source"]["path"]).removesuffix(_APPLICATIONS).rstrip("/")
    return PurePosixPath(path).relative_to(prefix).as_posix()


def _clusters(generators: Any) -> Iterator[dict[str, Any]]:
    """The values of each cluster generator."""
    for inner in generators:
        if "matrix" in inner:
            yield from _clusters(inner["matrix"]["generators"])
        if "clusters" in inner:
            yield inner["clusters"]["values"]


def _set_file(name: str) -> str:
    return f"{_APPLICATIONS}/{name}.yaml"


def _read(tree: Path, path: str) -> dict[str, Any]:
    (document,) = _read_all(tree, path)
    return document


def _read_all(tree: Path, path: str) -> list[dict[str, Any]]:
    try:
        return list(_documents((tree / path).read_text(encoding="utf-8"), str(tree / path)))
    except FileNotFoundError as error:
        hint = "the tree is not complete: run `modelyard render`"
        raise UserError.of("is missing", file=str(tree / path), hint=hint) from error
