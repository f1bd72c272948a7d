"""A slice of promise G5: every payload, and every string of the language, at least once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.promises import strings

STEP = 11  # prime to the number of payloads, so that the slice walks over all of them


@pytest.mark.slow
def test_no_string_is_evaluated_or_changed(helm: Path, tmp_path: Path) -> None:
    cells = strings.cells()
    chosen = cells[::STEP]
    assert {c.payload for c in chosen} == set(strings.PAYLOADS)
    assert {c.place for c in chosen} == {c.place for c in cells}
    plain = strings.baseline(tmp_path)
    judged = [strings.judge(cell, tmp_path) for cell in chosen]
    accepted = [r for r in judged if isinstance(r, strings.Rendered)]
    failures = [text for text in judged if isinstance(text, str) and text]
    failures += [text for rendered in accepted for text in strings.faults(rendered, plain)]
    failures += strings.through_helm(helm, accepted, tmp_path)
    assert failures == []
    assert 10 < len(accepted) < len(chosen)


@pytest.mark.parametrize(
    "payload", ['{{ fail "x" }}', "${schema.spec}", "{% raw %}", '"', "a|b <b>", "ünïcödé 🦙", "yes", "012"]
)
@pytest.mark.parametrize("place", [("models", 0, "title"), ("services", 0, "title")])
def test_a_title_may_be_anything_visible(tmp_path: Path, place: tuple[str | int, ...], payload: str) -> None:
    assert isinstance(strings.judge(strings.Cell(place, payload), tmp_path), strings.Rendered)
