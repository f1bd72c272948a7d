"""`kro check` and `kro expand`: ResourceGraphDefinitions without a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from generator import report
from generator.errors import Diagnostic, ExitCode, Fault, Severity, UserError, dotted, exit_code
from generator.kro import reading, schemas
from generator.kro.check import check as judge
from generator.kro.expand import Expansion, expanded, instance_faults
from generator.kro.graph import KIND, Graph, Kind, graph_of, is_graph
from generator.kro.reading import Document
from generator.suggest import suggest
from generator.yamlio import dump_all


def check(places: Sequence[Path], *, schema_places: Sequence[Path], output: str) -> ExitCode:
    """Say what is wrong with every graph in `places`."""
    documents, unread = _read(places)
    graphs = sum(is_graph(document.data) for document in documents)
    if not graphs and not unread:
        hint = "it looks for kind: ResourceGraphDefinition of kro.run/v1alpha1"
        raise UserError.of("there is no ResourceGraphDefinition", file=str(places[0]), hint=hint)
    found = [*unread, *judge(documents, schemas.load(schema_places))]
    report.diagnostics(found, output=output)
    code = exit_code(found)
    if output == "text":
        warnings = sum(d.severity is Severity.WARNING for d in found)
        verdict = "faults found" if code else "no faults"
        report.line(f"{report.counted(graphs, 'graph')}: {verdict}, {report.counted(warnings, 'warning')}")
    return code


def _read(places: Sequence[Path]) -> tuple[list[Document], list[Diagnostic]]:
    """The documents of the files, and the faults of those that do not read; in folders, of files with graphs alone."""
    documents: list[Document] = []
    unread: list[Diagnostic] = []
    for path in reading.files(list(places)):
        if path in places or KIND[1].encode() in path.read_bytes():
            try:
                documents += reading.read(path)
            except UserError as error:
                unread += error.diagnostics
    return documents, unread


def expand(
    places: Sequence[Path], *, rgd: Sequence[Path], live: Sequence[Path], recursive: bool, output: str
) -> ExitCode:
    """Print the objects that the instances in `places` become, and beside them those that no graph has to do with."""
    documents = [document for path in reading.files(list(places)) for document in reading.read(path)]
    instances = [document for document in documents if not is_graph(document.data)]
    graphs = _by_kind(documents)
    if not all(_kind(document.data) in graphs for document in instances):
        graphs = {**_graphs(rgd), **graphs}
    given = _objects([document.data for path in reading.files(list(live)) for document in reading.read(path)])
    found: list[Diagnostic] = []
    objects: list[dict[str, Any]] = []
    groups = {version.partition("/")[0] for version, _ in graphs}
    known = any(_kind(document.data) in graphs for document in instances)
    while instances:
        document = instances.pop(0)
        if known and _kind(document.data)[0].partition("/")[0] not in groups:
            objects.append(dict(document.data))
            continue
        made, told = _expanded(document, _sound(_definition(document, graphs)), given)
        found += told
        objects += made
        if recursive:
            inner = (Document(obj, document.file) for obj in made if _kind(obj) in graphs)
            instances = [*inner, *instances]
    report.diagnostics(found, output="text")
    code = exit_code(found)
    if code is ExitCode.OK:
        text = json.dumps(objects, ensure_ascii=False, indent=2) if output == "json" else dump_all(objects).decode()
        report.line(text.removesuffix("\n"))
    return code


def _expanded(
    document: Document, graph: Graph, given: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[Diagnostic]]:
    faults = [document.diagnostic(fault) for fault in instance_faults(graph, document.data)]
    if faults:
        return [], faults
    expansion = expanded(graph, document.data, given)
    return expansion.objects, list(_told(document, expansion))


def _told(document: Document, expansion: Expansion) -> Iterable[Diagnostic]:
    name = str(document.data["metadata"]["name"])
    for fault in expansion.faults:
        yield document.diagnostic(Fault((), f"{name}: {fault.message}", fault.hint))
    for note in expansion.notes:
        place = dotted((note.resource, *note.path))
        message = f"{name}: {note.reason}"
        yield Diagnostic(message, document.file, path=place, severity=Severity.WARNING)


def _graphs(places: Sequence[Path]) -> Mapping[Kind, Document]:
    graphs = _by_kind(document for path in reading.files(list(places)) for document in reading.read(path))
    if not graphs:
        hint = "name the file or folder of the graph: --rgd"
        raise UserError.of("there is no ResourceGraphDefinition", file=str(places[0]), hint=hint)
    return graphs


def _by_kind(documents: Iterable[Document]) -> dict[Kind, Document]:
    return {graph_of(document.data).kind: document for document in documents if is_graph(document.data)}


def _sound(definition: Document) -> Graph:
    """The graph of a document. Raises UserError with what kro would refuse in it."""
    found = [d for d in judge([definition]) if d.severity is Severity.ERROR]
    if found:
        raise UserError(found)
    return graph_of(definition.data)


def _kind(data: Mapping[str, Any]) -> Kind:
    return str(data.get("apiVersion", "")), str(data.get("kind", ""))


def _definition(document: Document, graphs: Mapping[Kind, Document]) -> Document:
    kind = _kind(document.data)
    if kind not in graphs:
        known = [f"{name} of {version}" for version, name in graphs]
        line, column = document.locate(("kind",))
        message = f"no graph makes {kind[1] or 'an object without a kind'} of {kind[0] or 'no apiVersion'}"
        hint = suggest(f"{kind[1]} of {kind[0]}", known)
        raise UserError((Diagnostic(message, document.file, line, column, "kind", hint),))
    return graphs[kind]


def _objects(given: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Objects, those of lists (`kubectl get -o yaml`) included."""
    out: list[Mapping[str, Any]] = []
    for item in given:
        out += (
            item["items"]
            if isinstance(item.get("items"), list) and str(item.get("kind", "")).endswith("List")
            else [item]
        )
    return out
