"""Judges a rendered tree offline: every object against our schemas of its kind, and rules of practice.

Objects come from the files of the tree and, with helm, from what the charts expand to with this tree's values.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from generator import kinds, yamlio
from generator.assets import Assets
from generator.deployed import MANIFESTS, RENDERED, entries
from generator.deployed.documents import parts
from generator.emit.argocd.base import APPLICATIONS
from generator.errors import Diagnostic, Severity, UserError, dotted
from generator.kro import graph, reading
from generator.kro.check import check
from generator.kro.schemas import Schemas
from generator.runtimes import deliveries
from generator.stagings import STAGINGS
from generator.stagings.model import BUCKET

# Stand in for what an ApplicationSet reads from the cluster.
_FACTS = {
    "aws_account_id": "000000000000",
    "aws_cluster_name": "lint",
    "aws_region": "eu-west-1",
    "bucket": "lint-ray-models-000000000000",
    "resource_prefix": "lint",
}
_FACT = re.compile(r"\{\{ \.values\.(\w+) \}\}")
_SERVICES = {"cluster": {"bucket": BUCKET, "region": "{{ .values.aws_region }}"}}
# What is applied by hand to a cluster: one more time the objects of the charts and of other folders.
_APPLIED = re.compile(rf"clusters/[^/]+/{MANIFESTS}/")
# Files that are templates of something else.
_TEMPLATES = ("skeleton", "templates")


@dataclass(frozen=True, slots=True)
class Object:
    """One object and where it came from."""

    origin: str
    document: dict[str, Any]
    again: bool = False  # of a chart with the values of another region

    @property
    def kind(self) -> str:
        return str(self.document.get("kind", ""))

    @property
    def name(self) -> str:
        return str(self.document.get("metadata", {}).get("name", ""))


@dataclass(frozen=True, slots=True)
class Judged:
    """How many objects of each kind were looked at, and what was found."""

    counts: dict[str, int]
    diagnostics: tuple[Diagnostic, ...]


def lint(tree: Path, assets: Assets, helm: str | None) -> Judged:
    """Judge the tree; `helm` is the program, None leaves out what only it can tell.

    Raises UserError when the folder holds no rendered tree.
    """
    if not (tree / ".modelyard").is_dir():
        raise UserError.of("no rendered tree", file=str(tree), hint="run `modelyard render` first")
    found: list[Diagnostic] = []
    objects = [*_files(tree, found), *(_charts(tree, helm, found) if helm else ())]
    schemas = kinds.load_schemas(assets.root / "schemas" / "kinds")
    made = _made(objects)
    for obj in objects:
        found += _schema(obj, schemas, made)
    once = [obj for obj in objects if not obj.again]
    for rule in RULES:
        found += rule(once)
    found += _images(once, dict(_builds(tree)))
    found += _graphs(objects, assets)
    counts: dict[str, int] = {}
    for obj in objects:
        counts[obj.kind] = counts.get(obj.kind, 0) + 1
    return Judged(dict(sorted(counts.items())), tuple(found))


def _files(tree: Path, found: list[Diagnostic]) -> Iterator[Object]:
    for path in sorted(tree.rglob("*.yaml")):
        inside = path.relative_to(tree)
        if any(part in _TEMPLATES for part in inside.parts[:-1]):
            continue
        for obj in _documents(path.read_text(encoding="utf-8"), str(path), found):
            if "apiVersion" in obj.document and "kind" in obj.document and inside.parts[0] != "charts":
                yield obj


def _charts(tree: Path, helm: str, found: list[Diagnostic]) -> Iterator[Object]:
    for chart in sorted(path.parent for path in tree.glob("charts/*/Chart.yaml")):
        seen: set[tuple[Path, ...]] = set()
        for values, facts in _values_of(tree, chart):
            arguments = [argument for path in values for argument in ("-f", str(path))]
            arguments += [argument for key, value in facts.items() for argument in ("--set-string", f"{key}={value}")]
            origin = str(values[0] if len(values) == 1 else values[0].parent)
            text = _helm([helm, "lint", "--strict", str(chart), *arguments], origin, found)
            if text is not None:
                text = _helm([helm, "template", chart.name, str(chart), "-n", "ray-system", *arguments], origin, found)
            made = _documents(text or "", f"{origin} ({chart.name})", found)
            yield from (replace(obj, again=tuple(values) in seen) for obj in made)
            seen.add(tuple(values))


def _documents(text: str, origin: str, found: list[Diagnostic]) -> Iterator[Object]:
    """The documents of a stream, without those that hold comments only. Faults count lines inside their document."""
    for part in parts(text):
        try:
            yield Object(origin, yamlio.load(part, origin, RENDERED).data)
        except UserError as error:
            found += error.diagnostics


def _values_of(tree: Path, chart: Path) -> Iterator[tuple[list[Path], dict[str, str]]]:
    """The value files that go together: the chart's own tests, and each cluster's."""
    for path in sorted(chart.glob("ci/*.yaml")):
        yield [path], {}
    row = next((row for row in STAGINGS.values() if row.chart == chart.name), None)
    runtime, delivery = next(((r, d) for r, d in deliveries() if d.chart == chart.name), (None, None))
    given = row.given(True) if row else _SERVICES if delivery is None or delivery.of_cluster else {}
    folder = runtime.folder if runtime else ""
    name = row.chart if row else delivery.set if delivery else ""
    for cluster in _clusters(tree / APPLICATIONS / f"{name}.yaml"):
        paths = sorted((tree / "clusters" / cluster).glob(row.file if row else f"{folder}/*.yaml"))
        for region in regions(paths) if paths else ():
            yield paths, dict(_filled(given, {**_FACTS, "aws_region": region}))


def _clusters(application_set: Path) -> list[str]:
    """Entries of models.yaml for whose clusters the ApplicationSet makes something."""
    if not application_set.is_file():
        return []
    document = yamlio.load_file(application_set, str(application_set), RENDERED).data
    return sorted({values["entry"] for values, _ in entries(document["spec"]["generators"])})


def regions(paths: Iterable[Path]) -> list[str]:
    """Regions in which a cluster with these values can be: those that every cache with several has."""
    found = [set(regions) for path in paths for regions in _lists(yamlio.load_file(path, str(path), RENDERED).data)]
    return sorted(set.intersection(*found)) if found else [_FACTS["aws_region"]]


def _lists(node: Any) -> Iterator[list[str]]:
    """The names in every list of regions inside `node`."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if key == "regions":
            yield [item["region"] for item in value]
        else:
            yield from _lists(value)


def _filled(given: Mapping[str, Any], facts: Mapping[str, str], path: str = "") -> Iterator[tuple[str, str]]:
    """What an ApplicationSet would fill in, by the path of the value."""
    for key, value in given.items():
        place = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            yield from _filled(value, facts, place)
        elif isinstance(value, str):
            yield place, _FACT.sub(lambda found: facts[found[1]], value)


def _helm(command: list[str], origin: str, found: list[Diagnostic]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  a list, no shell
    except OSError as error:
        raise UserError.of(
            f"cannot run helm: {error.strerror}", file=command[0], hint="give its path: --helm, or --no-helm"
        ) from error
    if done.returncode == 0:
        return done.stdout
    found.append(Diagnostic(f"helm {command[1]}: {' '.join((done.stderr or done.stdout).split())}", origin))
    return None


def _schema(obj: Object, schemas: kinds.Schemas, made: frozenset[kinds.Kind]) -> Iterator[Diagnostic]:
    for path, message in kinds.validate(obj.document, schemas, made=made):
        yield Diagnostic(f"{obj.kind} {obj.name}: {message}", obj.origin, path=dotted(tuple(path)))


def _made(objects: Iterable[Object]) -> frozenset[kinds.Kind]:
    """Kinds that the graphs among the objects make."""
    schemas = (o.document["spec"]["schema"] for o in objects if o.kind == "ResourceGraphDefinition")
    return frozenset((f"{s.get('group', 'kro.run')}/{s['apiVersion']}", s["kind"]) for s in schemas)


def _builds(tree: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What builds images with models (`docker-bake.json`), by its path."""
    for path in sorted(tree.glob("images/*/docker-bake.json")):
        yield str(path), yamlio.load_file(path, str(path), RENDERED).data


def _images(objects: list[Object], builds: Mapping[str, Mapping[str, Any]]) -> Iterator[Diagnostic]:
    """A tag can be moved: say once per image that it is not pinned.

    An image that the tree itself builds is pinned by its tag, a digest of all that goes into it: another content has
    another tag. What it is built of has to be pinned like any other.
    """
    targets = [(origin, target) for origin, build in builds.items() for target in build["target"].values()]
    ours = {tag for _, target in targets for tag in target["tags"]}
    used = [(image, obj.origin) for obj in objects for image in _strings(obj.document, {"image", "rayImage"})]
    used += [(target["args"][name], origin) for origin, target in targets for name in ("BASE", "PRESTAGE")]
    seen: dict[str, str] = {}
    for image, origin in used:
        if "@sha256:" not in image and "${" not in image and " " not in image and "/ci/" not in origin:
            seen.setdefault(image, origin)
    for image, origin in sorted(item for item in seen.items() if item[0] not in ours):
        hint = "run `modelyard lock` where the registry can be reached, or write the digest"
        yield Diagnostic(f"image {image} is not pinned to a digest", origin, hint=hint, severity=Severity.WARNING)


def _strings(node: Any, keys: set[str]) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in keys and isinstance(value, str):
                yield value
            else:
                yield from _strings(value, keys)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value, keys)


def _unique(objects: list[Object]) -> Iterator[Diagnostic]:
    """Two objects of one cluster with one name would overwrite each other."""
    seen: dict[tuple[str, ...], str] = {}
    for obj in objects:
        meta = obj.document.get("metadata", {})
        cluster = _APPLIED.search(obj.origin) or re.search(r"clusters/[^/]+", obj.origin)
        key = (
            cluster[0] if cluster else obj.origin.partition(" ")[0],
            obj.kind,
            str(meta.get("namespace", "")),
            obj.name,
        )
        if "/ci/" not in obj.origin and key in seen:
            yield Diagnostic(f"{obj.kind} {obj.name} is made twice", obj.origin, hint=f"the other one: {seen[key]}")
        seen.setdefault(key, obj.origin)


def _handles(objects: list[Object]) -> Iterator[Diagnostic]:
    """Kubelet handles one volume per handle: a second one hangs (S3 CSI driver v2.7.0, TROUBLESHOOTING)."""
    seen: dict[tuple[str, str], str] = {}
    for obj in objects:
        handle = (
            obj.document.get("spec", {}).get("csi", {}).get("volumeHandle") if obj.kind == "PersistentVolume" else None
        )
        applied = _APPLIED.search(obj.origin)
        if handle and seen.setdefault((applied[0] if applied else obj.origin, handle), obj.name) != obj.name:
            yield Diagnostic(f"volumeHandle {handle} stands in two volumes", obj.origin)


def _secrets(objects: list[Object]) -> Iterator[Diagnostic]:
    for obj in objects:
        if obj.kind == "Secret":
            yield Diagnostic(
                f"Secret {obj.name} in Git", obj.origin, hint="keep it in the cluster or in a secret store"
            )


def _graphs(objects: list[Object], assets: Assets) -> Iterator[Diagnostic]:
    """What kro would say of the graphs of the tree; those of files with their lines."""
    narrow = {
        kinds.kind_of(schema): schema
        for name, schema in kinds.read_schemas(assets.root / "schemas" / "kinds").items()
        if name != kinds.SERVE_CONFIG
    }
    graphs = (obj for obj in objects if graph.is_graph(obj.document))
    found = [obj for obj in graphs if not _APPLIED.search(obj.origin)]  # those are copies of kro/
    files = [path for path in dict.fromkeys(Path(obj.origin) for obj in found) if path.is_file()]
    documents = [document for path in files for document in reading.read(path)]
    documents += [reading.Document(obj.document, obj.origin) for obj in found if Path(obj.origin) not in files]
    yield from check(documents, Schemas(narrow=narrow))


Rule = Callable[[list[Object]], Iterable[Diagnostic]]
RULES: tuple[Rule, ...] = (_unique, _handles, _secrets)
