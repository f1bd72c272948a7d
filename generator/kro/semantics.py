"""The expressions of a graph: the names that they read, dependencies and circles.

Source: kro v0.9.3, pkg/graph/builder.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from generator.errors import Fault, Path, Severity
from generator.kro import environment, references
from generator.kro.environment import CelFault
from generator.kro.graph import Graph, Resource, Text, ordered, texts
from generator.kro.reading import Located
from generator.kro.references import Reference
from generator.kro.schemas import Schema
from generator.kro.syntax import Tree
from generator.suggest import suggest

SHOWN = 100  # characters of an expression in a message
# Where quantities stand. The API server stores them as text, so that kro would see drift for ever (kro#541).
QUANTITIES = (("resources", "requests"), ("resources", "limits"), ("spec", "capacity"), ("spec", "hard"))
NUMBER = "a quantity written as a number: the API server stores text, and kro sees a difference for ever"
_NAMES = frozenset((*references.NAMESPACES, *references.TYPES))


@dataclass(frozen=True, slots=True)
class Use:
    """One expression: its text, who holds it (None: the status), and in which role."""

    place: Path
    source: str
    whole: bool
    resource: Resource | None
    role: str
    tree: Tree
    reads: tuple[Reference, ...]

    @property
    def roots(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(reference.root for reference in self.reads))


@dataclass(slots=True)
class Analysis:
    """The expressions of a graph and their faults. `sound` are those that read only what they may."""

    uses: list[Use] = field(default_factory=list)
    sound: list[Use] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def fault(self, use_place: Path, source: str, message: str, hint: str = "", *, warn: bool = False) -> None:
        severity = Severity.WARNING if warn else Severity.ERROR
        needle = "${" + source.split("\n", 1)[0]
        self.faults.append(Located(use_place, f"`${{{shown(source)}}}`: {message}", hint, severity, needle))


def analyse(graph: Graph, instance: Schema) -> Analysis:
    """Parse every expression, and see what it refers to. `instance` is the schema of the instances' spec."""
    found = Analysis()
    for resource in graph.resources:
        for role, text in _texts(resource):
            _parse(found, text, resource, role)
    for text in texts(graph.status, ("spec", "schema", "status")):
        _parse(found, text, None, "status")
    found.sound += [use for use in found.uses if _names_sound(found, use, graph)]
    _circle(found, graph)
    _iterators_used(found, graph)
    _rules(found, instance, ("spec", "schema", "spec"))
    return found


def _texts(resource: Resource) -> Iterator[tuple[str, Text]]:
    yield from (("template", text) for text in resource.texts())
    yield from (("includeWhen", text) for text in resource.include_when)
    yield from (("readyWhen", text) for text in resource.ready_when)
    yield from (("forEach", text) for _, text in resource.for_each)


def _parse(found: Analysis, text: Text, resource: Resource | None, role: str) -> None:
    for piece in text.scan.found:
        try:
            tree = environment.parsed(piece.source)
        except CelFault as fault:
            near = piece.source[fault.offset : fault.offset + 20].strip()
            found.fault(text.place, piece.source, str(fault), f"near `{near}`" if near else "")
            continue
        reads = references.references(tree.root)
        found.uses.append(Use(text.place, piece.source, text.scan.whole, resource, role, tree, reads))


def _names_sound(found: Analysis, use: Use, graph: Graph) -> bool:
    """Whether the expression reads only what it may read; tells what else it reads."""
    may = _readable(use, graph)
    wrong = [root for root in use.roots if root not in may and root not in _NAMES]
    for root in wrong:
        found.fault(use.place, use.source, *_name_fault(root, use, graph, may))
    return not wrong


def _readable(use: Use, graph: Graph) -> tuple[str, ...]:
    if use.resource is None:
        return ("schema", *graph.ids, *(("runtime",) if "conditions" in use.place else ()))
    own = use.resource.id
    others = tuple(name for name in graph.ids if name != own)
    match use.role:
        case "readyWhen":
            return ("each",) if use.resource.for_each else (own, "each") if use.resource.many else (own,)
        case "template":
            return ("schema", *others, *use.resource.iterators)
    return ("schema", *others)


def _name_fault(root: str, use: Use, graph: Graph, may: tuple[str, ...]) -> tuple[str, str]:
    if use.role == "readyWhen" and (root in graph.ids or root == "schema"):
        own = " or ".join(f"`{name}`" for name in may)
        return f"readyWhen sees {own} only, not `{root}`", "wait for other resources with includeWhen or by a reference"
    if use.resource is not None and root == use.resource.id:
        return "the resource refers to itself", "take the value from schema, or write it down"
    if use.resource is not None and root in use.resource.iterators:
        if use.role == "forEach":
            return f"one iterator cannot use another (`{root}`)", "they are independent: every combination is made"
        return f"{use.role} does not see the iterator `{root}`", "conditions hold for the whole collection"
    if root == "runtime":
        return "`runtime` is for status.conditions only", ""
    return f"unknown name `{root}`", suggest(root, may)


def _circle(found: Analysis, graph: Graph) -> None:
    ids = set(graph.ids)
    needs = {}
    for resource in graph.resources:
        mine = [use for use in found.uses if use.resource is resource and use.role != "readyWhen"]
        reads = dict.fromkeys(root for use in mine for root in use.roots if root in ids and root != resource.id)
        needs[resource.id] = tuple(reads)
    _, circle = ordered(graph.ids, needs)
    if circle:
        place = next(resource.place for resource in graph.resources if resource.id == circle[0])
        hint = "one of them has to take its value from elsewhere"
        found.faults.append(Fault(place, f"resources wait for one another: {' -> '.join(circle)}", hint))


def _iterators_used(found: Analysis, graph: Graph) -> None:
    """Each object of a collection needs a name of its own."""
    for resource in (r for r in graph.resources if r.for_each):
        named = [(*resource.object_place, "metadata", key) for key in ("name", "namespace")]
        used = {root for use in found.uses if use.place in named for root in use.roots}
        for name in resource.iterators:
            if name not in used:
                hint = f"as in name: ${{schema.metadata.name}}-${{{name}}}"
                message = f"the iterator `{name}` is not part of metadata.name, so that objects would share one name"
                found.faults.append(Fault((*resource.object_place, "metadata"), message, hint))


def _rules(found: Analysis, schema: Schema, place: Path) -> None:
    """`validation` markers: CEL over `self`."""
    for rule in schema.get("x-kubernetes-validations", ()):
        try:
            roots = references.roots(environment.parsed(rule["rule"]).root)
        except CelFault as fault:
            found.faults.append(Fault(place, f"validation `{shown(rule['rule'])}`: {fault}"))
            continue
        for root in (root for root in roots if root not in _NAMES | {"self", "oldSelf"}):
            message = f"validation `{shown(rule['rule'])}`: unknown name `{root}`"
            found.faults.append(Fault(place, message, "the value of the field is `self`"))
    for name, child in schema.get("properties", {}).items():
        _rules(found, child, (*place, name))


def shown(source: str) -> str:
    text = " ".join(source.split())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
