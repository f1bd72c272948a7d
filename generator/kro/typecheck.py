"""The types of expressions: what CEL's checker finds, and whether a value goes where its expression stands.

Source: kro v0.9.3, pkg/graph/builder.go and pkg/cel.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from generator.kro import environment, references, types
from generator.kro.builtin import ANYTHING, OBJECT_META, TEXT
from generator.kro.environment import CelFault
from generator.kro.functions import FUNCTIONS
from generator.kro.graph import Graph, Text
from generator.kro.schemas import Schema, Schemas, at
from generator.kro.semantics import NUMBER, QUANTITIES, Analysis, Use, shown
from generator.kro.syntax import DYN, Node
from generator.kro.syntax import Type as CelType
from generator.kro.types import Types
from generator.suggest import suggest

CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")


def variables(graph: Graph, instance: Schema, schemas: Schemas) -> Types:
    """The types of `schema` and of every resource."""
    known = Types()
    meta: Mapping[str, Any] = OBJECT_META
    if graph.scope == "Cluster":
        meta = {**meta, "properties": {k: v for k, v in meta["properties"].items() if k != "namespace"}}
    fields = {"apiVersion": TEXT, "kind": TEXT, "metadata": meta, "spec": instance}
    known.add("schema", {"type": "object", "properties": fields})
    for resource in (r for r in graph.resources if r.id not in references.TYPES):
        known.add(resource.id, schemas.of(resource.kind), many=resource.many)
    known.add("runtime", None)
    return known


def check(found: Analysis, graph: Graph, instance: Schema, schemas: Schemas) -> None:
    """Add to `found` what is wrong with the types of its sound expressions."""
    uses = found.sound
    known = variables(graph, instance, schemas)
    general = known.environment()
    scopes: dict[tuple[str, str], Any] = {}
    for resource in (r for r in graph.resources if r.many):
        each = _copy(known)
        each.add("each", schemas.of(resource.kind))
        scopes[resource.id, "readyWhen"] = each.environment()
        inner = _copy(known)
        for name, text in ((n, t) for n, t in resource.for_each if n not in references.TYPES):
            inner.declare(name, _item(text, general, uses))
        scopes[resource.id, "template"] = inner.environment()
    for use in uses:
        env = scopes.get((use.resource.id, use.role), general) if use.resource else general
        kind = None if _shadows(use, graph) else _check(found, use, env, known)
        if kind is not None:
            _fit(found, use, kind, known, schemas)


def _copy(known: Types) -> Types:
    return dataclasses.replace(known, variables=dict(known.variables))


def _item(text: Text, env: Any, uses: list[Use]) -> CelType:
    """The type of one item of an iterator's list; dyn where that is not sound (told with the iterator itself)."""
    use = next((use for use in uses if use.place == text.place and use.role == "forEach"), None)
    if use is None or references.makes_condition(use.tree.root):
        return DYN
    try:
        kind = environment.checked(use.source, env).tree.type
    except CelFault:
        return DYN
    return kind.parameters[0] if kind.name == "list" and kind.parameters else DYN


def _check(found: Analysis, use: Use, env: Any, known: Types) -> CelType | None:
    """The type of the expression, or None where it has a fault or cannot be checked here."""
    if references.makes_condition(use.tree.root):
        return None
    if "omit" in references.functions(use.tree.root):
        hint = "leave the field out with includeWhen, or with `.?` instead"
        found.fault(
            use.place, use.source, "omit() needs the feature gate CELOmitFunction, off by default", hint, warn=True
        )
    try:
        return environment.checked(use.source, env).tree.type
    except CelFault as fault:
        if {"distinct", "sort"} <= set(references.functions(use.tree.root)):
            return None  # see environment._run
        found.fault(use.place, use.source, types.readable(str(fault)), _cel_hint(str(fault), use.tree.root, known))
        return None


def _shadows(use: Use, graph: Graph) -> bool:
    """Whether it reads a resource or an iterator that has the name of a type: there the checker sees the type."""
    named = {*graph.ids, *(use.resource.iterators if use.resource else ())}
    return any(root in references.TYPES and root in named for root in use.roots)


def _cel_hint(message: str, root: Node, known: Types) -> str:
    if undefined := re.match(r"undefined field '(.*)' not found in struct '(.*)'", message):
        return suggest(undefined[1], known.schemas.get(undefined[2], {}).get("properties", {}))
    if "undeclared reference" in message:
        for name in references.functions(root):
            if f"'{name.rpartition('.')[2]}'" in message or f"'{name.partition('.')[0]}'" in message:
                return suggest(name, [function.name for function in FUNCTIONS], listing=False)
    if "no matching overload" in message and "'_+_'" in message:
        return "both sides must have one type: string(...) makes text of a number"
    return ""


def _fit(found: Analysis, use: Use, kind: CelType, known: Types, schemas: Schemas) -> None:
    """Whether the type goes where the expression stands."""
    if use.role in ("includeWhen", "readyWhen"):
        bare = kind.parameters[0] if kind.name == "optional_type" and kind.parameters else kind
        if bare.name not in ("bool", "dyn"):
            found.fault(use.place, use.source, f"a condition is true or false; this is {bare}", "compare it: == true")
    elif use.role == "forEach":
        if kind.name not in ("list", "dyn"):
            found.fault(use.place, use.source, f"forEach goes over a list; this is {kind}")
    elif not use.whole:
        if kind.name not in ("string", "dyn", "error"):
            hint = f"write ${{string({shown(use.source)})}}" if kind.name in ("int", "double", "bool", "uint") else ""
            hint = 'give it a value when it is absent: .orValue("")' if kind.name == "optional_type" else hint
            found.fault(use.place, use.source, f"inside text an expression must give text; this is {kind}", hint)
    elif use.resource is not None and use.role == "template":
        _field(found, use, kind, known, schemas)


def _field(found: Analysis, use: Use, kind: CelType, known: Types, schemas: Schemas) -> None:
    resource = use.resource
    assert resource is not None  # noqa: S101  the role says so
    inside = use.place[len(resource.object_place) :]
    if resource.kind == CRD and inside[0] != "metadata":
        found.fault(use.place, use.source, "a CustomResourceDefinition may hold expressions in its metadata only")
    schema = ANYTHING if resource.external is not None else at(schemas.fields(resource.kind), inside)
    why = types.fits(kind, schema, known)
    if why:
        hint = "string(...) makes text of it" if why.endswith("takes text") else ""
        found.fault(use.place, use.source, why, hint)
    elif kind.name in ("int", "double") and use.place[-3:-1] in QUANTITIES:
        found.fault(use.place, use.source, NUMBER, f"write ${{string({shown(use.source)})}}", warn=True)
