"""YAML as Kubernetes reads it, with the line of every value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from generator.errors import Fault, UserError
from generator.kro.reading import Located, files, parse, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-5", -5),
        ("0400", 256),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("1.2.3", "1.2.3"),
        ("true", True),
        ("yes", True),
        ("~", None),
        ("", None),
        ("=", "="),
        ("a # b", "a"),
        ("'1'", "1"),
    ],
)
def test_scalars(text: str, value: Any) -> None:
    (document,) = parse(f"a: {text}\n", "x.yaml")
    assert document.data == {"a": value}
    assert type(document.data["a"]) is type(value)


def test_every_document_has_its_lines() -> None:
    first, second = parse("---\na:\n  - b: 1\n---\n# nothing\n---\nc: |\n  one\n  two ${x}\nd: &x {e: 1}\nf: *x\n", "x")
    assert first.locate(("a", 0, "b")) == (3, 8)
    assert first.locate(("a", 5, "b")) == (3, 3)
    assert second.locate(("c",)) == (7, 4)
    assert second.data["f"] == {"e": 1}
    fault = second.diagnostic(Located(("c",), "wrong", needle="${x}"))
    assert (fault.line, fault.column, fault.path) == (9, 7, "c")
    assert second.diagnostic(Fault(("c",), "wrong")).line == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not valid YAML"),
        ("a: &a [*a]", "aliases expand"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(
                f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
                for before, name in zip("abcdef", "bcdefg", strict=True)
            ),
            "aliases expand",
        ),
        ("{{ if .Values.x }}", "not valid YAML"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(text, "x.yaml")


def test_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.yml").write_text("b: 1")
    (tmp_path / "a.json").write_text('{"a": 1}')
    (tmp_path / "c.txt").write_text("c: 1")
    found = list(files([tmp_path, tmp_path / "c.txt"]))
    assert [path.name for path in found] == ["a.json", "b.yml", "c.txt"]
    assert [document.data for path in found for document in read(path)] == [{"a": 1}, {"b": 1}, {"c": 1}]


@pytest.mark.parametrize("name", ["missing.yaml", "bad.json"])
def test_what_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(UserError):
        [read(path) for path in files([tmp_path / name])]
