"""Edits of a text: one item or one scalar more, every other byte as it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator import yamlio
from generator.errors import UserError
from generator.yamledit import append_item, set_scalar

FILE = "models.yaml"
ITEM = {"name": "new", "tags": ["a", 1]}
# Each case is the text with `>>>` where the item goes, at the column of its dash; behind a `+` stand lines that come
# with it.
CASES = {
    "plain": "models:\n  - name: a\n  >>>\n",
    "dashes below the key": "models:\n- name: a\n>>>\nservices:\n- x\n",
    "deep indentation": "models:\n      - name: a\n      >>>\nservices: []\n",
    "comment of the next key": "models:\n  - name: a\n  >>>\n\n# The services.\nservices: []\n",
    "comment of the next key, dashes below": "models:\n- name: a\n>>>\n# The services.\nservices: []\n",
    "comment of the item": "models:\n  - name: a # first\n    # more of it\n  >>>\nservices: []\n",
    "comment of the list": "models:\n  - name: a\n\n  # - name: out of use\n  >>>\n\n# next\nservices: []\n",
    "comment between items": "models:\n  # one\n  - name: a\n  # two\n  - name: b\n  >>>\n",
    "comment at the end": "models:\n  - name: a\n  >>>\n# vim: et\n",
    "comment in the first column inside": "models:\n  - name: a\n# odd\n    kind: b\n  >>>\n# next\n",
    "blank lines behind": "models:\n  - name: a\n  >>>\n\n\n\nservices: []\n",
    "blank lines at the end": "models:\n  - name: a\n  >>>\n\n\n",
    "blank lines between": "models:\n\n  - name: a\n\n  - name: b\n+\n  >>>\nservices: []\n",
    "blank and comment between": "models:\n  - name: a\n\n  # two\n  # it is\n  - name: b\n+\n  >>>\n",
    "dash on its own line": "models:\n  - name: a\n\n  -\n    name: b\n+\n  >>>\n",
    "one item behind a blank line": "models:\n\n  - name: a\n  >>>\n",
    "nested lists last": "models:\n  - name: a\n    x:\n      - - b\n        - c:\n            - d # e\n  >>>\nz: 1\n",
    "braces last": "models:\n  - {name: a, x: [1,\n     2]} # {\n  >>>\nz: 1\n",
    "empty braces last": "models:\n  - {}\n  - name: []\n  >>>\nz: 1\n",
    "no value last": "models:\n  - name: a\n    x:\n  >>>\nz: 1\n",
    "empty item last": "models:\n  - name: a\n  -\n  >>>\nz: 1\n",
    "text over lines last": "models:\n  - a: one\n      two\n\n      three # x\n  >>>\nz: 1\n",
    "quotes over lines last": "models:\n  - a: 'one\n\n      # no comment\n\n     '\n  >>>\n\nz: 1\n",
    "block last": "models:\n  - a: |\n      x\n\n      # no comment\n  >>>\n\n\n# z\nz: 1\n",
    "block that keeps blank lines last": "models:\n  - a: |+\n      x\n\n\n  >>>\nz: 1\n",
    "block that keeps, with a sign": "models:\n  - >+2\n     x\n\n  >>>\nz: 1\n",
    "plus only in the comment": "models:\n  - a: |- # 1+1\n      x\n  >>>\n\n\nz: 1\n",
    "letters beyond ASCII": "models: # ж\n  - é\U0001f600: 'ж'  # ж\n    # ж\n  >>>\nж: ж\n",
    "quoted key": "a: 1\n'models':\n  - name: a\n  >>>\n",
    "explicit key": "? models\n:\n  - name: a\n  >>>\nz: 1\n",
    "markers": "---\nmodels:\n  - name: a\n  >>>\n...\n",
    "key elsewhere too": "x:\n  models:\n    - x\nmodels:\n  - name: a\n  >>>\nz:\n  - models: []\n",
    "indented top level": "  x: 1\n  models:\n    - name: a\n    # of the list\n    >>>\n  # next\n  z: 1\n",
    "nothing yet": "models:\n  >>>\nservices: []\n",
    "nothing yet, comments": "models: # none\n  # - name: a\n  >>>\n# next\nservices: []\n",
    "nothing yet, others below": "models:\n>>>\nservices:\n- a\n",
    "missing": "a: 1\n+models:\n  >>>\n",
    "missing, blank lines between": "a: 1\n\n# b\nb:\n  - 1\n# end\n+\n+models:\n  >>>\n",
    "missing, blank line at the end": "a: 1\n\nb: 2\n\n+models:\n  >>>\n",
    "missing, before the end marker": "a: 1\n+models:\n  >>>\n...\n",
    "missing, indented": "  a: 1\n+  models:\n    >>>\n",
    "missing, behind a block": "a: |+\n  x\n\n+models:\n  >>>\n",
}


def lines_of(item: dict[str, Any], indentation: str) -> str:
    return "".join(indentation + line for line in yamlio.dump([item]).decode().splitlines(keepends=True))


def before_and_after(case: str, item: dict[str, Any] = ITEM) -> tuple[str, str]:
    """The text without what is marked, and with it."""
    before, after = "", ""
    for line in case.splitlines(keepends=True):
        if line.strip() == ">>>":
            after += lines_of(item, line[: line.index(">")])
        elif line.startswith("+"):
            after += line[1:]
        else:
            before += line
            after += line
    return before, after


@pytest.mark.parametrize("name", CASES)
def test_appends(name: str) -> None:
    old, after = before_and_after(CASES[name])
    expected = {**yamlio.load(old, FILE).data}
    expected["models"] = [*(expected.get("models") or []), ITEM]
    assert append_item(old, "models", ITEM) == after
    assert yamlio.load(after, FILE).data == expected
    assert append_item(old.replace("\n", "\r\n"), "models", ITEM) == after.replace("\n", "\r\n")
    assert append_item("\ufeff" + old, "models", ITEM) == "\ufeff" + after


EMPTY = {
    "models: []\nz: 1\n": "models:\n  >>>\nz: 1\n",
    "models: []  # none yet\n# next\nz: 1\n": "models:  # none yet\n  >>>\n# next\nz: 1\n",
    "models: [ ]\n  # of it\n\nz:\n- 1\n": "models:\n  # of it\n>>>\n\nz:\n- 1\n",
    "models: ~\n": "models:\n  >>>\n",
    "models: null # x\n": "models: # x\n  >>>\n",
    "é: é\nmodels: []": "é: é\nmodels:\n  >>>\n",
    "models:\n  - name: a": "models:\n  - name: a\n  >>>\n",
    "models:\n  - name: a # b": "models:\n  - name: a # b\n  >>>\n",
    "a: 1": "a: 1\nmodels:\n  >>>\n",
    "models:": "models:\n  >>>\n",
}


@pytest.mark.parametrize(("old", "case"), EMPTY.items())
def test_empty_lists_and_missing_line_ends(old: str, case: str) -> None:
    after = before_and_after(case)[1]
    assert append_item(old, "models", ITEM) == after
    assert append_item(old.replace("\n", "\r\n"), "models", ITEM).replace("\r\n", "\n") == after


REFUSED = {
    "models: [{name: a}]\n": (1, 9, "models", "the list is written in brackets"),
    "a: 1\nmodels: [\n]\n": (2, 9, "models", "the empty list spans several lines"),
    "models: {a: 1}\n": (1, 9, "models", "not a list"),
    "models:\n  a: 1\n": (2, 3, "models", "not a list"),
    "models: '~'\n": (1, 9, "models", "not a list"),
    "models: text\n": (1, 9, "models", "not a list"),
    "{models: []}\n": (1, 1, "", "the file is one mapping in braces"),
    "models: &x []\n": (1, 9, "models", "anchor &x"),
    "models: []\nmodels: []\n": (2, 1, "models", "the key models is given twice"),
    # A line end at the end of this file would belong to the text.
    "a: |\n  x": (0, 0, "models[0]", "the file is laid out so that it cannot be edited without changing what it says"),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.items())
def test_refuses_to_append(text: str, expected: tuple[int, int, str, str]) -> None:
    with pytest.raises(UserError) as caught:
        append_item(text, "models", ITEM, "m.yaml")
    (found,) = caught.value.diagnostics
    assert (found.file, bool(found.hint)) == ("m.yaml", True)
    assert (found.line, found.column, found.path, found.message) == expected


def test_an_item_that_the_reader_refuses_has_no_line() -> None:
    with pytest.raises(UserError, match="too long") as caught:
        append_item("models: []\n", "models", {"name": "x" * 5000})
    assert [(d.file, d.line, d.column, d.path) for d in caught.value.diagnostics] == [(FILE, 0, 0, "models[0].name")]


TEXT = st.text("ab \n#:-'\"{é\u2028", max_size=8)


@given(st.dictionaries(TEXT, TEXT | st.integers(0, 9) | st.lists(TEXT, max_size=2), min_size=1), st.integers(0, 9))
def test_appending_again_and_again(item: dict[str, Any], count: int) -> None:
    text = "# top\nmodels: # of models\n  # first\n  - name: a\n\n  # rest\n\n# next\nservices: []\n"
    items: list[Any] = [{"name": "a"}]
    for _ in range(count % 3 + 1):
        text = append_item(text, "models", item)
        items.append(item)
    assert yamlio.load(text, FILE).data == {"models": items, "services": []}
    assert text.startswith("# top\nmodels: # of models\n  # first\n  - name: a\n\n  # rest\n")
    assert text.endswith("\n\n# next\nservices: []\n")


def test_tuples_and_mappings_become_lists_and_dicts() -> None:
    new = append_item("m: []\n", "m", {"a": (1, (True,)), "b": 1.0})
    assert new == "m:\n  - a:\n      - 1\n      - - true\n    b: 1.0\n"


SCALARS = "# c\na:  'x'   # y\nb: {u: 1, l: [p, \"é\", r]}\nc:\n  - d: old text # e\n  - ~\ne:\nt: |\n  x\nm: p\n  q\n"
SET: dict[tuple[str | int, ...], tuple[Any, str, str]] = {
    ("a",): ("n", "'x'", '"n"'),
    ("b", "u"): (12, "u: 1", "u: 12"),
    ("b", "l", 0): ("s, t", "[p,", '["s, t",'),
    ("b", "l", 1): ("https://a.b/c", '"é"', "https://a.b/c"),
    ("c", 0, "d"): ("#1: x\ny", "old text", '"#1: x\\ny"'),
    ("c", 1): (True, "~", "true"),
    ("e",): (None, "\ne:\n", "\ne: null\n"),
}


@pytest.mark.parametrize(("place", "change"), SET.items())
def test_sets_a_scalar(place: tuple[str | int, ...], change: tuple[Any, str, str]) -> None:
    value, old, new = change
    for text in (SCALARS, SCALARS.replace("\n", "\r\n"), "\ufeff" + SCALARS):
        wanted = text.replace("\r\n", "\n").replace(old, new, 1)
        assert set_scalar(text, place, value).replace("\r\n", "\n") == wanted
        found: Any = yamlio.load(set_scalar(text, place, value), FILE).data
        for part in place:
            found = found[part]
        assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "place", [(), ("b",), ("b", "l"), ("b", "l", 3), ("c", 0), ("zz",), ("a", "b"), ("t",), ("m",)]
)
def test_refuses_to_set_what_is_no_scalar_on_one_line(place: tuple[str | int, ...]) -> None:
    with pytest.raises(UserError, match="no value on one line"):
        set_scalar(SCALARS, place, "x")
