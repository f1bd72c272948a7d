"""The form of a ResourceGraphDefinition: fields, names, conditions, collections; all that needs no CEL.

Source: kro v0.9.3, its CRD, pkg/graph/validation.go and builder.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from generator.errors import Fault, Path, Severity
from generator.kro.expressions import START, NestedExpression, Scan, scan
from generator.kro.references import TYPES
from generator.kro.scopes import namespaced
from generator.suggest import suggest

ID = re.compile(r"[a-z][a-zA-Z0-9]*")
MAX_DIMENSIONS = 10
_RESERVED = """
    apiVersion context dependency dependencies each externalRef externalReference externalRefs externalReferences
    graph instance item items kind kro metadata namespace object resource resourcegraphdefinition
    resourceGraphDefinition resources root runtime schema self serviceAccountName spec status this variables vars
    version true false null in as break const continue else for function if import let loop package return var void
    while
"""
RESERVED = frozenset(_RESERVED.split())
_SCHEMA_FIELDS = {
    "apiVersion": str,
    "kind": str,
    "group": str,
    "scope": str,
    "spec": dict,
    "status": dict,
    "types": dict,
    "metadata": dict,
    "additionalPrinterColumns": list,
}
_RESOURCE_FIELDS = {
    "id": str,
    "template": dict,
    "externalRef": dict,
    "readyWhen": list,
    "includeWhen": list,
    "forEach": list,
}
_WORDS: dict[type, str] = {str: "text", dict: "an object", list: "a list"}

Scope = Callable[[str, str], bool | None]
"""Whether objects of (apiVersion, kind) live in a namespace; None where that is not known."""


def faults(data: Mapping[str, Any], scope: Scope = namespaced) -> Iterator[Fault]:
    """What kro or the API server would refuse, before any expression is looked at."""
    metadata = data.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        yield Fault(("metadata",), "metadata.name is missing", "name the graph")
    elif "namespace" in metadata:
        hint = "leave it out: graphs belong to the whole cluster"
        yield Fault(("metadata", "namespace"), "a graph has no namespace", hint, Severity.WARNING)
    spec = data.get("spec")
    if not isinstance(spec, dict):
        yield Fault(("spec",), "spec is missing", "write spec.schema and spec.resources")
        return
    yield from _fields(spec, {"schema": dict, "resources": list}, ("spec",))
    schema, resources = spec.get("schema"), spec.get("resources")
    if isinstance(schema, dict):
        yield from _schema(schema, ("spec", "schema"))
    elif "schema" not in spec:
        yield Fault(("spec",), "spec.schema is missing", "it says the kind that instances have")
    in_cluster = isinstance(schema, dict) and schema.get("scope") == "Cluster"
    if isinstance(resources, list):
        yield from _resources(resources, in_cluster, scope)


def _fields(node: Mapping[str, Any], known: Mapping[str, type], place: Path) -> Iterator[Fault]:
    for name, value in node.items():
        if name not in known:
            hint = suggest(str(name), known)
            yield Fault((*place, str(name)), f"kro has no field `{name}` here", hint, Severity.WARNING)
        elif value is not None and not isinstance(value, known[name]):
            yield Fault((*place, name), f"must be {_WORDS[known[name]]}")


def _schema(schema: Mapping[str, Any], place: Path) -> Iterator[Fault]:
    yield from _fields(schema, _SCHEMA_FIELDS, place)
    rules = {
        "apiVersion": (
            r"v[0-9]+(alpha[0-9]+|beta[0-9]+)?",
            "a version alone, such as v1alpha1; the group stands apart",
        ),
        "kind": (r"[A-Z][a-zA-Z0-9]{0,62}", "UpperCamelCase, at most 63 characters"),
        "group": (r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", "a DNS name"),
        "scope": (r"Namespaced|Cluster", "Namespaced or Cluster"),
    }
    for name, (pattern, words) in rules.items():
        value = schema.get(name)
        if value is None and name in ("apiVersion", "kind"):
            yield Fault(place, f"{name} is missing", f"write {words}")
        elif isinstance(value, str) and value and not re.fullmatch(pattern, value):
            yield Fault((*place, name), f"`{value}` is no {name} that kro takes", f"write {words}")
    if isinstance(schema.get("status"), dict):
        yield from _status(schema["status"], (*place, "status"))


def _status(status: Mapping[str, Any], place: Path) -> Iterator[Fault]:
    if "state" in status:
        hint = "choose another name"
        yield Fault((*place, "state"), "`state` is kro's own field of the status", hint, Severity.WARNING)
    for path, value in _leaves(status, place):
        if not isinstance(value, str) or START not in value:
            hint = "kro infers the type of a status field: write an expression, as in ${deployment.status.replicas}"
            yield Fault(path, "a status field without an expression", hint)


def _leaves(node: Any, place: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, (*place, str(key)))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _leaves(value, (*place, index))
    else:
        yield place, node


def _resources(resources: list[Any], in_cluster: bool, scope: Scope) -> Iterator[Fault]:
    seen: set[str] = set()
    ids = {str(item.get("id")) for item in resources if isinstance(item, dict)}
    for index, item in enumerate(resources):
        place: Path = ("spec", "resources", index)
        if not isinstance(item, dict):
            yield Fault(place, "a resource is an object", "write id and template")
            continue
        yield from _fields(item, _RESOURCE_FIELDS, place)
        yield from _id(item.get("id"), seen, place)
        yield from _body(item, place, in_cluster, scope)
        for name in ("readyWhen", "includeWhen"):
            conditions = item.get(name)
            for number, text in enumerate(conditions if isinstance(conditions, list) else ()):
                yield from standalone(text, (*place, name, number))
        yield from _for_each(item.get("forEach"), ids, (*place, "forEach"))


def _id(name: Any, seen: set[str], place: Path) -> Iterator[Fault]:
    if not isinstance(name, str):
        yield Fault(place, "id is missing", "name the resource in lowerCamelCase")
        return
    where = (*place, "id")
    if name in RESERVED:
        yield Fault(where, f"`{name}` is reserved", "choose another id")
    elif not ID.fullmatch(name):
        yield Fault(where, f"`{name}` is no id", "lowerCamelCase: letters and digits; `-` would be a minus in CEL")
    elif name in TYPES:
        hint = "choose another id"
        yield Fault(where, f"`{name}` is a type of CEL: expressions may not reach the resource", hint, Severity.WARNING)
    if name in seen:
        yield Fault(where, f"the id `{name}` stands twice", "give each resource its own")
    seen.add(name)


def _body(item: Mapping[str, Any], place: Path, in_cluster: bool, scope: Scope) -> Iterator[Fault]:
    template, external = item.get("template"), item.get("externalRef")
    if (template is None) == (external is None):
        yield Fault(place, "exactly one of template and externalRef is wanted", "kro makes the one and reads the other")
    if isinstance(template, dict):
        yield from _template(template, (*place, "template"), in_cluster, scope)
    if isinstance(external, dict):
        if item.get("forEach"):
            yield Fault((*place, "forEach"), "forEach goes with a template only", "select objects: metadata.selector")
        yield from _external(external, (*place, "externalRef"))


def _template(template: Mapping[str, Any], place: Path, in_cluster: bool, scope: Scope) -> Iterator[Fault]:
    yield from _kind(template, place)
    metadata = template.get("metadata")
    if not isinstance(metadata, dict):
        yield Fault(place, "metadata is missing", "name the object: metadata.name")
        return
    labels = metadata.get("labels")
    for key in labels if isinstance(labels, dict) else ():
        if str(key).startswith("kro.run/"):
            where = (*place, "metadata", "labels", str(key))
            yield Fault(where, "labels that begin with kro.run/ are kro's own", "choose another prefix")
    known = scope(str(template.get("apiVersion")), str(template.get("kind")))
    if known is False and "namespace" in metadata:
        where = (*place, "metadata", "namespace")
        yield Fault(where, f"{template['kind']} belongs to the whole cluster and has no namespace", "leave it out")
    if known is True and in_cluster and not str(metadata.get("namespace") or "").strip():
        message = f"{template['kind']} needs metadata.namespace: an instance of scope Cluster has none to pass on"
        yield Fault((*place, "metadata"), message, "write metadata.namespace")


def _kind(node: Mapping[str, Any], place: Path) -> Iterator[Fault]:
    for name in ("apiVersion", "kind"):
        value = node.get(name)
        if not isinstance(value, str) or not value:
            yield Fault(place, f"{name} is missing")
        elif START in value:
            yield Fault(
                (*place, name), f"{name} cannot be an expression", "kro looks up the schema of the literal kind"
            )


def _external(external: Mapping[str, Any], place: Path) -> Iterator[Fault]:
    yield from _kind(external, place)
    yield from _fields(external, {"apiVersion": str, "kind": str, "metadata": dict}, place)
    metadata = external.get("metadata")
    if not isinstance(metadata, dict):
        yield Fault(place, "metadata is missing", "name the object: externalRef.metadata.name")
        return
    if (not metadata.get("name")) == ("selector" not in metadata):
        yield Fault((*place, "metadata"), "exactly one of name and selector is wanted")


def _for_each(items: Any, ids: set[str], place: Path) -> Iterator[Fault]:
    if not isinstance(items, list):
        return
    if len(items) > MAX_DIMENSIONS:
        yield Fault(
            place, f"more than {MAX_DIMENSIONS} dimensions", "kro's limit: config.rgd.maxCollectionDimensionSize"
        )
    seen: set[str] = set()
    for index, item in enumerate(items):
        if not isinstance(item, dict) or len(item) != 1:
            yield Fault(
                (*place, index), "each dimension is one name with one expression", "- zone: ${schema.spec.zones}"
            )
            continue
        ((name, text),) = item.items()
        where = (*place, index, str(name))
        if not ID.fullmatch(str(name)) or name in RESERVED:
            yield Fault(where, f"`{name}` cannot name an iterator", "lowerCamelCase, and no word that kro reserves")
        elif name in ids or name in seen:
            yield Fault(where, f"the iterator `{name}` has the name of another one or of a resource", "rename it")
        seen.add(str(name))
        yield from standalone(text, where)


def standalone(text: Any, place: Path) -> Iterator[Fault]:
    """A condition or an iterator is one expression and nothing around it."""
    try:
        found: Scan | None = scan(text) if isinstance(text, str) else None
    except NestedExpression:
        return  # told with the expressions
    if found is None or not found.whole:
        ends = isinstance(text, str) and text != text.strip() and scan(text.strip()).whole
        hint = "use |- or >-: the line feed at the end is text too" if ends else "write ${...} and nothing around it"
        yield Fault(place, "must be exactly one expression", hint)
