"""The syntax tree of a CEL expression, read from the bytes that cel-expr-python serializes.

The bytes are google.protobuf.Any with a cel.expr.CheckedExpr or ParsedExpr (cel-spec, proto/cel/expr/syntax.proto and
checked.proto). Only the fields that are used here are read, straight from protobuf's wire format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

Fields = dict[int, list["int | bytes"]]


@dataclass(frozen=True, slots=True)
class Const:
    """A literal; `value` is None for null and for kinds that nobody asks about."""

    id: int
    value: str | int | bool | None


@dataclass(frozen=True, slots=True)
class Ident:
    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.field`; `test` is has(operand.field)."""

    id: int
    operand: Node
    field: str
    test: bool


@dataclass(frozen=True, slots=True)
class Call:
    id: int
    function: str
    target: Node | None
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A list or a map literal: the nodes inside, keys of a map among them."""

    id: int
    items: tuple[Node, ...]
    keys: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Comprehension:
    """A macro over `range`; `variables` are bound to its items, `accumulator` to the result so far."""

    id: int
    variables: tuple[str, ...]
    range: Node
    accumulator: str
    initial: Node
    condition: Node
    step: Node
    result: Node


Node = Const | Ident | Select | Call | Group | Comprehension


@dataclass(frozen=True, slots=True)
class Type:
    """A CEL type: name ("string", "list", "map", "dyn", "optional_type", a message's name) and parameters."""

    name: str
    parameters: tuple[Type, ...] = ()

    def __str__(self) -> str:
        inner = ", ".join(map(str, self.parameters))
        return f"{self.name}({inner})" if inner else self.name


DYN = Type("dyn")
_PRIMITIVES = ("dyn", "bool", "int", "uint", "double", "string", "bytes")
_WELL_KNOWN = ("dyn", "dyn", "timestamp", "duration")


@dataclass(frozen=True, slots=True)
class Tree:
    """The root of an expression, and its type where it was checked."""

    root: Node
    type: Type


def read(serialized: bytes) -> Tree:
    """The tree of `Expression.serialize()`."""
    envelope = _fields(serialized)
    name, content = _text(envelope, 1), _fields(_bytes(envelope, 2))
    if not name.endswith("CheckedExpr"):
        return Tree(_node(_bytes(content, 2)), DYN)
    root = _node(_bytes(content, 4))
    for raw in content.get(3, ()):
        entry = _fields(raw)
        if _number(entry, 1) == root.id:
            return Tree(root, _type(_bytes(entry, 2)))
    return Tree(root, DYN)


def walk(node: Node) -> Iterator[Node]:
    """`node` and everything below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def children(node: Node) -> tuple[Node, ...]:
    match node:
        case Select():
            return (node.operand,)
        case Call():
            return (*((node.target,) if node.target else ()), *node.arguments)
        case Group():
            return (*node.keys, *node.items)
        case Comprehension():
            return (node.range, node.initial, node.condition, node.step, node.result)
    return ()


def _node(raw: bytes) -> Node:
    fields = _fields(raw)
    number = _number(fields, 2)
    for kind, build in _BUILD.items():
        if kind in fields:
            return build(number, _fields(_bytes(fields, kind)))
    return Const(number, None)


def _const(number: int, fields: Fields) -> Const:
    if 6 in fields:
        return Const(number, _text(fields, 6))
    if 2 in fields:
        return Const(number, bool(_number(fields, 2)))
    if 3 in fields:
        value = _number(fields, 3)
        return Const(number, value - 2**64 if value >= 2**63 else value)
    return Const(number, None)


def _select(number: int, fields: Fields) -> Select:
    return Select(number, _node(_bytes(fields, 1)), _text(fields, 2), bool(_number(fields, 3)))


def _call(number: int, fields: Fields) -> Call:
    target = _node(_bytes(fields, 1)) if 1 in fields else None
    return Call(number, _text(fields, 2), target, tuple(map(_child, fields.get(3, ()))))


def _list(number: int, fields: Fields) -> Group:
    return Group(number, tuple(map(_child, fields.get(1, ()))))


def _struct(number: int, fields: Fields) -> Group:
    entries = [_fields(raw) for raw in fields.get(2, ())]
    keys = tuple(_node(_bytes(entry, 3)) for entry in entries if 3 in entry)
    return Group(number, tuple(_node(_bytes(entry, 4)) for entry in entries if 4 in entry), keys)


def _comprehension(number: int, fields: Fields) -> Comprehension:
    variables = tuple(name for name in (_text(fields, 1), _text(fields, 8)) if name)
    parts = (_node(_bytes(fields, key)) for key in (2, 4, 5, 6, 7))
    iterated, initial, condition, step, result = parts
    return Comprehension(number, variables, iterated, _text(fields, 3), initial, condition, step, result)


def _ident(number: int, fields: Fields) -> Ident:
    return Ident(number, _text(fields, 1))


_BUILD: dict[int, Callable[[int, Fields], Node]] = {
    3: _const,
    4: _ident,
    5: _select,
    6: _call,
    7: _list,
    8: _struct,
    9: _comprehension,
}


def _child(raw: int | bytes) -> Node:
    return _node(raw if isinstance(raw, bytes) else b"")


def _type(raw: bytes) -> Type:
    fields = _fields(raw)
    if 3 in fields:
        return Type(_PRIMITIVES[_number(fields, 3)])
    if 4 in fields:
        return Type(_PRIMITIVES[_number(fields, 4)])
    if 5 in fields:
        return Type(_WELL_KNOWN[_number(fields, 5)])
    if 6 in fields:
        return Type("list", (_type(_bytes(_fields(_bytes(fields, 6)), 1)),))
    if 7 in fields:
        inner = _fields(_bytes(fields, 7))
        return Type("map", (_type(_bytes(inner, 1)), _type(_bytes(inner, 2))))
    if 9 in fields:
        return Type(_text(fields, 9))
    if 14 in fields:
        inner = _fields(_bytes(fields, 14))
        return Type(_text(inner, 1), tuple(_type(item) for item in inner.get(2, ()) if isinstance(item, bytes)))
    return Type("null_type") if 2 in fields else DYN


def _fields(raw: int | bytes) -> Fields:
    """The fields of a message: number to values, in order. A group or a broken message ends the reading."""
    found: Fields = {}
    index = 0
    data = raw if isinstance(raw, bytes) else b""
    while index < len(data):
        tag, index = _varint(data, index)
        value: int | bytes
        match tag & 7:
            case 0:
                value, index = _varint(data, index)
            case 1:
                value, index = data[index : index + 8], index + 8
            case 2:
                size, index = _varint(data, index)
                value, index = data[index : index + size], index + size
            case 5:
                value, index = data[index : index + 4], index + 4
            case _:
                break
        found.setdefault(tag >> 3, []).append(value)
    return found


def _varint(data: bytes, index: int) -> tuple[int, int]:
    value, shift = 0, 0
    while index < len(data):
        byte = data[index]
        value |= (byte & 127) << shift
        index, shift = index + 1, shift + 7
        if byte < 128:
            break
    return value, index


def _bytes(fields: Fields, key: int) -> bytes:
    value = fields.get(key, [b""])[-1]
    return value if isinstance(value, bytes) else b""


def _text(fields: Fields, key: int) -> str:
    return _bytes(fields, key).decode("utf-8", "replace")


def _number(fields: Fields, key: int) -> int:
    value = fields.get(key, [0])[-1]
    return value if isinstance(value, int) else 0
