"""Promise G13: no secret reaches the output or a log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generator import credentials as shapes
from generator import report
from generator.errors import Diagnostic
from tests.promises import credentials


def test_what_looks_like_a_credential_is_refused_and_not_repeated(tmp_path: Path) -> None:
    assert len(credentials.TOKENS) >= 20
    assert list(credentials.faults(tmp_path)) == []


def test_ordinary_text_is_not_a_credential(tmp_path: Path) -> None:
    assert list(credentials.mistaken(tmp_path)) == []


@pytest.mark.parametrize("kind", sorted(credentials.TOKENS))
def test_no_report_repeats_one(kind: str) -> None:
    token = credentials.TOKENS[kind]
    fault = Diagnostic(f"`{token}` is wrong", "models.yaml", 1, 1, f"models[0].{token}", f"try {token}")
    said = report.text(fault) + json.dumps(report.as_data([fault]))
    assert token not in said and shapes.redacted(said) == said
