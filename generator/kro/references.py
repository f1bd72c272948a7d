"""What an expression refers to: identifiers, and the fields that it reads below them.

Source: kro v0.9.3, pkg/cel/ast/inspector.go, with the scopes of macros.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from generator.kro.syntax import Call, Comprehension, Const, Group, Ident, Node, Select, walk

ITEM = "[]"
"""A step into a list or a map by an index that is not a plain key."""

CONDITION = "newCondition"
# Names of types: type(x) == string.
TYPES = ("bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "type", "uint")
NAMESPACES = ("base64", "cel", "google", "hash", "ip", "cidr", "json", "lists", "math", "optional", "random", "strings")


@dataclass(frozen=True, slots=True)
class Step:
    """One field or key; `safe` where it may be absent: `.?field`, `[?key]`, has()."""

    name: str
    safe: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """`root` and the steps below it, as far as they are known before anything runs."""

    root: str
    steps: tuple[Step, ...] = ()

    @property
    def text(self) -> str:
        return self.root + "".join(step.name if step.name == ITEM else f".{step.name}" for step in self.steps)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(step.name for step in self.steps)


_Scope = Mapping[str, "Reference | None"]


def references(node: Node) -> tuple[Reference, ...]:
    """Everything that `node` reads; names that a macro binds stand for what they are bound to."""
    return tuple(dict.fromkeys(_read(node, {})))


def roots(node: Node) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reference.root for reference in references(node)))


def functions(node: Node) -> tuple[str, ...]:
    """The functions that `node` calls by name, operators left out."""
    called = (_function(inner) for inner in walk(node) if isinstance(inner, Call))
    return tuple(dict.fromkeys(name for name in called if name and name[0].isalpha()))


def _function(call: Call) -> str:
    if isinstance(call.target, Ident) and call.target.name in NAMESPACES:
        return f"{call.target.name}.{call.function}"
    return call.function


def makes_condition(node: Node) -> bool:
    """Whether `node` calls runtime.newCondition, whose keys are bare words: the runtime used here cannot check that."""
    return any(isinstance(inner, Call) and _condition(inner) for inner in walk(node))


def _condition(call: Call) -> bool:
    return call.function == CONDITION and isinstance(call.target, Ident) and call.target.name == "runtime"


def _read(node: Node, scope: _Scope) -> Iterator[Reference]:
    chain = _chain(node, scope)
    if chain is not None:
        reference, inside = chain
        if reference is not None:
            yield reference
        for inner in inside:
            yield from _read(inner, scope)
        return
    match node:
        case Comprehension():
            yield from _comprehension(node, scope)
        case Call():
            yield from _call(node, scope)
        case Select():
            yield from _read(node.operand, scope)
        case Group():
            for inner in (*node.keys, *node.items):
                yield from _read(inner, scope)


def _call(node: Call, scope: _Scope) -> Iterator[Reference]:
    named = isinstance(node.target, Ident) and node.target.name in NAMESPACES and node.target.name not in scope
    if node.target is not None and not named:
        yield from _read(node.target, scope)
    if _condition(node):
        for group in node.arguments:
            for inner in group.items if isinstance(group, Group) else (group,):
                yield from _read(inner, scope)
        return
    for argument in node.arguments:
        yield from _read(argument, scope)


def _comprehension(node: Comprehension, scope: _Scope) -> Iterator[Reference]:
    yield from _read(node.range, scope)
    yield from _read(node.initial, scope)
    item = _target(node.range, scope)
    # Of two names the first is the index or the key.
    bound = {name: item if name == node.variables[-1] else None for name in node.variables}
    # cel.bind is a comprehension over nothing: the accumulator is the name that it binds.
    held = _chain(node.initial, scope)
    inner = {**scope, **bound, node.accumulator: held[0] if held and not held[1] else None}
    for part in (node.condition, node.step, node.result):
        yield from _read(part, inner)


def _target(node: Node | None, scope: _Scope) -> Reference | None:
    """What one item of `node` is, where `node` is a plain path."""
    chain = _chain(node, scope) if node is not None else None
    if chain is None or chain[0] is None:
        return None
    return Reference(chain[0].root, (*chain[0].steps, Step(ITEM)))


def _chain(node: Node, scope: _Scope) -> tuple[Reference | None, tuple[Node, ...]] | None:
    """`a.b[0].?c` as a reference, and the nodes that are read on the way; None where `node` is no such chain.

    The reference is None for a name that is bound to something that is no path.
    """
    match node:
        case Ident(name=name):
            return (scope[name], ()) if name in scope else (Reference(name.removeprefix(".")), ())
        case Select(operand=operand, field=field, test=test):
            return _step(_chain(operand, scope), Step(field, test), ())
        case Call(function="_?._", target=None, arguments=(operand, Const(value=str() as field))):
            return _step(_chain(operand, scope), Step(field, True), ())
        case Call(function="_[_]" | "_[?_]" as function, target=None, arguments=(operand, key)):
            safe = function == "_[?_]"
            if isinstance(key, Const) and isinstance(key.value, str):
                return _step(_chain(operand, scope), Step(key.value, safe), ())
            return _step(_chain(operand, scope), Step(ITEM, safe), () if isinstance(key, Const) else (key,))
    return None


def _step(
    chain: tuple[Reference | None, tuple[Node, ...]] | None, step: Step, inside: tuple[Node, ...]
) -> tuple[Reference | None, tuple[Node, ...]] | None:
    if chain is None:
        return None
    reference, before = chain
    # Behind an optional step every further one is optional too: a.?b.c
    safe = step.safe or (reference is not None and any(s.safe for s in reference.steps))
    longer = Reference(reference.root, (*reference.steps, Step(step.name, safe))) if reference else None
    return longer, (*before, *inside)
