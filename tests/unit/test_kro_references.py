"""What expressions read, from the tree that the CEL runtime gives."""

from __future__ import annotations

import pytest

from generator.kro import environment, references
from generator.kro.environment import CelFault


def read(source: str) -> list[str]:
    return [reference.text for reference in references.references(environment.parsed(source).root)]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("1 + 2", []),
        ("a", ["a"]),
        ("a.b.c", ["a.b.c"]),
        ("a.b == c.d && e", ["a.b", "c.d", "e"]),
        ("a['k'].b", ["a.k.b"]),
        ("a[0].b", ["a[].b"]),
        ("a[b.c].d", ["a[].d", "b.c"]),
        ("a.?b.?c.orValue('x')", ["a.b.c"]),
        ("a[?'k'].orValue(b)", ["a.k", "b"]),
        ("has(a.b)", ["a.b"]),
        ("a.map(x, x.b + c)", ["a", "a[].b", "c"]),
        ("a.b.exists(c, c.type == 'R')", ["a.b", "a.b[].type"]),
        ("a.filter(a, a.b)", ["a", "a[].b", "a[]"]),
        ("cel.bind(x, a.b, x.c + x.d)", ["a.b", "a.b.c", "a.b.d"]),
        ("cel.bind(x, a + b, x)", ["a", "b"]),
        ("[a, {'k': b, c: d}]", ["a", "c", "b", "d"]),
        ("a.f(b).g", ["a", "b"]),
        ("a ? b : c", ["a", "b", "c"]),
        ("json.marshal(a)", ["a"]),
        ("random.seededString(5, a.b)", ["a.b"]),
        ("a.transformList(i, x, x.b + i + c)", ["a", "a[].b", "c"]),
        ("a.transformMap(k, v, k + v.b)", ["a", "a[].b"]),
        ("a.sortBy(x, x.b)", ["a", "a[].b"]),
        ("runtime.newCondition({type: 'A', status: a.b ? 'True' : 'False'})", ["a.b"]),
        ("a.map(x, x.b.map(y, y + x.c))", ["a", "a[].b", "a[].b[]", "a[].c"]),
    ],
)
def test_references(source: str, found: list[str]) -> None:
    assert [text for text in read(source) if text not in ("json", "random", "runtime", "cel")] == found


@pytest.mark.parametrize(
    ("source", "safe"),
    [("a.b.c", [False, False]), ("a.?b.c", [True, True]), ("a.b.?c", [False, True]), ("has(a.b.c)", [False, True])],
)
def test_which_steps_may_be_absent(source: str, safe: list[bool]) -> None:
    (reference,) = references.references(environment.parsed(source).root)
    assert [step.safe for step in reference.steps] == safe


@pytest.mark.parametrize(
    ("source", "functions"),
    [
        ("a + b", []),
        ("size(a)", ["size"]),
        ("json.marshal(a).size()", ["size", "json.marshal"]),
        ("a.map(x, f(x))", ["f"]),
    ],
)
def test_functions(source: str, functions: list[str]) -> None:
    assert list(references.functions(environment.parsed(source).root)) == functions


@pytest.mark.parametrize("source", ["a +", "a..b", "'x", "a[", "${a}", ""])
def test_what_is_no_cel(source: str) -> None:
    with pytest.raises(CelFault) as raised:
        environment.parsed(source)
    assert str(raised.value)
    assert "\n" not in str(raised.value)
