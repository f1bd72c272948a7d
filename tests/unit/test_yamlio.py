"""The strict reader: what it accepts, what it refuses and where it says the fault is."""

from __future__ import annotations

import re
import sys
import unicodedata
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from generator import yamlio
from generator.errors import Diagnostic, UserError
from generator.yamlio import Limits, construct, positions, scalars

FILE = "models.yaml"


def faults(text: str | bytes, limits: Limits = yamlio.LIMITS) -> tuple[Diagnostic, ...]:
    with pytest.raises(UserError) as caught:
        yamlio.load(text, FILE, limits)
    assert all(fault.file == FILE and fault.message and fault.hint for fault in caught.value.diagnostics)
    return caught.value.diagnostics


def said(text: str | bytes) -> list[str]:
    return [f"{d.line}:{d.column} {d.path}: {d.message}" for d in faults(text)]


ACCEPTED = {
    "a: true\nb: false\n": {"a": True, "b": False},
    "a: null\nb: ~\nc:\n": {"a": None, "b": None, "c": None},
    "a: 0\nb: -0\nc: 12\nd: -12\n": {"a": 0, "b": 0, "c": 12, "d": -12},
    "a: 9223372036854775807\nb: -9223372036854775808\n": {"a": 2**63 - 1, "b": -(2**63)},
    "a: 1.50\nb: -0.5\nc: 0.0\n": {"a": 1.5, "b": -0.5, "c": 0.0},
    "a: 1.2.3\nb: 16Gi\nc: 10.0.0.0/8\nd: 8080:80\n": {"a": "1.2.3", "b": "16Gi", "c": "10.0.0.0/8", "d": "8080:80"},
    "a: yEs\nb: nO\nc: none\nd: inf\ne: nan\n": {"a": "yEs", "b": "nO", "c": "none", "d": "inf", "e": "nan"},
    "a: 'yes'\nb: \"012\"\n'1': x\n": {"a": "yes", "b": "012", "1": "x"},
    "a: |\n  yes\nb: >-\n  1\n": {"a": "yes\n", "b": "1"},
    'a: "\\u202e\\0"\n': {"a": "\u202e\0"},  # an escape is seen by a reviewer
    "---\na: 1\n...\n": {"a": 1},
    "\ufeffa: 1\n": {"a": 1},
    "a: |\r\n  x\r\n  y\r\nb: 1\r\n": {"a": "x\ny\n", "b": 1},
    "a:\tb\tc # d\te\n": {"a": "b\tc"},
    "{a: [1, {b: c}], 'd': }\n": {"a": [1, {"b": "c"}], "d": None},
    "? a\n: b\n": {"a": "b"},
    "a: é日本\U0001f600\u2764\ufe0f\n": {"a": "é日本\U0001f600\u2764\ufe0f"},
    "'<<': {a: 1}\n": {"<<": {"a": 1}},
    "{}\n": {},
}


@pytest.mark.parametrize(("text", "data"), ACCEPTED.items())
def test_accepts(text: str, data: object) -> None:
    for given in (text, text.encode()):
        loaded = yamlio.load(given, FILE).data
        assert loaded == data
        assert repr(loaded) == repr(data)  # True is not 1, 0 is not 0.0


BOOLEAN = "is a boolean to some YAML parsers and text to others"
NUMBER = "is a number to some YAML parsers, another number or text to others"
DATE = "is a date to some YAML parsers and text to others"
BOOLEANS = re.findall(r"\S+", "y Y n N yes Yes YES no No NO on On ON off Off OFF True TRUE False FALSE")
NUMBERS = re.findall(
    r"\S+",
    """0b101 0B1 0o14 0O7 0x1F 0X1F 0x1p-2 012 08 -012 +1 1_000 1__0 0x_1 1_e3 1e3 1E3 1e+3 12e03 1.5e3 01.5
    .5 5. -.5 +.5 190:20:30 12:30:45 1:30 1:30.5 9223372036854775808 -9223372036854775809 99999999999999999999""",
)
DATES = ["2026-11-21", "2026-1-2", "2026-11-21T04:00:00Z", "2026-11-21 04:00:00.5 +01:00", "2026-11-21t4:0:0"]
NOT_FINITE = [".nan", ".NaN", ".NAN", ".inf", "-.inf", "+.Inf", ".INF"]
AMBIGUOUS = {
    **{text: f"{text} {BOOLEAN}" for text in BOOLEANS},
    **{text: f"{text} {NUMBER}" for text in NUMBERS},
    **{text: f"{scalars.shown(text)} {DATE}" for text in DATES},
    **{text: f"{text} is not a finite number" for text in NOT_FINITE},
    "Null": "Null is null, in an unusual spelling",
    "NULL": "NULL is null, in an unusual spelling",
    "=": "= has a meaning of its own in YAML 1.1",
    "<<": "<< is a merge key to some YAML parsers and text to others",
}


@pytest.mark.parametrize(("text", "message"), AMBIGUOUS.items())
def test_refuses_ambiguous_values(text: str, message: str) -> None:
    assert said(f"m:\n  - x: ok\n  - k:   {text}   # why\n") == [f"3:10 m[1].k: {message}"]
    assert yamlio.load(f"k: '{text}'\n", FILE).data == {"k": text}


@pytest.mark.parametrize("text", [*BOOLEANS, *NUMBERS, *DATES, "1", "-1", "1.5", "true", "null", "~", ".nan", "="])
def test_refuses_keys_that_are_not_strings(text: str) -> None:
    (found,) = faults(f"m:\n  ok: 1\n  {text}: 2\n")
    assert (found.line, found.column, found.path) == (3, 3, f"m.{text}")
    assert f'"{text}"' in found.hint or "quotes" in found.hint
    assert yamlio.load(f"m:\n  '{text}': 2\n", FILE).data == {"m": {text: 2}}


HUGE_FLOAT = "9" * 400 + ".0"
REFUSED: dict[str, tuple[str | bytes, list[str]]] = {
    "duplicate key": ("a: 1\nb: 2\na: 3\n", ["3:1 a: the key a is given twice"]),
    "duplicate key, quoted": ("m:\n  - a: 1\n    'a': 2\n", ["3:5 m[0].a: the key a is given twice"]),
    "duplicate key, flow": ("m: {a: 1, a: 2}\n", ["1:11 m.a: the key a is given twice"]),
    "duplicate key, thrice": ("a: 1\na: 2\na: 3\n", [f"{n}:1 a: the key a is given twice" for n in (2, 3)]),
    "merge key": ("m:\n  <<: {a: 1}\n", ["2:3 m.<<: merge key <<"]),
    "anchor on a scalar": ("a: &x 1\n", ["1:4 a: anchor &x"]),
    "anchor on a list": ("a: &x [1]\n", ["1:4 a: anchor &x"]),
    "anchor on a key": ("a: 1\n&x b: 1\n", ["2:1 : anchor &x"]),
    "alias": ("a: 1\nb: [*x, 2]\n", ["2:5 b[0]: alias *x"]),
    "alias as a key": ("a: 1\n*x : 2\n", ["2:1 : alias *x"]),
    "tag, short": ("a: !!str 1\n", ["1:4 a: tag !!str"]),
    "tag, own": ("a: !x {b: 1}\n", ["1:4 a: tag !x"]),
    "tag, non-specific": ("a: ! 1\n", ["1:4 a: tag !"]),
    "tag, verbatim": ("a: !<tag:x.org,2000:y> 1\n", ["1:4 a: tag tag:x.org,2000:y"]),
    "two documents": ("a: 1\n---\nb: 2\n", ["2:1 : a second document starts"]),
    "two documents, first empty": ("---\n---\nb: 2\n", ["2:1 : a second document starts"]),
    "directive": ("%YAML 1.1\n---\na: 1\n", ["1:1 : a %YAML or %TAG directive"]),
    "tag directive": ("%TAG !e! tag:e.org,2000:\n---\na: 1\n", ["1:1 : a %YAML or %TAG directive"]),
    "list as a key": ("m:\n  ? [a]\n  : 1\n", ["2:5 m: a list or a mapping is used as a key"]),
    "mapping as a key": ("m: {{ x }}\n", ["1:5 m: a list or a mapping is used as a key"]),
    "no key": ("m:\n  ? \n  : 1\n", ['2:4 m."": a key is missing before the colon']),
    "float too large": (f"a: {HUGE_FLOAT}\n", [f"1:4 a: {scalars.shown(HUGE_FLOAT)} {NUMBER}"]),
    "empty": ("", ["1:1 : the file is empty"]),
    "only comments": ("# a\n\n# b\n", ["1:1 : the file is empty"]),
    "only a marker": ("---\n", ["1:1 : the file is empty"]),
    "null": ("# c\n~\n", ["1:1 : the file is empty"]),
    "list on top": ("# c\n- a: 1\n", ["2:1 : the top level is a list, not a mapping"]),
    "scalar on top": ("\n  hello\n", ["2:3 : the top level is a single value, not a mapping"]),
    "NUL": ("a: b\nc: d\x00\n", ["2:5 : invisible or control character U+0000"]),
    "ESC in a comment": ("a: 1 # \x1b[2J\n", ["1:8 : invisible or control character U+001B"]),
    "CR alone": ("a: 1\n# x\ry\n", ["2:4 : invisible or control character U+000D"]),
    "BOM inside": ("a: 1\n\ufeffb: 2\n", ["2:1 : invisible or control character U+FEFF"]),
    "line separator": ("a: x\u2028y\n", ["1:5 : invisible or control character U+2028"]),
    "half a pair": ("a: \ud83d\n", ["1:4 : invisible or control character U+D83D"]),
    "invisible and CRLF": ("a: x\u200b\r\nb:\r\n  c: 1\r\n", ["1:5 : invisible or control character U+200B"]),
    "not UTF-8": (b"a: \xc3\xa9\nb: x\xff\n", ["2:5 : the file is not UTF-8: byte 0xff at offset 10"]),
    "UTF-16": ("a: 1\n".encode("utf-16"), ["1:1 : the file is not UTF-8: byte 0xff at offset 0"]),
    "several": (
        "a: yes\nb: &x 1\nb: *x\nc: [012, {d: 1, d: !t 2}]\ne: \u202e\nf: : x\n",
        [
            f"1:4 a: yes {BOOLEAN}",
            "2:4 b: anchor &x",
            "3:1 b: the key b is given twice",
            "3:4 b: alias *x",
            f"4:5 c[0]: 012 {NUMBER}",
            "4:17 c[1].d: the key d is given twice",
            "4:20 c[1].d: tag !t",
            "5:4 : invisible or control character U+202E",
            "6:4 : not valid YAML: mapping values are not allowed in this context",
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.values(), ids=REFUSED)
def test_refuses(text: str | bytes, expected: list[str]) -> None:
    assert said(text) == expected
    if isinstance(text, bytes):
        return
    if "\r" not in text:
        assert said(text.replace("\n", "\r\n")) == expected
    if "\ud83d" not in text:
        assert said(b"\xef\xbb\xbf" + text.encode()) == expected


def test_a_repeated_key_names_the_line_of_the_first() -> None:
    assert faults("m:\n  a: {x: 1}\n  b: 2\n  a: 3\n")[0].hint == "keep one of the two; the first is in line 2"
    assert faults("a: 1\na: 2\nb: [\n")[0].hint == "keep one of the two; the first is in line 1"


SYNTAX = {
    "a:\n\t- b\n": ((2, 1), "found character that cannot start any token", "indent with spaces, not with tabs"),
    "a: b: c\n": ((1, 5), "mapping values are not allowed", "colon and a space"),
    "a: @x\n": ((1, 4), "found character that cannot start any token", "starts with @"),
    "a: [1,\nb: 2\n": (
        (3, 1),
        "did not find expected ',' or ']' while parsing a flow sequence that starts",
        "brackets",
    ),
    "a: 1\n b: 2\n": ((2, 3), "mapping values are not allowed", "indentation"),
    "a: 'x\n": ((2, 1), "unexpected end of stream while scanning a quoted scalar that starts in line 1", "quotes"),
}


@pytest.mark.parametrize(("text", "expected"), SYNTAX.items())
def test_reports_broken_yaml(text: str, expected: tuple[tuple[int, int], str, str]) -> None:
    (found,) = faults(text)
    place, message, hint = expected
    assert ((found.line, found.column), message in found.message, hint in found.hint) == (place, True, True)
    assert found.message.startswith("not valid YAML: ")


LIMITS = Limits(file_bytes=40, depth=3, scalar_bytes=8, faults=4)


@pytest.mark.parametrize(("size", "fits"), [(39, True), (40, True), (41, False)])
def test_limit_of_the_file(size: int, fits: bool, tmp_path: Path) -> None:
    text = "a: 1\n".ljust(size, "#")
    path = tmp_path / FILE
    path.write_text(text)
    if fits:
        assert yamlio.load(text, FILE, LIMITS).data == yamlio.load_file(path, limits=LIMITS).data == {"a": 1}
        return
    assert [d.message for d in faults(text, LIMITS)] == ["the file is larger than 40 bytes"]
    with pytest.raises(UserError, match="larger than 40 bytes"):
        yamlio.load_file(path, limits=LIMITS)
    assert [d.message for d in faults("a: " + "é" * 19, LIMITS)] == ["the file is larger than 40 bytes"]


@pytest.mark.parametrize("nested", ["a: {b: %s}\n", "a:\n  b:\n    %s\n", "{a: [%s]}\n"])
def test_limit_of_the_depth(nested: str) -> None:
    assert yamlio.load(nested % "x", FILE, LIMITS).data["a"]
    assert yamlio.load(nested % "[x]", FILE, LIMITS).data["a"]
    (found,) = faults(nested % "[[x]]", LIMITS)
    assert found.message == "nested deeper than 3 levels"
    assert nested.split("\n")[found.line - 1].find("%s") + 2 == found.column


@pytest.mark.parametrize("text", ["x" * 8, "é" * 4, "\U0001f600" * 2])
@pytest.mark.parametrize(("form", "column"), [("a: %s\n", 4), ("a: ['%s']\n", 5), ('"%s": 1\n', 1)])
def test_limit_of_a_scalar(text: str, form: str, column: int) -> None:
    for shorter in (text[:-1], text):
        assert yamlio.load(form % shorter, FILE, LIMITS).data
    (found,) = faults(form % (text + "x"), LIMITS)
    assert (found.message, found.line, found.column) == ("a text of 9 bytes is too long", 1, column)


def test_the_stated_limits() -> None:
    assert Limits() == Limits(file_bytes=16 * 2**20, depth=20, scalar_bytes=4096, faults=100) == yamlio.LIMITS
    assert yamlio.load("a: " + "x" * 4096, FILE).data
    assert faults("a: " + "x" * 4097)[0].path == "a"
    assert yamlio.load("a: " + "[" * 19 + "]" * 19, FILE).data
    assert faults("a: " + "[" * 20 + "]" * 20)[0].message == "nested deeper than 20 levels"


@pytest.mark.parametrize("count", [2, 3, 4, 5, 1000])
def test_limit_of_the_faults(count: int) -> None:
    found = [d.message for d in faults("a: [" + "*x," * count + "]", Limits(faults=4))]
    last = ["more than 3 faults: the rest is not reported"] if count > 3 else []
    assert found == ["alias *x"] * min(count, 3) + last


def test_deep_nesting_and_alias_bombs_are_one_look() -> None:
    for text in ("[" * 20_000, "a: " + "{a: " * 20_000, "- " * 20_000, "? " * 20_000):
        assert len(faults(text)) == 1
    letters = "abcdefghi"
    bomb = "a: &a [x]\n" + "".join(f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in pairwise(letters))
    found = [d.message for d in faults(bomb)]
    assert found.count("anchor &a") == 1
    assert sum(message.startswith("alias") for message in found) == 72


def unsafe_characters() -> list[str]:
    """Every Cc, Cf, Cs and Co of this Python's Unicode, but tab and newline."""
    walk = (chr(code) for code in range(sys.maxunicode + 1))
    return [c for c in walk if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") and c not in "\t\n"]


def test_every_unsafe_character_is_found() -> None:
    found = unsafe_characters()
    assert len(found) > 139_000
    assert [c for c in found if yamlio.unsafe_character(f"a{c}") != 1] == []
    # A CR is a line end where LF follows it, so one letter stands behind each.
    text = "".join(f"{c}x" for c in found)
    assert scalars.unsafe_in_source(text) == list(range(0, len(text), 2))


FORMS = [("a: x%sy\n", 5), ("a: 'x%sy'\n", 6), ("ax%s: y\n", 3), ("#: x%s\n", 5), ("a: |\n     %s\n", 6)]


@pytest.mark.parametrize(("form", "column"), FORMS)
def test_unsafe_characters_are_refused_in_their_column(form: str, column: int) -> None:
    some = [c for c in unsafe_characters() if unicodedata.category(c) in ("Cc", "Cf") and c != "\r"]
    for character in [*some, "\ud800", "\ue000", "\ufffe"]:
        found = next(d for d in faults(form.replace("%s", character)) if "U+" in d.message)
        assert (found.line, found.column) == (form.count("\n"), column)
        assert f"U+{ord(character):04X}" in found.message


def test_visible_characters_pass() -> None:
    kinds = ("L", "M", "N", "P", "S", "Zs")
    walk = (chr(code) for code in range(sys.maxunicode + 1))
    refused = [c for c in walk if unicodedata.category(c).startswith(kinds) and yamlio.unsafe_character(c) == 0]
    # Letters and marks that show nothing (Default_Ignorable_Code_Point).
    assert all(
        c in "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0" or "VARIATION SELECTOR" in unicodedata.name(c)
        for c in refused
    )
    assert yamlio.unsafe_character("\u2764\ufe0f é \u3000\u00a0\t\n") == -1


TREE = (
    "# c\nmodels:\n  - name: a\n    source: {repo: x, files: [p, 'q r']}\n  - name:\n\n    text: |\n      t\nempty:\n"
)
PLACES = {
    (): ((2, 1), (2, 1)),
    ("models",): ((3, 3), (2, 1)),
    ("models", 0): ((3, 5), (3, 5)),
    ("models", 0, "name"): ((3, 11), (3, 5)),
    ("models", 0, "source"): ((4, 13), (4, 5)),
    ("models", 0, "source", "files", 1): ((4, 34), (4, 34)),
    ("models", 0, "source", "missing"): ((4, 13), (4, 13)),
    ("models", 0, "source", "missing", 3, "x"): ((4, 13), (4, 13)),
    ("models", 1, "name"): ((5, 10), (5, 5)),
    ("models", 1, "text"): ((7, 11), (7, 5)),
    ("models", 7, "name"): ((3, 3), (3, 3)),
    ("empty",): ((9, 7), (9, 1)),
}


@pytest.mark.parametrize(("place", "expected"), PLACES.items())
def test_locates_values_and_keys(place: tuple[str | int, ...], expected: tuple[object, object]) -> None:
    for text in (TREE, "\ufeff" + TREE, TREE.replace("\n", "\r\n")):
        document = yamlio.load(text, FILE)
        assert (document.locate(place), document.locate_key(place)) == expected


def test_a_fault_of_a_document_has_its_place() -> None:
    document = yamlio.load(TREE, FILE)
    value = document.fault(("models", 1, "name"), "missing", "write it")
    assert value == Diagnostic("missing", FILE, 5, 10, "models[1].name", "write it")
    assert document.fault(("models", 1, "name"), "m", at_key=True).column == 5
    assert document.fault(("a\x1b[2J",), "m").path == '"a\\x1b[2J"'


def test_reads_files(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(b"a: \xc3\xa9\n")
    assert yamlio.load_file(path).data == {"a": "é"}
    path.write_bytes(b"a: yes\n")
    for name, shown in ((None, str(path)), ("x.yaml", "x.yaml")):
        with pytest.raises(UserError) as caught:
            yamlio.load_file(path, name)
        assert caught.value.diagnostics[0].file == shown


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UserError) as caught:
            yamlio.load_file(path, "m.yaml")
        (found,) = caught.value.diagnostics
        assert (found.file, message in found.message, bool(found.hint)) == ("m.yaml", True, True)


@pytest.mark.parametrize("case", [name for name in REFUSED if name not in ("several", "directive", "tag directive")])
def test_without_libyaml_the_same_is_refused(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (construct, positions):
        monkeypatch.setattr(module, "LOADER", yaml.SafeLoader)
    text, expected = REFUSED[case]
    assert said(text) == expected
