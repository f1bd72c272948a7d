"""Names that are the developer's own."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.develop import own
from generator.errors import UserError


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        ("ada", "ada"),
        ("Ada.Lovelace", "ada-lovelace"),
        ("ada@example.com", "ada"),
        ("DOMAIN\\ada_l", "domain-ada-l"),
        ("42-ada-", "ada"),
        ("x" * 80, "x" * 30),
        ("ädä", "d"),
        ("四", ""),
        ("", ""),
    ],
)
def test_label(login: str, expected: str) -> None:
    assert own.label(login) == expected


@given(st.text())
def test_a_label_is_a_name_or_nothing(login: str) -> None:
    found = own.label(login)
    assert found == "" or (own.name(found) == found and re.fullmatch(r"[a-z][a-z0-9-]{0,29}(?<!-)", found))


@pytest.mark.parametrize(
    ("given", "hint"),
    [("Ada", "--as ada"), ("a/b", "--as a-b"), ("9", "--as NAME"), ("x" * 31, f"--as {'x' * 30}"), ("", "--as NAME")],
)
def test_what_is_no_name(given: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        own.name(given)
    assert caught.value.diagnostics[0].hint == hint


def test_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "Ada.L")
    assert own.name(None) == "ada-l"
    monkeypatch.setenv("LOGNAME", "1000")
    with pytest.raises(UserError, match="makes no name"):
        own.name(None)


def test_applications_below_a_route() -> None:
    given: list[dict[str, Any]] = [
        {"name": "tiny", "route_prefix": "/chat", "import_path": "a:b"},
        {"name": "words", "route_prefix": "/"},
        {"name": "plain"},
    ]
    found = own.applications(given, "ada")
    assert [(a["name"], a["route_prefix"]) for a in found] == [
        ("ada-tiny", "/ada/chat"),
        ("ada-words", "/ada"),
        ("ada-plain", "/ada"),
    ]
    assert given[0]["name"] == "tiny" and found[0]["import_path"] == "a:b"
