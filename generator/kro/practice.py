"""Warnings: what kro takes when a graph is applied, and what fails or surprises afterwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from generator.errors import Fault, Path, Severity
from generator.kro.graph import Graph, Resource
from generator.kro.references import Reference
from generator.kro.schemas import Schema, Schemas, at
from generator.kro.semantics import NUMBER, QUANTITIES, Use, shown

# Controllers delete the object after it has ended; kro then makes it again, and it runs again.
_ENDS = {
    ("batch/v1", "Job"): (("spec", "ttlSecondsAfterFinished"),),
    ("argoproj.io/v1alpha1", "Workflow"): (("spec", "ttlStrategy"),),
    ("ray.io/v1", "RayJob"): (("spec", "ttlSecondsAfterFinished"),),
}


def faults(graph: Graph, instance: Schema, uses: Iterable[Use], schemas: Schemas) -> Iterator[Fault]:
    """Every warning for a graph whose expressions are `uses`."""
    found = list(uses)
    for resource in graph.resources:
        yield from _owners(resource, graph, schemas)
        yield from _ends(resource)
        yield from _numbers(resource.template, resource.object_place)
        yield from _always(resource, found)
        yield from _kind(resource, schemas)
    yield from _twins(graph)
    yield from _absent(instance, found)


def _warning(place: Path, message: str, hint: str) -> Fault:
    return Fault(place, message, hint, Severity.WARNING)


def _owners(resource: Resource, graph: Graph, schemas: Schemas) -> Iterator[Fault]:
    if "ownerReferences" not in resource.metadata or resource.template is None or graph.scope == "Cluster":
        return
    if schemas.namespaced(*resource.kind) is False:
        place = (*resource.object_place, "metadata", "ownerReferences")
        message = f"a {resource.kind[1]} of the whole cluster cannot belong to an instance in a namespace"
        yield _warning(place, message, "leave ownerReferences out: the garbage collector deletes such objects")


def _ends(resource: Resource) -> Iterator[Fault]:
    for path in _ENDS.get(resource.kind, ()):
        node: Any = resource.template
        for part in path:
            node = node.get(part) if isinstance(node, dict) else None
        if node is not None:
            message = f"once it is deleted after its end, kro makes the {resource.kind[1]} again, and it runs again"
            yield _warning((*resource.object_place, *path), message, "leave it out; kro deletes it with its instance")


def _numbers(node: Any, place: Path) -> Iterator[Fault]:
    """Quantities that are numbers; those of expressions are told with their types."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _numbers(item, (*place, index))
    if not isinstance(node, dict):
        return
    for name, value in node.items():
        here = (*place, str(name))
        if isinstance(value, (int, float)) and not isinstance(value, bool) and place[-2:] in QUANTITIES:
            yield _warning(here, NUMBER, f'write "{value}"')
        yield from _numbers(value, here)


def _always(resource: Resource, uses: list[Use]) -> Iterator[Fault]:
    for use in uses:
        if use.resource is resource and use.role == "readyWhen" and not use.reads:
            message = f"`${{{shown(use.source)}}}` does not depend on the resource: it is always the same"
            yield _warning(use.place, message, f"ask the status: ${{{resource.id}.status...}}")


def _kind(resource: Resource, schemas: Schemas) -> Iterator[Fault]:
    if schemas.given and all(resource.kind) and resource.kind not in schemas.kinds:
        message = f"no schema of {resource.kind[1]} of {resource.kind[0]} was given: its fields are not checked"
        yield _warning((*resource.object_place, "kind"), message, "kro needs the kind in the cluster, too")


def _twins(graph: Graph) -> Iterator[Fault]:
    """Two resources that write one object."""
    seen: dict[tuple[str, ...], str] = {}
    for resource in graph.resources:
        if resource.template is None or resource.include_when:
            continue
        meta = resource.metadata
        key = (*resource.kind, str(meta.get("namespace", "")), str(meta.get("name", "")))
        if key[-1] and key in seen and not resource.for_each:
            message = f"`{resource.id}` and `{seen[key]}` are one object: same kind, namespace and name"
            yield _warning((*resource.object_place, "metadata", "name"), message, "kro applies it twice, in turns")
        seen.setdefault(key, resource.id)


def _absent(instance: Schema, uses: list[Use]) -> Iterator[Fault]:
    """Fields that an instance may leave out, and that expressions read without `.?`."""
    readers: dict[Path, dict[str, None]] = defaultdict(dict)
    conditions = _conditions(uses)
    for use in uses:
        tested = {r.names for r in use.reads if r.root == "schema" and r.steps and r.steps[-1].safe}
        guarded = tested | conditions.get(use.resource.id if use.resource else "", set())
        for reference in use.reads:
            path = _optional(instance, reference, guarded) if reference.root == "schema" else None
            if path is not None and use.role != "status":
                readers[path][use.resource.id if use.resource else "status"] = None
    for path, names in readers.items():
        message = f"an instance may leave it out, and then {_listed(list(names))} cannot be made: no such key"
        hint = f"add default=... or required=true, or read it with .?{path[-1]}.orValue(...)"
        if "properties" in (at(instance, path) or {}):
            hint = "required nested fields: declare them as a type below types, and the field as `Type | required=true`"
        yield _warning(("spec", "schema", "spec", *path), message, hint)


def _conditions(uses: list[Use]) -> dict[str, set[tuple[str, ...]]]:
    """Id of a resource to the optional paths that its includeWhen asks for."""
    found: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for use in uses:
        if use.role == "includeWhen" and use.resource is not None:
            reads = (r for r in use.reads if r.root == "schema" and any(step.safe for step in r.steps))
            found[use.resource.id].update(reference.names for reference in reads)
    return found


def _optional(instance: Schema, reference: Reference, guarded: set[tuple[str, ...]]) -> Path | None:
    """The first field on the way that an instance may leave out, unless the expression allows for that."""
    steps = reference.steps
    if not steps or steps[0].name != "spec":
        return None
    schema: Mapping[str, Any] = instance
    walked: tuple[str, ...] = ()
    for step in steps[1:]:
        child = schema.get("properties", {}).get(step.name)
        if child is None or step.safe:
            return None
        walked = (*walked, step.name)
        missing = step.name not in schema.get("required", ()) and "default" not in child
        if missing and not any(("spec", *walked) == path[: len(walked) + 1] for path in guarded):
            return walked
        schema = child
    return None


def _listed(names: list[str]) -> str:
    return f"`{names[0]}`" if len(names) == 1 else f"`{names[0]}` and {len(names) - 1} more"
