"""What reads the rendered tree, for real: helm with our charts, nunjucks and nunjitsu with the Backstage template."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from generator import yamlio
from generator.deployed import RENDERED
from generator.errors import UserError
from tests.promises import fields, trees
from tests.promises.strings import Cell, Rendered
from tests.standins import scaffolder

ROOT = Path(__file__).parents[2]
CHARTS = ROOT / "chart-templates"
CLUSTER = {"bucket": "bucket-of-the-cluster", "region": "eu-west-1"}
FORM = {
    "name": "added",
    "title": "Added",
    "model": "tinyllama",
    "clusters": ["one"],
    "device": "cpu",
    "app": "text-generation",
    "memory": "8Gi",
    "route": "/added",
    "minReplicas": 1,
    "maxReplicas": 1,
}
Entry = dict[str, Any]
Files = Mapping[str, bytes]


def services(files: Files) -> dict[str, Entry]:
    """Values of the services: the same for both charts."""
    paths = _by_name(path for path in files if re.fullmatch(r"clusters/zz-two/services/.*\.yaml", path))
    return {name: entry for path in paths for name, entry in _read(files[path], path)["services"].items()}


def inference(files: Files) -> dict[str, Entry]:
    """Values of the services that KServe runs."""
    paths = _by_name(path for path in files if re.fullmatch(r"clusters/zz-two/inference/.*\.yaml", path))
    return {name: entry for path in paths for name, entry in _read(files[path], path)["services"].items()}


def _by_name(paths: Iterable[str]) -> list[str]:
    """In the order of the services' names, in which `zz` is before `zz-full`; `zz.yaml` is not."""
    return sorted(paths, key=lambda path: Path(path).stem)


def models(files: Files) -> dict[str, Entry]:
    """Values of the models that are staged."""
    found: dict[str, Entry] = _read(files["clusters/zz-two/prestage.yaml"], "prestage.yaml")["modelPrestage"]["models"]
    return found


def _read(content: bytes, path: str) -> dict[str, Any]:
    return yamlio.load(content, path, RENDERED).data


PARTS: Mapping[str, Callable[[Files], dict[str, Entry]]] = {
    "model-services": services,
    "ray-service": services,
    "kserve-service": inference,
    "prestage": models,
}
"""Chart to the values of it that a cell may change."""


def reaching(accepted: Iterable[Rendered]) -> int:
    """How many pairs of a chart and a cell there are in which the cell changes the chart's values."""
    accepted = tuple(accepted)
    return sum(part(one.files) != part(one.marked) for part in PARTS.values() for one in accepted)


def through_helm(helm: Path, accepted: Iterable[Rendered], folder: Path, charts: Path = CHARTS) -> Iterator[str]:
    """All accepted cells in one call of each chart: their objects are those of the marker, with the payload in them."""
    accepted = tuple(accepted)
    for chart, part in PARTS.items():
        yield from (f"{chart}: {what}" for what in _through_chart(helm, charts / chart, part, accepted, folder))


def _through_chart(
    helm: Path, chart: Path, part: Callable[[Files], dict[str, Entry]], accepted: tuple[Rendered, ...], folder: Path
) -> Iterator[str]:
    entries: dict[str, Entry] = {}
    pairs: list[tuple[Cell, str, str]] = []
    marked_as: dict[str, str] = {}
    for number, rendered in enumerate(accepted):
        cell = rendered.cell
        both = zip(part(rendered.marked).items(), part(rendered.files).items(), strict=True)
        for place, ((old, before), (new, after)) in enumerate(both):
            if (old, before) == (new, after):
                continue
            # A service that is named by the payload keeps its name; names of others make room for all in one call.
            named = new == cell.payload
            name = new if named else f"c{number}-{place}"
            marked = marked_as.setdefault(
                f"{cell.field.places}{cell.field.marker}{place}", old if named else f"m{number}-{place}"
            )
            entries |= {marked: before, name: after}
            pairs.append((cell, marked, name))
    made = _objects(helm, chart, entries, folder)
    for cell, marked, name in pairs:
        # One pass for both, so that neither is found inside what the other put there.
        change = _both({marked: name, cell.field.marker: cell.payload})
        expected = [trees.opened(item, change) for item in made.get(marked, ())]
        found = [trees.opened(item, lambda text: text) for item in made.get(name, ())]
        if not found or expected != found:
            yield f"{cell}: {_first(expected, found)}"


def _both(changes: Mapping[str, str]) -> Callable[[str], str]:
    pattern = re.compile("|".join(rf"(?<![a-z0-9]){re.escape(old)}(?![a-z0-9])" for old in changes))
    return lambda text: pattern.sub(lambda match: changes[match[0]], text)


def _first(expected: list[Any], found: list[Any]) -> str:
    pairs = [(one, other) for one, other in zip(found, expected, strict=False) if one != other]
    return f"{pairs[0][0]!r} is not {pairs[0][1]!r}"[:900] if pairs else f"{len(found)} objects, not {len(expected)}"


def _objects(helm: Path, chart: Path, entries: dict[str, Entry], folder: Path) -> dict[str, list[Any]]:
    """Entry to its objects."""
    prestage = {"image": "example.com/a:1", "backoffLimit": 1, "permanentExitCodes": [1]}
    where = {"s3Bucket": CLUSTER["bucket"], "region": CLUSTER["region"]}
    values: dict[str, Any] = {"cluster": CLUSTER, "services": entries}
    if chart.name == "kserve-service":
        del values["cluster"]
    if chart.name == "prestage":
        values = {"modelPrestage": {**prestage, **where, "models": entries}}
    path = folder / "values.yaml"
    path.write_bytes(yamlio.dump(values))
    command = [str(helm), "template", "x", str(chart), "-n", "models", "-f", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[:2000])
    found: dict[str, list[Any]] = {}
    for item in trees.objects(done.stdout):
        found.setdefault(item["metadata"]["labels"].get("app.kubernetes.io/instance", ""), []).append(item)
    return found


def through_backstage(accepted: Iterable[Rendered]) -> Iterator[str]:
    """The pull request adds one service to models.yaml and changes nothing else, whatever stands in it."""
    accepted = tuple(accepted)
    jobs = [job(rendered.files) for rendered in accepted]
    for engine in scaffolder.PACKAGES:
        try:
            outcomes = scaffolder.run(engine, jobs)
        except scaffolder.Failed as error:
            yield f"{engine}: {error}"
            continue
        for rendered, outcome in zip(accepted, outcomes, strict=True):
            yield from (f"{engine}: {rendered.cell}: {what}" for what in _form_faults(rendered, outcome))


def job(files: Files) -> dict[str, Any]:
    prefix = "backstage/skeleton/"
    skeletons = {path.removeprefix(prefix): files[path].decode() for path in files if path.startswith(prefix)}
    (spec,) = (document["spec"] for document in trees.documents(files["backstage/template.yaml"].decode(), "template"))
    steps = {key: spec[key] for key in ("steps", "output")}
    return {**steps, "parameters": FORM, "files": skeletons, "published": {"remoteUrl": "https://example.com/1"}}


def _form_faults(rendered: Rendered, outcome: dict[str, Any]) -> Iterator[str]:
    field, payload = rendered.cell.field, rendered.cell.payload
    before = fields.planted(field, payload)
    catalogue = before["platform"]["backstage"]["catalogue"]
    (written,) = outcome["written"]
    if list(written) != [catalogue]:
        yield f"writes {list(written)}"
        return
    try:
        after = yamlio.load(written[catalogue], catalogue).data
    except UserError as error:
        yield f"writes a catalogue with faults: {error}"
        return
    added = after["services"].pop()
    if after != before or added["name"] != FORM["name"]:
        yield "changes the catalogue"
    sent = outcome["steps"][-1]["input"]
    if sent["targetBranchName"] != before["platform"]["repository"]["revision"] or catalogue not in sent["description"]:
        yield f"sends {sent}"
