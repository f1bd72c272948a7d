"""Inclusion of regular languages, against Python's own `re` on every short text."""

from __future__ import annotations

import re
from itertools import product

import pytest

from tests.subset.regular import Unsupported, counterexample, shortest

ALPHABET = "ab0- \n"
TEXTS = ["".join(letters) for length in range(6) for letters in product(ALPHABET, repeat=length)]
PATTERNS = (
    "",
    "a",
    "^a",
    "a$",
    "^a$",
    "^$",
    "^a*$",
    "^(a|b)+$",
    "^(ab|a)b?$",
    "^[a-b]{2,3}$",
    "^a{2}",
    "^[^a]+$",
    "^.+$",
    r"^[^\s]*$",
    r"^[\s\S]+$",
    r"^\w+$",
    r"^\d|b$",
    "^a([-a-z0-9]*[a-z0-9])?$",
    "^(a?)*b$",
    "(^|a)b",
    "a(b|$)",
)


def accepted(pattern: str) -> set[str]:
    compiled = re.compile(pattern.replace("$", r"\Z"))
    return {text for text in TEXTS if compiled.search(text)}


LANGUAGES = {pattern: accepted(pattern) for pattern in PATTERNS}


@pytest.mark.parametrize("ours", PATTERNS)
def test_inclusion_is_what_re_says_of_every_short_text(ours: str) -> None:
    for theirs in PATTERNS:
        wrong = LANGUAGES[ours] - LANGUAGES[theirs]
        found = counterexample([ours], theirs)
        if found is None:
            assert not wrong, theirs
        else:
            assert wrong and len(found) == len(min(wrong, key=len)), theirs
            assert re.search(ours.replace("$", r"\Z"), found) and not re.search(theirs.replace("$", r"\Z"), found)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_shortest(pattern: str) -> None:
    assert shortest([pattern]) == min(map(len, LANGUAGES[pattern]))


def test_several_patterns_hold_together() -> None:
    assert counterexample(["^[a-z]+$", "^[b-z0-9]+$"], "^[b-z]+$") is None
    assert counterexample(["^[a-z]+$", "^[b-z0-9]+$"], "^[c-z]+$") == "b"
    assert shortest(["^a", "b$"]) == 2
    assert shortest(["^a$", "^b$"]) is None


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"),
        ("^[a-z]{1,61}$", "^[a-z]{1,62}$"),
    ],
)
def test_the_wider_one_is_told_apart(ours: str, theirs: str) -> None:
    assert counterexample([ours], theirs) is None
    assert counterexample([theirs], ours)


@pytest.mark.parametrize("pattern", ["(?i)a", "(?=a)", r"\bx", r"(a)\1"])
def test_what_is_not_understood_is_said(pattern: str) -> None:
    with pytest.raises(Unsupported):
        counterexample(["^a$"], pattern)
