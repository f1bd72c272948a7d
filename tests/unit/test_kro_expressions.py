"""Where expressions begin and end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.kro.expressions import NestedExpression, keys, scan, strings


@pytest.mark.parametrize(
    ("text", "sources", "whole"),
    [
        ("plain", [], False),
        ("$HOME $(date) $((1+2))", [], False),
        ("${a.b}", ["a.b"], True),
        ("x-${a}-${b}", ["a", "b"], False),
        ("${a} ", ["a"], False),
        ("${a}${b}", ["a", "b"], False),
        ('${{"k": {"v": a}}}', ['{"k": {"v": a}}'], True),
        ('${"${VAR}"}', ['"${VAR}"'], True),
        ("${'${VAR}'}", ["'${VAR}'"], True),
        ('${"}"}', ['"}"'], True),
        ("${'}' + \"{\"}", ["'}' + \"{\""], True),
        ('${"a\\"}" + b}', ['"a\\"}" + b'], True),
        ('${"it\'s"} ${a}', ['"it\'s"', "a"], False),
        ("$${a}", ["a"], False),
        ("${a\n  + b}", ["a\n  + b"], True),
    ],
)
def test_what_is_found(text: str, sources: list[str], whole: bool) -> None:
    scanned = scan(text)
    assert [piece.source for piece in scanned.found] == sources
    assert scanned.whole is whole
    assert scanned.unterminated is None


@pytest.mark.parametrize(("text", "offset"), [("${a + ${b}}", 6), ("x ${${b}}", 4)])
def test_expressions_do_not_nest(text: str, offset: int) -> None:
    with pytest.raises(NestedExpression) as raised:
        scan(text)
    assert raised.value.offset == offset


@pytest.mark.parametrize(("text", "offset", "sources"), [("${a", 0, []), ("${a} ${b", 5, ["a"]), ('${"}', 0, [])])
def test_an_open_end_is_no_expression(text: str, offset: int, sources: list[str]) -> None:
    scanned = scan(text)
    assert scanned.unterminated == offset
    assert [piece.source for piece in scanned.found] == sources


@given(st.lists(st.text("ab.{}'\"$ \\", max_size=6), max_size=4))
def test_pieces_are_where_they_say(parts: list[str]) -> None:
    text = "".join(parts)
    try:
        scanned = scan(text)
    except NestedExpression:
        return
    for piece in scanned.found:
        assert text[piece.start : piece.end] == "${" + piece.source + "}"
    assert all(a.end <= b.start for a, b in zip(scanned.found, scanned.found[1:], strict=False))


def test_strings_and_keys_have_their_places() -> None:
    node = {"a": ["x", {"b": "${c}", "${k}": 1}], "d": 2}
    assert list(strings(node, ("root",))) == [(("root", "a", 1, "b"), "${c}")]
    assert list(keys(node)) == [("a", 1, "${k}")]
