"""Any string in models.yaml is data in every target, or refused with its place (promise G5).

A cell is one payload in one string of the catalogue that sets every key. It is refused with file and line, or it is
rendered: then every file parses strictly, what Argo CD and kro evaluate is byte-equal to the tree without the
payload, and real helm gives the very values that the catalogue gave.
"""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from generator import assets, compile, yamlio
from generator.errors import Diagnostic, Severity, UserError
from generator.lint import RENDERED
from generator.plan import BUCKET_SLOT

ROOT = Path(__file__).parents[2]
CASE = ROOT / "tests/cases/everything/models.yaml"

PAYLOADS: tuple[str, ...] = (
    "{{ .Values }}",
    '{{ fail "x" }}',
    "{{- printf }}",
    "{{/* x */}}",
    "{{ .metadata.annotations.aws_region }}",
    "{{",
    "}}",
    "${schema.spec.rayImage}",
    '${"x"}',
    "${",
    "$${x}",
    "$(id)",
    "`id`",
    "; rm -rf ~",
    "&& id",
    "| id",
    "$HOME",
    "${HOME}",
    "${{ parameters.x }}",
    "${{ secrets.t }}",
    "{% raw %}",
    "{% endraw %}",
    "{# x #}",
    "{%- if x %}",
    "%{ if true }",
    "%%{x}",
    "${var.x}",
    '"',
    "'",
    "\\",
    '\\"',
    "a: b",
    "a #b",
    "- a",
    "? a",
    "&a",
    "*a",
    "!!str a",
    "!tag",
    "|",
    ">",
    "%YAML 1.1",
    "---",
    "...",
    "yes",
    "no",
    "on",
    "null",
    "~",
    "012",
    "0x1F",
    "1e3",
    "1_000",
    "12:30:45",
    "2026-11-21",
    ".inf",
    "=",
    "<<",
    "a\nb",
    "a\r\nb",
    "\n",
    "\ta",
    "a ",
    " a",
    "",
    "\x00",
    "\x1b[31m",
    "\u202ea",
    "a\u200bb",
    "\ufeffa",
    "a\u2028b",
    "\u2066a",
    "<script>x</script>",
    "[x](javascript:x)",
    "a|b",
    "**b**",
    "![x](y)",
    "../../etc",
    "/etc/passwd",
    "..\\x",
    "C:\\x",
    "a//b",
    BUCKET_SLOT,
    "modelyard-bucket",
    "models/models",
    "ünïcödé",
    "模型",
    "🦙",
    "a" * 5000,
    "A",
    "-a",
    "a-",
    "a.b",
    "a_b",
    "@",
    "a@sha256:1",
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One payload at one place; what came of it."""

    place: tuple[str | int, ...]
    payload: str
    at_key: bool = False


def places(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], bool]]:
    """Every string of the catalogue, and every key of its free maps."""
    if isinstance(data, dict):
        free = path and path[-1] in ("selector", "values", "labels", "nodeSelector", "annotations")
        for key, value in data.items():
            if free:
                yield (*path, key), True
            yield from places(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from places(value, (*path, index))
    elif isinstance(data, str):
        yield path, False


def catalogue() -> dict[str, Any]:
    return dict(yaml.safe_load(CASE.read_text(encoding="utf-8")))


def cells(payloads: tuple[str, ...] = PAYLOADS) -> list[Cell]:
    return [Cell(place, payload, key) for place, key in places(catalogue()) for payload in payloads]


def planted(cell: Cell) -> dict[str, Any]:
    """The catalogue with the payload in place."""
    data = copy.deepcopy(catalogue())
    node: Any = data
    for part in cell.place[:-1]:
        node = node[part]
    last: Any = cell.place[-1]
    if cell.at_key:
        node[cell.payload] = node.pop(last)
    else:
        node[last] = cell.payload
    return data


@dataclass(frozen=True, slots=True)
class Rendered:
    """The files of an accepted cell."""

    cell: Cell
    data: dict[str, Any]
    files: dict[str, bytes]


def judge(cell: Cell, folder: Path) -> Rendered | str:
    """What the compiler makes of a cell; a text is a failure, an empty one a proper refusal."""
    data = planted(cell)
    path = folder / "models.yaml"
    path.write_bytes(yamlio.dump(data))
    found = assets.find()
    try:
        planned = compile.plan_catalogue(path, found)
        diagnostics: tuple[Diagnostic, ...] = planned.diagnostics
        if planned.plan is not None:
            return Rendered(cell, data, dict(compile.files(planned.plan, found).files))
    except UserError as error:
        diagnostics = error.diagnostics
    faults = [d for d in diagnostics if d.severity is Severity.ERROR]
    placed = faults and all(d.line and d.file and "\x1b" not in d.message + d.hint for d in faults)
    return "" if placed else f"{cell}: refused without a place: {faults}"


def baseline(folder: Path) -> dict[str, bytes]:
    """The tree without a payload."""
    unchanged = judge(Cell(("kind",), "ModelCatalog"), folder)
    assert isinstance(unchanged, Rendered), unchanged
    return unchanged.files


def faults(rendered: Rendered, plain: dict[str, bytes]) -> Iterator[str]:
    """What is wrong with an accepted cell, short of helm."""
    for path, content in rendered.files.items():
        if path.endswith(".yaml") and "/templates/" not in path:
            for part in content.decode().split("\n---\n"):
                try:
                    yamlio.load(part, path, RENDERED)
                except UserError as error:
                    yield f"{rendered.cell}: {path}: {error}"
    if rendered.cell.place[0] in ("models", "services"):
        for path in ("kro/model-service.yaml", "kro/cluster-role.yaml"):
            if rendered.files[path] != plain[path]:
                yield f"{rendered.cell}: {path} changed"
        for path in (p for p in plain if p.startswith("bootstrap/")):
            if rendered.files.get(path) != plain[path]:
                yield f"{rendered.cell}: {path} changed"


def through_helm(helm: Path, accepted: list[Rendered], folder: Path) -> Iterator[str]:
    """All accepted cells in one call for each service chart: what comes out is what went in."""
    services: dict[str, Any] = {}
    for number, rendered in enumerate(accepted):
        for path in sorted(p for p in rendered.files if p.startswith("clusters/one/services/")):
            value = next(iter(yamlio.load(rendered.files[path], path, RENDERED).data["services"].values()))
            services[f"s{number:05d}"] = value
    values = {"cluster": {"bucket": "some-bucket", "region": "eu-west-1"}, "services": services}
    path = folder / "values.yaml"
    path.write_bytes(yamlio.dump(values))
    for chart, kind in (("model-services", "ModelService"), ("ray-service", "RayService")):
        command = [str(helm), "template", "x", str(ROOT / "chart-templates" / chart), "-n", "models", "-f", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            yield f"helm refuses: {done.stderr[:500]}"
            return
        objects = {(o["kind"], o["metadata"]["name"]): o for o in yaml.load_all(done.stdout, yaml.CSafeLoader) if o}
        for name, value in services.items():
            yield from arrived(objects, kind, name, value)


def arrived(objects: dict[tuple[str, str], Any], kind: str, name: str, value: dict[str, Any]) -> Iterator[str]:
    """Whether the free text of one service stands in its objects as it was."""
    found = objects[kind, name]
    expected = value["serveConfigV2"].replace(BUCKET_SLOT, value["volume"]["bucket"] or "some-bucket")
    if found["metadata"]["annotations"]["modelyard.dev/title"] != value["title"]:
        yield f"{name}: title {value['title']!r} became {found['metadata']['annotations']}"
    if found["spec"]["serveConfigV2"] != expected:
        yield f"{name}: serveConfigV2 changed"
    route = found["spec"].get("ingress") if kind == "ModelService" else objects.get(("Ingress", name))
    if "ingress" in value:
        annotations = route["annotations"] if kind == "ModelService" else route["metadata"]["annotations"]
        if annotations != value["ingress"]["annotations"]:
            yield f"{name}: annotations {value['ingress']['annotations']} became {annotations}"
