"""Values of expressions without a cluster: known, or left as they are written with the reason why."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from generator.errors import Path
from generator.kro import environment, references
from generator.kro.environment import CelFault
from generator.kro.expressions import NestedExpression, scan
from generator.kro.functions import NOT_EVALUATED
from generator.kro.references import ITEM, Reference

_LIVE_METADATA = ("uid", "creationTimestamp", "generation", "resourceVersion", "managedFields", "deletionTimestamp")


class Unknown(Exception):
    """A value that only a cluster has; the message says which."""


class Refused(ValueError):
    """An expression that fails with these values, in a cluster too."""


@dataclass(frozen=True, slots=True)
class Left:
    """A place where an expression stays as it is written, and why."""

    path: Path
    source: str
    reason: str


@dataclass(slots=True)
class Scope:
    """What expressions see: values by name, Placeholders inside where one is not known.

    `live` names have values that come whole from a cluster; `missing` ones have none, with the reason. `left` collects
    the places where an expression stayed as it is written. `names` are all the names that there will be.
    """

    values: dict[str, Any]
    live: frozenset[str] = frozenset()
    missing: dict[str, str] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)
    names: tuple[str, ...] = ()

    def inner(self, values: Mapping[str, Any]) -> Scope:
        return Scope({**self.values, **values}, self.live, self.missing, self.left, self.names)


_NOTHING = object()


def filled(node: Any, scope: Scope, path: Path = ()) -> Any:
    """`node` with its expressions replaced; what is not known is noted in `scope.left`. Raises Refused."""
    if isinstance(node, dict):
        made = {key: filled(value, scope, (*path, str(key))) for key, value in node.items()}
        return {key: value for key, value in made.items() if value is not _NOTHING}
    if isinstance(node, list):
        made_items = [filled(item, scope, (*path, index)) for index, item in enumerate(node)]
        return [item for item in made_items if item is not _NOTHING]
    return _text(node, scope, path) if isinstance(node, str) else node


def _text(text: str, scope: Scope, path: Path) -> Any:
    try:
        found = scan(text)
    except NestedExpression as error:
        raise Refused(f"{text}: {error}") from error
    if found.whole:
        value = _or_left(found.found[0].source, text, scope, path)
        return _NOTHING if value is None else value
    out, end, before = "", 0, len(scope.left)
    for piece in found.found:
        whole = text[piece.start : piece.end]
        value = _or_left(piece.source, whole, scope, path)
        if not isinstance(value, str):
            raise Refused(f"`{whole}` gives {type(value).__name__} inside text: write ${{string(...)}}")
        out, end = out + text[end : piece.start] + value, piece.end
    out += text[end:]
    return out if len(scope.left) == before else Placeholder(out)


def _or_left(source: str, text: str, scope: Scope, path: Path) -> Any:
    try:
        return value(source, scope)
    except Unknown as reason:
        scope.left.append(Left(path, source, str(reason)))
        return Placeholder(text)


def value(source: str, scope: Scope) -> Any:
    """The value of one expression. Raises Unknown, and Refused where it fails."""
    try:
        root = environment.parsed(source).root
    except CelFault as fault:
        raise Refused(f"`${{{source}}}`: {fault}") from fault
    missing = [NOT_EVALUATED[name] for name in references.functions(root) if name in NOT_EVALUATED]
    if missing or references.makes_condition(root):
        raise Unknown(f"{(missing or ['newCondition()'])[0]} is not evaluated here")
    reads = references.references(root)
    for reference in reads:
        _known(reference, scope)
    names = {*scope.names, *scope.values} - set(references.TYPES)
    env = environment.untyped(tuple(sorted(names)))
    values = {name: written(scope.values[name]) for name in references.roots(root) if name in scope.values}
    try:
        return plain(environment.value(source, env, values))
    except CelFault as fault:
        raise Refused(f"`${{{source}}}`: {fault}") from fault


def _known(reference: Reference, scope: Scope) -> None:
    """Raise Unknown where the value of `reference` is not what a cluster would have."""
    root, names = reference.root, reference.names
    if root in scope.missing:
        raise Unknown(scope.missing[root])
    if root in references.TYPES and root in scope.values:
        raise Unknown(f"`{root}` is a type of CEL, too")
    if root in scope.live or root in (*references.NAMESPACES, *references.TYPES):
        return
    node = scope.values.get(root)
    if root == "schema":
        _schema(node, names)
        return
    if root not in scope.values:
        raise Unknown(f"{reference.text} is not known")
    _present(node, names, reference.text)


def _schema(node: Any, names: tuple[str, ...]) -> None:
    if names[:1] == ("metadata",) and names[1:2] and names[1] in _LIVE_METADATA and names[1] not in node["metadata"]:
        raise Unknown(f"schema.metadata.{names[1]} is given by the cluster")


def _present(node: Any, names: tuple[str, ...], text: str) -> None:
    """A field of a resource is known where its template says it; the whole resource never is."""
    for name in names:
        if name == ITEM:
            if isinstance(node, (list, dict)) and node:
                items = node if isinstance(node, list) else list(node.values())
                node = items[0]
                continue
            return
        if isinstance(node, list) and name != ITEM:
            return
        if not isinstance(node, dict) or name not in node:
            raise Unknown(f"{text} is known in the cluster only")
        node = node[name]
    if _open(node):
        raise Unknown(f"{text} is not known either")


def _open(node: Any) -> bool:
    """Whether an expression was left inside `node`."""
    if isinstance(node, dict):
        return any(map(_open, node.values()))
    if isinstance(node, list):
        return any(map(_open, node))
    return isinstance(node, Placeholder)


class Placeholder(str):
    """Text that holds an expression which was left as it is written."""

    __slots__ = ()


def written(node: Any) -> Any:
    """`node` with plain text for placeholders."""
    if isinstance(node, dict):
        return {key: written(value) for key, value in node.items()}
    if isinstance(node, list):
        return [written(item) for item in node]
    return str(node) if isinstance(node, Placeholder) else node


def plain(value: Any) -> Any:
    """A CEL value as JSON has it."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, datetime.timedelta):
        return f"{value.total_seconds():g}s"
    return value
