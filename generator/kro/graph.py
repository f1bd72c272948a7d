"""A ResourceGraphDefinition as data: its resources, what each refers to, and the order in which kro makes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from generator.errors import Path
from generator.kro.expressions import NestedExpression, Scan, scan, strings

KIND = ("kro.run/v1alpha1", "ResourceGraphDefinition")
GROUP = "kro.run"

Kind = tuple[str, str]
"""apiVersion and kind."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string with expressions, and where it stands in the document."""

    place: Path
    scan: Scan


@dataclass(frozen=True, slots=True)
class Resource:
    """One entry of spec.resources. Exactly one of `template` and `external` is an object in a sound graph."""

    id: str
    place: Path
    template: Mapping[str, Any] | None
    external: Mapping[str, Any] | None
    include_when: tuple[Text, ...]
    ready_when: tuple[Text, ...]
    for_each: tuple[tuple[str, Text], ...]

    @property
    def object(self) -> Mapping[str, Any]:
        return self.template if self.template is not None else self.external or {}

    @property
    def kind(self) -> Kind:
        return str(self.object.get("apiVersion", "")), str(self.object.get("kind", ""))

    @property
    def metadata(self) -> Mapping[str, Any]:
        found = self.object.get("metadata")
        return found if isinstance(found, dict) else {}

    @property
    def object_place(self) -> Path:
        return (*self.place, "template" if self.template is not None else "externalRef")

    @property
    def many(self) -> bool:
        """Whether it stands for a list: a collection, or an externalRef with a selector."""
        return bool(self.for_each) or (self.external is not None and "selector" in self.metadata)

    @property
    def iterators(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.for_each)

    def texts(self) -> tuple[Text, ...]:
        """The strings with expressions of the template, or of the reference."""
        return texts(dict(self.object), self.object_place)


@dataclass(frozen=True, slots=True)
class Graph:
    """What a document says, as far as it is well formed."""

    name: str
    kind: Kind
    scope: str
    spec: Mapping[str, Any]
    types: Mapping[str, Any]
    status: Any
    resources: tuple[Resource, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(resource.id for resource in self.resources)


def is_graph(data: Any) -> bool:
    return isinstance(data, dict) and (data.get("apiVersion"), data.get("kind")) == KIND


def graph_of(data: Mapping[str, Any]) -> Graph:
    """The graph of a document; whatever has the wrong shape is left out."""
    spec = _object(data.get("spec"))
    schema = _object(spec.get("schema"))
    group = schema.get("group") or GROUP
    items = spec.get("resources")
    return Graph(
        str(_object(data.get("metadata")).get("name", "")),
        (f"{group}/{schema.get('apiVersion', '')}", str(schema.get("kind", ""))),
        str(schema.get("scope") or "Namespaced"),
        _object(schema.get("spec")),
        _object(schema.get("types")),
        schema.get("status"),
        tuple(_resources(items if isinstance(items, list) else [])),
    )


def _resources(items: list[Any]) -> Iterator[Resource]:
    for index, item in enumerate(items):
        if isinstance(item, dict) and isinstance(item.get("id"), str):
            place: Path = ("spec", "resources", index)
            yield Resource(
                item["id"],
                place,
                item["template"] if isinstance(item.get("template"), dict) else None,
                item["externalRef"] if isinstance(item.get("externalRef"), dict) else None,
                texts(item.get("includeWhen"), (*place, "includeWhen")),
                texts(item.get("readyWhen"), (*place, "readyWhen")),
                tuple(_iterators(item.get("forEach"), (*place, "forEach"))),
            )


def _iterators(items: Any, place: Path) -> Iterator[tuple[str, Text]]:
    for index, item in enumerate(items if isinstance(items, list) else ()):
        for name in item if isinstance(item, dict) else ():
            for text in texts(item[name], (*place, index, name)):
                yield name, text


def texts(node: Any, place: Path) -> tuple[Text, ...]:
    """Every string with expressions inside `node`; those that do not scan are left out."""
    found = []
    for inner, text in strings(node, place):
        try:
            found.append(Text(inner, scan(text)))
        except NestedExpression:
            continue
    return tuple(text for text in found if text.scan.found)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def ordered(ids: Iterable[str], needs: Mapping[str, Iterable[str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The order in which kro works on `ids` (dependencies first, then as written), and a circle if there is one."""
    left = list(ids)
    known = set(left)
    waits = {name: {need for need in needs.get(name, ()) if need in known} for name in left}
    order: list[str] = []
    done: set[str] = set()
    while left:
        ready = next((name for name in left if waits[name] <= done), None)
        if ready is None:
            return tuple(order), _circle(left, waits)
        left.remove(ready)
        order.append(ready)
        done.add(ready)
    return tuple(order), ()


def _circle(left: list[str], waits: Mapping[str, set[str]]) -> tuple[str, ...]:
    """One circle among `left`, where each waits for another one of them."""
    seen: list[str] = []
    name = left[0]
    while name not in seen:
        seen.append(name)
        name = next(need for need in left if need in waits[name])
    return (*seen[seen.index(name) :], name)
