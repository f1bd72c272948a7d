"""What we write, and what we accept, as other parsers read it: PyYAML (1.1), ruamel.yaml (1.2), real helm (Go)."""

from __future__ import annotations

import base64
import itertools
import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from generator import yamlio
from generator.errors import UserError
from generator.yamlio import scalars

RESOLVE: Callable[..., str] = yaml.SafeLoader("").resolve  # has no types of its own
WIDE = yamlio.Limits(scalar_bytes=2**20)
LONG = "word " * 1000
# fmt: off
HOSTILE = (
    # booleans and nulls
    "y", "Y", "n", "N", "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "true", "True",
    "TRUE", "false", "False", "FALSE", "null", "Null", "NULL", "~", "", "none", "nil", "yEs", "tRUE", "nO",
    # numbers
    "0", "-0", "+0", "1", "-1", "+1", "00", "01", "012", "08", "09", "0o14", "0o", "0O14", "0b101", "0B1", "0x1F",
    "0XAB", "0x", "0x_1", "1_000", "1__0", "_1", "1_", "1,000", "1.5", "1.", ".5", "-.5", "+.5", "1e3", "1E3", "1e+3",
    "1e-3", "12e03", "1.5e10", "1.e5", ".e5", "1e", "e1", "0x1p-2", "9223372036854775808",
    "123456789012345678901234567890", ".inf", "-.inf", "+.INF", ".Inf", ".nan", ".NaN", ".NAN", "inf", "nan",
    "Infinity", "NaN", "1.2.3", "v1.2", "1e1e1", "1234e56", "0123456789012345678901234567890123456789",
    "12e4567890123456789012345678901234567890", "0.1.0",
    # base 60, dates, quantities, addresses
    "1:30", "12:30:45", "190:20:30", "190:20:30.15", "1:60", "1:2:3:4", "-1:30", "2026-11-21", "2026-1-2", "2026-11",
    "2026-11-21T04:00:00Z", "2026-11-21 04:00:00.123 +01:00", "2026-11-21t4:0:0", "12:00", "04:05 PM", "16Gi", "500m",
    "1k", "1E", "2e", "0m", "1Ei", "10.0.0.1", "10.0.0.0/8", "::1", "a::b", "8080:80", "00:1A:2B",
    # indicators
    "-", "--", "- a", "-a", "---", "--- a", "...", "?", "? a", "?a", ":", ": a", ":a", "a:", "a: b", "a :b", "a : b",
    "=", "<<", "#", "# a", "a #b", "a#b", " #", "&a", "*a", "!a", "!!str a", "|", "|-", ">", ">-", "%YAML 1.1", "@a",
    "`a", "a,b", ",a", "[", "]", "[a]", "[a, b", "{", "}", "{a: b}", "{a", "'", "''", "'a'", "it's", '"', '"a"',
    'say "x"', "\\", "\\n", "a\\", "{{ x }}", "{{`x`}}", "{{-", "}}", "${X}", "$${X}", "${{ x }}", "%{x}",
    "{% raw %}", "{# x #}", "$(X)", "$x", "`x`",
    # white space and line ends
    " ", "  ", " a", "a ", "\t", "\ta", "a\t", "a\tb", "\n", "\n\n", "a\n", "a\n\n", "a\n\n\n", "\na", "\n\na\n",
    "a\nb", "a\nb\n", "a\n\nb", " a\nb", "  a\n b\n", "a\n b", "a \nb", "a\n \nb", "a\n\tb", "\ta\nb\n", "a\t\nb",
    "a\r", "a\r\nb", "\r", "a\rb\n", "a:\n- b\n", "- a\n- b\n", "---\na: b\n", "# x\na\n", "#x\n#y\n", "a\n---\nb\n",
    "a\n...\n", "a\n# b\n", "|\n a\n",
    # characters
    "é", "日本語", "\U0001f600", "\u2764\ufe0f", "\U0001f468\u200d\U0001f469", "e\u0301", "\u00a0", "\u3000",
    "a\u00a0b", "\x00", "a\x00b", "\x07\x08\x0b\x0c\x1b", "\x7f", "\x80\x9f", "\x85", "a\x85b", "\xad", "\u2028",
    "a\u2028b\u2029c\n", "\u200b", "\u202e", "\u2066x\u2069", "\ufeff", "\ufeffa", "\ufffd", "\ufffe", "\uffff",
    "\ue000", "\U0010ffff", "\U000e0041", "\u2028\n\u2029\n", "\x85\n\x85", "\U0001fffe", "\ud7ff", "\uf8ff",
    # long
    LONG, LONG.strip(), "x" * 5000, "é" * 2000, "a\n" * 3000, "x" * 1000, "x" * 1024, "y " * 513, "\u202e" * 300,
)
# fmt: on
Values = dict[str, Any]


def everywhere(strings: list[str]) -> Values:
    """Each string as a value, as a key, in a list, in a list of lists and deep in a mapping."""
    return {
        "values": {f"v{i}": text for i, text in enumerate(strings)},
        "keys": {text: f"k{i}" for i, text in enumerate(strings)},
        "list": strings,
        "nested": [[text, {text: [text]}] for text in strings],
        "deep": {"a": [{"b": {text: {text: text}}} for text in strings]},
    }


def by_ruamel(text: bytes) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def by_us(text: bytes) -> Any:
    return yamlio.load(text, "x", WIDE).data


def by_libyaml(text: bytes) -> Any:
    return yaml.load(text, yaml.CSafeLoader)


ReadByHelm = Callable[[bytes], Any]


@pytest.fixture
def by_helm(helm: Path, tmp_path: Path) -> ReadByHelm:
    """What a template sees of a value file, in one start of helm."""
    chart = tmp_path / "echo"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: echo\nversion: 0.1.0\n")
    # Base 64, because helm parses what it rendered and would do to it what is tested here.
    (chart / "templates" / "echo.yaml").write_text("kind: Echo\ndata: {{ .Values.echo | toJson | b64enc }}\n")

    def read(text: bytes) -> Any:
        values = tmp_path / "values.yaml"
        values.write_bytes(text)
        done = subprocess.run([helm, "template", "x", chart, "-f", values], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        encoded = next(line for line in done.stdout.splitlines() if line.startswith("data: ")).removeprefix("data: ")
        return json.loads(base64.b64decode(encoded))

    return read


def test_the_table_is_long_and_without_repetition() -> None:
    assert len(HOSTILE) == len(set(HOSTILE)) >= 120


@pytest.mark.parametrize("read", [yaml.safe_load, by_libyaml, by_ruamel, by_us])
def test_hostile_strings_come_back(read: Callable[[bytes], Any]) -> None:
    data = everywhere(list(HOSTILE))
    assert read(yamlio.dump(data)) == data


def test_hostile_strings_come_back_from_helm(by_helm: ReadByHelm) -> None:
    data = everywhere(list(HOSTILE))
    assert by_helm(yamlio.dump({"echo": data})) == data


def test_unwritable_characters_are_never_raw() -> None:
    text = yamlio.dump(everywhere(list(HOSTILE))).decode()
    assert yamlio.unsafe_character(text) == -1


def scrambled(count: int) -> list[str]:
    """Strings made of what YAML finds meaning in; the same on every machine."""
    chooser = random.Random(20261121)
    pieces = (
        *"0179xobeEy~=<-+._:, \n\t#|>'\"{}[]&*!%@`?\\/$a",
        "é",
        "\x85",
        "\u2028",
        "\u200b",
        "\U0001f600",
        "no",
        "on",
        "true",
    )
    made = ("".join(chooser.choices(pieces, k=chooser.randint(1, 7))) for _ in range(3000))
    return sorted(set(made))[:count]


def test_scrambled_strings_come_back_from_helm(by_helm: ReadByHelm) -> None:
    data = {"list": scrambled(3000), "keys": dict.fromkeys(scrambled(3000), "x")}
    assert by_helm(yamlio.dump({"echo": data})) == data


@given(st.lists(st.text(), min_size=1, max_size=4, unique=True))
@settings(max_examples=300)
def test_any_text_comes_back(strings: list[str]) -> None:
    data = everywhere(strings)
    written = yamlio.dump(data)
    assert by_us(written) == yaml.safe_load(written) == by_libyaml(written) == by_ruamel(written) == data


@given(st.lists(st.text("aé \n\t#:-|>'\"{\\\r\x85\u2028\ufeff", max_size=8), min_size=1, max_size=4, unique=True))
@settings(max_examples=300)
def test_any_lines_come_back(strings: list[str]) -> None:
    data = everywhere(strings)
    written = yamlio.dump(data)
    assert by_us(written) == yaml.safe_load(written) == by_libyaml(written) == by_ruamel(written) == data


def accepted_plain(length: int) -> dict[str, Any]:
    """Every plain scalar of up to `length` characters that our reader takes, with what it makes of it."""
    found: dict[str, Any] = {}
    for size in range(1, length + 1):
        for letters in itertools.product("0179xXobBeE_+-.:~=<yNT", repeat=size):
            text = "".join(letters)
            # A dash alone starts an item, a colon at the end or alone a mapping: no scalars.
            if text != "-" and not text.endswith(":"):
                try:
                    found[text] = scalars.plain_value(text)
                except scalars.AmbiguousScalarError:
                    continue
    return found


def test_what_we_take_for_text_pyyaml_takes_for_text() -> None:
    wrong = {
        text: tag
        for text, value in accepted_plain(4).items()
        if (tag := RESOLVE(yaml.ScalarNode, text, (True, False)).rpartition(":")[2])
        != {str: "str", int: "int", float: "float", type(None): "null"}[type(value)]
    }
    assert wrong == {}


NUMBERS_AND_WORDS = {
    "12:60": "12:60",
    "1.2.3": "1.2.3",
    "-12": -12,
    "9007199254740991": 2**53 - 1,
    "3.25": 3.25,
    "-0.5": -0.5,
    "10.0.0.1": "10.0.0.1",
    "2026-11": "2026-11",
    "2026-11-21x": "2026-11-21x",
    "16Gi": "16Gi",
    "0x": "0x",
    "0b": "0b",
    "7b-model": "7b-model",
    "1e3x": "1e3x",
    "none": "none",
    "yEs": "yEs",
    "a:b": "a:b",
    "x": "x",
    "true": True,
    "false": False,
    "null": None,
    "~": None,
    ".gitignore": ".gitignore",
    "--flag": "--flag",
    "8080:80": "8080:80",
}


def test_what_we_accept_all_parsers_read_alike(by_helm: ReadByHelm) -> None:
    accepted = {**accepted_plain(3), **NUMBERS_AND_WORDS}
    assert len(accepted) > 4000
    text = ("echo:\n  words:\n" + "".join(f"    - {plain}\n" for plain in accepted)).encode()
    ours = by_us(text)
    assert ours == {"echo": {"words": list(accepted.values())}}
    for read in (by_libyaml, by_ruamel):
        theirs = read(text)["echo"]["words"]
        assert [
            (p, o, t) for p, o, t in zip(accepted, accepted.values(), theirs, strict=True) if repr(o) != repr(t)
        ] == []
    # JSON and Go have one kind of number: 1.0 comes back as 1.
    assert by_helm(text) == ours["echo"]


def test_what_we_refuse_some_parser_reads_differently() -> None:
    """No refusal without a reason: PyYAML or YAML 1.2 (ruamel.yaml), or Go's rules where noted, give no string."""
    go_only = {"y", "Y", "n", "N", "1_000", "0B1", "0X1F", "2026-1-2", "+0b1"}
    for plain in (
        *go_only,
        "yes",
        "off",
        "True",
        "NULL",
        "012",
        "0o14",
        "0x1F",
        "1e3",
        ".5",
        "5.",
        "12:30:45",
        "2026-11-21",
        "=",
    ):
        with pytest.raises(scalars.AmbiguousScalarError):
            scalars.plain_value(plain)
        tag = RESOLVE(yaml.ScalarNode, plain, (True, False))
        is_text = tag.endswith(":str") and isinstance(by_ruamel(f"- {plain}\n".encode())[0], str)
        assert is_text == (plain in go_only - {"1_000", "+0b1"})


def test_go_reads_its_own_words_differently(by_helm: ReadByHelm) -> None:
    words = ["y", "Y", "n", "N", "0B1", "0X1F", "1_e3", "0_x1F", "0b-1"]
    text = ("echo:\n" + "".join(f"  - {word}\n" for word in words)).encode()
    assert by_helm(text) == [True, True, False, False, 1, 31, 1000, 31, -1]
    with pytest.raises(UserError) as caught:
        yamlio.load(text, "x")
    assert len(caught.value.diagnostics) == len(words)
