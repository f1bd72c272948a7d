"""Our own judge finds no fault in what we render: every golden case, its charts expanded by real helm."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator import assets
from generator.errors import Severity
from generator.lint import lint

CASES = Path(__file__).parents[1] / "cases"


@pytest.mark.parametrize("case", sorted(path.parent.name for path in CASES.glob("*/models.yaml")))
def test_no_fault(case: str, helm: Path) -> None:
    judged = lint(CASES / case / "expected", assets.find(), str(helm))
    assert [d for d in judged.diagnostics if d.severity is Severity.ERROR] == []
    assert judged.counts
