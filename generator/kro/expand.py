"""What an instance becomes: the objects that kro would make, in its order.

Source: kro v0.9.3, pkg/runtime. Fields of other resources are known as far as their templates say them; what only a
cluster knows stays `${...}`, with a note.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from generator.errors import Fault, Path
from generator.kro import environment, references, scopes
from generator.kro.environment import CelFault
from generator.kro.evaluate import Refused, Scope, Unknown, filled, value, written
from generator.kro.graph import Graph, Resource, graph_of, ordered
from generator.kro.instance import value_faults, with_defaults
from generator.kro.simpleschema import convert

MAX_OBJECTS = 1000
_FIELDS = ("apiVersion", "kind", "metadata", "spec", "status")


@dataclass(frozen=True, slots=True)
class Made:
    """One object, and the resource of the graph that it comes from."""

    id: str
    object: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Note:
    """What could not be known: `resource` and place inside it, and the reason."""

    resource: str
    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Expansion:
    """The objects in the order in which kro applies them, what stayed open, and what fails."""

    made: tuple[Made, ...]
    notes: tuple[Note, ...]
    faults: tuple[Fault, ...]

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [written(made.object) for made in self.made]


def expand(graph: Mapping[str, Any], instance: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objects that the document `graph` makes of `instance`. Raises ValueError where it cannot."""
    expansion = expanded(graph_of(graph), instance)
    if expansion.faults:
        raise ValueError("; ".join(f"{fault.path}: {fault.message}" for fault in expansion.faults))
    return expansion.objects


def instance_faults(graph: Graph, instance: Mapping[str, Any]) -> Iterator[Fault]:
    """What the API server would refuse in an instance, defaults filled in."""
    for name in instance:
        if name not in _FIELDS:
            yield Fault((str(name),), "an instance has no such field", "its values stand below spec")
    metadata = instance.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        yield Fault(("metadata",), "metadata.name is missing", "name the instance")
    schema = convert(graph.spec, graph.types).schema
    given = instance.get("spec")
    spec = with_defaults({} if given is None else given, schema)
    found = [*value_faults(spec, schema, ("spec",))]
    yield from (Fault(path, message, hint) for path, message, hint in found)
    if not found and environment.available():
        yield from _rules(spec, schema, ("spec",))


def _rules(node: Any, schema: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    """The `validation` markers that say no; those about an older value say nothing here."""
    for rule in schema.get("x-kubernetes-validations", ()):
        try:
            holds = environment.value(rule["rule"], environment.untyped(("self",)), {"self": node})
        except CelFault:
            continue
        if holds is False:
            yield Fault(path, f"does not hold: {rule['rule']}", "a validation of the kind")
    if isinstance(node, dict):
        for name, child in schema.get("properties", {}).items():
            if node.get(name) is not None:
                yield from _rules(node[name], child, (*path, name))


def expanded(graph: Graph, instance: Mapping[str, Any], live: Sequence[Mapping[str, Any]] = ()) -> Expansion:
    """Expand `instance`; `live` are objects as a cluster has them, for references to status and for externalRef."""
    schema = convert(graph.spec, graph.types).schema
    metadata = dict(instance.get("metadata") or {})
    if graph.scope != "Cluster":
        metadata.setdefault("namespace", "default")
    given = instance.get("spec")
    values = {
        "apiVersion": instance.get("apiVersion"),
        "kind": instance.get("kind"),
        "metadata": metadata,
        "spec": with_defaults({} if given is None else given, schema),
    }
    work = _Work(graph, Scope({"schema": values}, names=graph.ids), live)
    by_id = {resource.id: resource for resource in graph.resources}
    for name in _order(graph):
        work.resource(by_id[name])
    return Expansion(tuple(work.made), tuple(work.notes), tuple(work.faults))


def _order(graph: Graph) -> tuple[str, ...]:
    needs = {}
    for resource in graph.resources:
        found = (*resource.texts(), *resource.include_when, *(text for _, text in resource.for_each))
        roots = [root for text in found for piece in text.scan.found for root in _roots(piece.source)]
        needs[resource.id] = [root for root in roots if root != resource.id]
    order, circle = ordered(graph.ids, needs)
    return (*order, *(name for name in graph.ids if circle and name not in order))


def _roots(source: str) -> tuple[str, ...]:
    try:
        return references.roots(environment.parsed(source).root)
    except CelFault:
        return ()


class _Work:
    """The state of one expansion: what was made so far, by id."""

    def __init__(self, graph: Graph, scope: Scope, live: Sequence[Mapping[str, Any]]) -> None:
        self.graph, self.scope, self.live = graph, scope, live
        self.made: list[Made] = []
        self.notes: list[Note] = []
        self.faults: list[Fault] = []
        self.excluded: set[str] = set()

    def resource(self, resource: Resource) -> None:
        if not self._included(resource):
            self.excluded.add(resource.id)
            self.scope.missing[resource.id] = f"`{resource.id}` is not made"
            return
        try:
            if resource.external is not None:
                self._external(resource)
            elif resource.for_each:
                self._collection(resource)
            else:
                self._keep(resource, self._object(resource, self.scope))
        except Refused as error:
            self.faults.append(Fault(resource.place, f"{resource.id}: {error}"))
            self.scope.missing[resource.id] = f"`{resource.id}` could not be made"

    def _included(self, resource: Resource) -> bool:
        """Whether it is made. One that depends on a resource which is not made is not made either."""
        found = (*resource.texts(), *(text for _, text in resource.for_each), *resource.include_when)
        roots = {root for text in found for piece in text.scan.found for root in _roots(piece.source)}
        if roots & self.excluded:
            return False
        for text in resource.include_when:
            try:
                if not value(text.scan.found[0].source, self.scope):
                    return False
            except Unknown as reason:
                self.notes.append(Note(resource.id, ("includeWhen",), f"whether it is made: {reason}"))
            except Refused as error:
                self.faults.append(Fault(text.place, str(error)))
                return False
        return True

    def _object(self, resource: Resource, scope: Scope) -> dict[str, Any]:
        before = len(scope.left)
        made: dict[str, Any] = filled(dict(resource.object), scope)
        for left in scope.left[before:]:
            self.notes.append(Note(resource.id, left.path, left.reason))
        if scopes.namespaced(*resource.kind) and isinstance(made.get("metadata"), dict) and resource.external is None:
            namespace = self.scope.values["schema"]["metadata"].get("namespace")
            if namespace and "namespace" not in made["metadata"]:
                made["metadata"]["namespace"] = namespace
        return made

    def _keep(self, resource: Resource, made: dict[str, Any]) -> None:
        self.made.append(Made(resource.id, made))
        known = self._living(made)
        self.scope.values[resource.id] = known or made
        if known:
            self.scope.live |= {resource.id}

    def _living(self, made: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The object of the cluster that `made` describes."""
        return next((obj for obj in self.live if _same(obj, made)), None)

    def _external(self, resource: Resource) -> None:
        wanted = self._object(resource, self.scope)
        metadata = dict(_metadata(wanted))
        wanted = {**wanted, "metadata": metadata}
        if "selector" in metadata:
            found: Any = [obj for obj in self.live if _selected(obj, wanted)]
            if not self.live:
                found = None
        else:
            if self.graph.scope != "Cluster" and scopes.namespaced(*resource.kind) is not False:
                metadata.setdefault("namespace", self.scope.values["schema"]["metadata"]["namespace"])
            found = self._living(wanted)
        if found is None:
            name = metadata.get("name", "of the selector")
            self.scope.missing[resource.id] = f"{resource.kind[1]} {name} is read from the cluster (--with)"
            return
        self.scope.values[resource.id] = found
        self.scope.live |= {resource.id}

    def _collection(self, resource: Resource) -> None:
        try:
            lists = [value(text.scan.found[0].source, self.scope) for _, text in resource.for_each]
        except Unknown as reason:
            self.notes.append(Note(resource.id, ("forEach",), f"how many are made: {reason}"))
            self.scope.missing[resource.id] = f"the items of `{resource.id}` are known in the cluster only"
            self.made.append(Made(resource.id, dict(resource.object)))
            return
        for (name, _), items in zip(resource.for_each, lists, strict=True):
            if not isinstance(items, list):
                raise Refused(f"forEach {name}: {items!r} is no list")
        combined = list(itertools.product(*lists))
        if len(combined) > MAX_OBJECTS:
            raise Refused(f"forEach makes {len(combined)} objects; kro's limit is {MAX_OBJECTS}")
        made = [self._object(resource, self.scope.inner(dict(self._named(resource, items)))) for items in combined]
        self._distinct(made)
        self.made += [Made(resource.id, item) for item in made]
        self.scope.values[resource.id] = [self._living(item) or item for item in made]

    @staticmethod
    def _named(resource: Resource, items: Iterable[Any]) -> Iterator[tuple[str, Any]]:
        yield from zip(resource.iterators, items, strict=True)

    @staticmethod
    def _distinct(made: Sequence[Mapping[str, Any]]) -> None:
        metadata = [_metadata(obj) for obj in made]
        names = [(meta.get("namespace"), meta.get("name")) for meta in metadata]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise Refused(f"forEach makes two objects named {name[1]}")


def _metadata(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    found = obj.get("metadata")
    return found if isinstance(found, dict) else {}


def _same(obj: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    one, two = _metadata(obj), _metadata(wanted)
    kinds = all(obj.get(key) == wanted.get(key) for key in ("apiVersion", "kind"))
    namespaces = {str(meta["namespace"]) for meta in (one, two) if meta.get("namespace")}
    return kinds and one.get("name") == two.get("name") and len(namespaces) < 2


def _selected(obj: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    metadata = _metadata(wanted)
    labels = _metadata(obj).get("labels") or {}
    selector = metadata["selector"] if isinstance(metadata["selector"], dict) else {}
    if any(obj.get(key) != wanted.get(key) for key in ("apiVersion", "kind")):
        return False
    if metadata.get("namespace") and _metadata(obj).get("namespace") != metadata["namespace"]:
        return False
    if any(labels.get(key) != want for key, want in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(rule, labels) for rule in selector.get("matchExpressions") or ())


def _holds(rule: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    key, values = str(rule.get("key")), rule.get("values") or []
    return {
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }.get(str(rule.get("operator")), False)
