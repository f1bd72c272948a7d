"""The text of a caller, and the prompt around it."""

from __future__ import annotations

from typing import Any

import pytest
from common.errors import PromptRefused, StartRefused
from composition.prompt import MOST, normalise, read
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("  a\t b \r\n c ", "a b \n c"),
        ("a\n\n \n\nb", "a\n\nb"),
        ("e\u0301", "\u00e9"),
        ("a\x00\x1bb\x85", "ab"),
        ("a\u2028b\rc", "a\nb\nc"),
        ("{input} {{ x }} ${y}", "{input} {{ x }} ${y}"),
        ("👩\u200d👩", "👩\u200d👩"),
    ],
)
def test_normal_form(text: str, normal: str) -> None:
    assert normalise(text) == normal


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_a_normal_text_stays(text: str) -> None:
    try:
        normal = normalise(text)
    except PromptRefused:
        assert not "".join(c for c in text if c.isprintable()).strip()
        return
    assert normalise(normal) == normal


@pytest.mark.parametrize(
    ("text", "reason"), [("", "is empty"), (" \n\t\x00", "is empty"), ("a" * (MOST + 1), f"at most {MOST}")]
)
def test_refused_texts(text: str, reason: str) -> None:
    with pytest.raises(PromptRefused, match=reason):
        normalise(text)


@given(st.text(), st.text(), st.text())
def test_only_the_place_of_the_text_means_anything(before: str, text: str, after: str) -> None:
    if "{input}" in before + after or (before + "{input}" + after).count("{input}") != 1:
        return
    assert read({"prompt": before + "{input}" + after}).around(text) == before + text + after


@pytest.mark.parametrize(
    "config",
    [None, {}, {"prompt": 5}, {"prompt": "x"}, {"prompt": "{input}{input}"}, {"prompt": "{input}", "promt": "x"}],
)
def test_a_faulty_user_config_is_refused(config: Any) -> None:
    with pytest.raises(StartRefused):
        read(config)
