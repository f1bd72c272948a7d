"""The canonical writer: its bytes, its order, what it quotes and what it refuses to write."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from enum import IntEnum, StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import yamlio
from generator.yamlio import canonical_json, dump, dump_all, pretty_json

WIDE = yamlio.Limits(depth=200, scalar_bytes=2**20)

JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "prestage-a", "labels": {"app.kubernetes.io/version": "1.10"}, "annotations": {}},
    "spec": {
        "backoffLimit": 4,
        "suspend": False,
        "args": ["--repo", "org/name", ["a", ["b", {"c": 1, "d": [{"e": None}]}]], [], {}, [[]], {"x": [], "z": {}}],
        "script": "set -e\n\nexec run  # x\n",
        "note": "  first line is indented\nsecond\n",
        "cut": "a\nb",
        "items": ["one\ntwo\n", "1\n2", {"text": "x\ny\n"}],
        "ratio": 0.25,
    },
}
JOB_YAML = """\
# Generated.
#
# Do not edit.
apiVersion: batch/v1
kind: Job
metadata:
  name: prestage-a
  labels:
    app.kubernetes.io/version: "1.10"
  annotations: {}
spec:
  backoffLimit: 4
  suspend: false
  args:
    - "--repo"
    - org/name
    - - a
      - - b
        - c: 1
          d:
            - e: null
    - []
    - {}
    - - []
    - x: []
      z: {}
  script: |
    set -e

    exec run  # x
  note: |2
      first line is indented
    second
  cut: |-
    a
    b
  items:
    - |
      one
      two
    - |-
      1
      2
    - text: |
        x
        y
  ratio: 0.25
"""


def test_bytes_of_a_manifest() -> None:
    written = dump(JOB, header="Generated.\n\nDo not edit.\n")
    assert written.decode() == JOB_YAML
    assert yamlio.load(written, "job.yaml").data == JOB


# Separated by two blanks or a line end.
PLAIN = """
    a  org/Model-Name_1.0  /mnt/models  _x  nvidia.com/gpu  quay.io/a/b:v1.2  https://a.b/c  key=value  a, b  x+y
    It works (mostly)  s3://bucket/key  16Gi  500m  7Ti  a:b  a::b  user@host  arn:aws:iam::aws:policy/x  nullable
    yess  falsehood  infinite  e3  x1  Onward  namespace:deployment
"""
QUOTED = """
    y  N  yes  NO  On  off  true  FALSE  null  Null  ~  nan  Inf  1  012  1e3  0x1F  1.2.3  12:30  2026-11-21  8080:80
    1Gx  01Gi  0m  .5  +1  -  -x  ?  :  a: b  a : b  a # b  #x  a:  : a  *  *x  &x  !x  %x  @x  `x  'x'  "x"  [x  {x
    {{ x }}  ${X}  %{x}  >  <  =  <<  \\  a\\b  $x  a$b  it's  ---  ...  .a  a;b  a & b  a*b  é  \U0001f600  a<b  x?
    x!  a [b]  a{b}  a"  50%
"""


def listed(table: str) -> list[str]:
    return re.split(r"(?:  |\n) *", table.strip())


@pytest.mark.parametrize("text", listed(PLAIN))
def test_is_written_plain(text: str) -> None:
    assert dump({"k": text}) == f"k: {text}\n".encode()
    assert dump({text: 1}) == f"{text}: 1\n".encode()


@pytest.mark.parametrize("text", listed(QUOTED))
def test_is_written_in_double_quotes(text: str) -> None:
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert dump([text]).decode() == f"- {quoted}\n"
    assert dump({text: text}).decode() == f"{quoted}: {quoted}\n"


ESCAPED = {
    "": '""',
    " a": '" a"',
    "a ": '"a "',
    "\n": r'"\n"',
    "\na": r'"\na"',
    "a\n\n": r'"a\n\n"',
    "a \nb": r'"a \nb"',
    "a\n \nb": r'"a\n \nb"',
    "a\n\tb": r'"a\n\tb"',
    "a\tb": r'"a\tb"',
    "a\r\nb": r'"a\r\nb"',
    "\0\a\b\x1b\x7f\x85\x9f\xad": r'"\x00\x07\x08\x1b\x7f\x85\x9f\xad"',
    "\u200b\u202e\u2028\ufeff\ue000\ufffe": r'"\u200b\u202e\u2028\ufeff\ue000\ufffe"',
    "\U000e0041\U0001fffe\U0010ffff": r'"\U000e0041\U0001fffe\U0010ffff"',
    "é\u00a0日\U0001f600\u2764\ufe0f": '"é\u00a0日\U0001f600\u2764\ufe0f"',
    "a\n\u200b": r'"a\n\u200b"',
}


@pytest.mark.parametrize(("text", "written"), ESCAPED.items())
def test_escapes(text: str, written: str) -> None:
    assert dump({"k": text}).decode() == f"k: {written}\n"
    assert yamlio.load(dump({"k": text, text: [text]}), "x").data == {"k": text, text: [text]}


def test_scalars_on_top() -> None:
    written = {None: "null", True: "true", 7: "7", "a": "a", "a\nb\n": "|\n  a\n  b"}
    assert {value: dump(value).decode() for value in written} == {k: v + "\n" for k, v in written.items()}
    assert [dump({}), dump([]), dump({"a": ()})] == [b"{}\n", b"[]\n", b"a: []\n"]


def test_long_lines_and_keys_are_not_folded() -> None:
    words, key = "word " * 2000 + "end", "k" * 2000
    data = {"a": words, key: {"b": [1], key: {}}, "c": [{key + " ": "x\ny\n"}]}
    written = dump(data)
    assert f"a: {words}\n? {key}\n:\n  b:\n    - 1\n  ? {key}\n  : {{}}\n".encode() in written
    assert yamlio.load(written, "x", WIDE).data == yaml.safe_load(written) == data


class Colour(StrEnum):
    RED = "red"
    NO = "no"


class Size(IntEnum):
    BIG = 3


def test_mappings_tuples_and_enums_are_data() -> None:
    data = MappingProxyType({"a": (1, Colour.RED), Colour.NO: Colour.NO, "s": Size.BIG, "m": MappingProxyType({})})
    assert dump(data) == b'a:\n  - 1\n  - red\n"no": "no"\ns: 3\nm: {}\n'
    assert json.loads(canonical_json(data)) == json.loads(pretty_json(data)) == yaml.safe_load(dump(data))


NESTED: list[Any] = []
NESTED.append(NESTED)
UNWRITABLE: dict[str, tuple[object, type[Exception], str]] = {
    "key": ({"a": {1: 2}}, TypeError, "int is not a key: keys are strings at a"),
    "set": ({"a": [{}, {"b": {1}}]}, TypeError, "set is not .* data at a\\[1\\].b"),
    "bytes": ([b"x"], TypeError, "bytes is not .* data at \\[0\\]"),
    "object": (Path("x"), TypeError, "Path is not .* data"),
    "nan": ({"a": float("nan")}, ValueError, "at a"),
    "inf": ({"a": [float("inf")]}, ValueError, "at a\\[0\\]"),
    "surrogate": ({"a": ["x", "\ud800"]}, ValueError, "half of a surrogate pair at a\\[1\\]"),
    "surrogate in a key": ({"a": {"\udfff": 1}}, ValueError, "half of a surrogate pair at a"),
    "cycle": ({"a": NESTED}, ValueError, "nested deeper than 100 levels"),
}


@pytest.mark.parametrize(("data", "kind", "message"), UNWRITABLE.values(), ids=UNWRITABLE)
@pytest.mark.parametrize("write", [dump, canonical_json, pretty_json, lambda data: dump_all([{}, data])])
def test_refuses_to_write(data: object, kind: type[Exception], message: str, write: Callable[[object], object]) -> None:
    with pytest.raises(kind, match=message):
        write(data)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 1e-7, 1e16, 1e300, 5e-324])
def test_numbers_that_parsers_read_differently_are_for_json_only(number: float) -> None:
    with pytest.raises(ValueError, match="write it as a string at n"):
        dump({"n": number})
    assert json.loads(canonical_json({"n": number})) == json.loads(pretty_json({"n": number})) == {"n": number}


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 0, 0.1, -2.5, 100000.0, 1234567890123456.0, 0.0001])
def test_numbers_come_back(number: float) -> None:
    (back,) = yamlio.load(dump({"n": number}), "x").data.values()
    assert (back, type(back)) == (number, type(number))


def test_documents_in_one_stream() -> None:
    assert dump_all([{"a": 1}, [1], "x"], header="h") == b"# h\na: 1\n---\n- 1\n---\nx\n"
    assert dump_all([], header="h") == b"# h\n"
    assert dump_all(iter([])) == b""


@pytest.mark.parametrize("header", ["a\rb", "a\x85b: c", "a\u2028b: c", "\u202ea", "\0"])
def test_a_header_cannot_leave_its_comment(header: str) -> None:
    with pytest.raises(ValueError, match="header"):
        dump({}, header=header)


def test_header_lines() -> None:
    assert dump({"a": 1}, header="x\n---\n b: 2") == b"# x\n# ---\n#  b: 2\na: 1\n"
    assert dump({}, header="") == b"#\n{}\n"


def test_json_texts() -> None:
    data = {"b": [1, {"z": None, "a": "é\u202e\U000e0041\n"}], "a": 1e-7}
    same = {"a": 1e-7, "b": [1, {"a": "é\u202e\U000e0041\n", "z": None}]}
    assert canonical_json(data) == canonical_json(same)
    assert canonical_json(data) == r'{"a":1e-07,"b":[1,{"a":"\u00e9\u202e\udb40\udc41\n","z":null}]}'
    written = pretty_json({"b": [1, "é\u202e\U000e0041\x7f\n"], "a": {}}).decode()
    assert written == '{\n  "b": [\n    1,\n    "é\\u202e\\udb40\\udc41\\u007f\\n"\n  ],\n  "a": {}\n}\n'


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.decimals(-1000, 1000, places=3).map(float)
    | st.text()
    | st.text("ab \n\t#:-|>'\"{[&*!%@`\\\r\x85\u2028", max_size=12)
)
DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
)


@given(st.dictionaries(st.text(), DATA))
@settings(max_examples=400)
def test_what_is_written_is_read_back(data: dict[str, Any]) -> None:
    written = dump(data)
    assert yamlio.load(written, "x", WIDE).data == data
    assert json.dumps(yamlio.load(written, "x", WIDE).data) == json.dumps(data)  # same order, same types
    assert dump(yamlio.load(written, "x", WIDE).data) == written
    assert all(line == line.rstrip() for line in written.decode().split("\n"))


@given(DATA)
def test_json_is_read_back(data: object) -> None:
    assert json.loads(canonical_json(data)) == json.loads(pretty_json(data)) == data
    assert canonical_json(data).isascii()
    assert yamlio.unsafe_character(pretty_json(data).decode()) == -1
