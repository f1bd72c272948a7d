"""Everything that can be said of ResourceGraphDefinitions before they meet a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from generator.errors import Diagnostic, Fault, Path, Severity
from generator.kro import environment, expressions, practice, semantics, shape, structure, typecheck
from generator.kro.expressions import NestedExpression
from generator.kro.graph import Graph, graph_of, is_graph
from generator.kro.reading import Document
from generator.kro.schemas import Schemas
from generator.kro.simpleschema import convert


def check(documents: Iterable[Document], schemas: Schemas | None = None) -> list[Diagnostic]:
    """What is wrong with the graphs among `documents`, in the order of the files.

    The kinds that they define are known to one another. Without CEL installed, expressions are left out and one warning
    says so.
    """
    graphs = [document for document in documents if is_graph(document.data)]
    known = (schemas or Schemas()).with_graphs(graph_of(document.data) for document in graphs)
    found = [document.diagnostic(fault) for document in graphs for fault in faults(document.data, known)]
    if graphs and not environment.available():
        message = "expressions were not checked: the package cel-expr-python is not installed"
        hint = "pip install 'modelyard[kro]'"
        found.append(Diagnostic(message, graphs[0].file, hint=hint, severity=Severity.WARNING))
    return sorted(dict.fromkeys(found), key=Diagnostic.sort_key)


def faults(data: Mapping[str, Any], schemas: Schemas) -> Iterator[Fault]:
    """What is wrong with one graph."""
    yield from shape.faults(data, schemas.namespaced)
    graph = graph_of(data)
    converted = convert(graph.spec, graph.types)
    yield from converted.faults
    yield from _writing(data)
    yield from _templates(graph, schemas)
    if environment.available():
        analysis = semantics.analyse(graph, converted.schema)
        typecheck.check(analysis, graph, converted.schema, schemas)
        yield from analysis.faults
        yield from practice.faults(graph, converted.schema, analysis.uses, schemas)


def _templates(graph: Graph, schemas: Schemas) -> Iterator[Fault]:
    for resource in graph.resources:
        if resource.template is not None:
            schema = schemas.template(resource.kind)
            yield from structure.faults(dict(resource.template), schema, resource.object_place)


def _writing(data: Mapping[str, Any]) -> Iterator[Fault]:
    """How expressions are written: nesting, ends, keys, `$$`."""
    spec = data.get("spec")
    parts = spec if isinstance(spec, dict) else {}
    schema = parts.get("schema")
    status = schema.get("status") if isinstance(schema, dict) else None
    for node, place in ((parts.get("resources"), ("spec", "resources")), (status, ("spec", "schema", "status"))):
        for path in expressions.keys(node, place):
            yield _warning(path, "kro does not evaluate keys: this one stays as it is written", "build the map in CEL")
        for path, text in expressions.strings(node, place):
            yield from _text(path, text)


def _text(path: Path, text: str) -> Iterator[Fault]:
    try:
        found = expressions.scan(text)
    except NestedExpression as fault:
        near = text[max(0, fault.offset - 20) : fault.offset + 20]
        hint = 'inside an expression write names alone; literal text goes into quotes: ${"${VAR}"}'
        yield Fault(path, f"an expression inside an expression, near `{semantics.shown(near)}`", hint)
        return
    if found.unterminated is not None:
        rest = semantics.shown(text[found.unterminated :])
        yield _warning(path, f"`{rest[:40]}` has no closing brace: it is not evaluated", "close it with }")
    for piece in found.found:
        if piece.start and text[piece.start - 1] == "$":
            hint = 'for a literal ${X} write ${"${X}"}'
            yield _warning(path, "`$${` is no escape: kro evaluates it, and one $ stays before the value", hint)


def _warning(path: Path, message: str, hint: str) -> Fault:
    return Fault(path, message, hint, Severity.WARNING)
