"""Each tests/invalid/<fault>.yaml is refused with exactly the lines of <fault>.txt."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from generator import assets, compile, report
from generator.errors import Diagnostic, Severity, UserError

FOLDER = Path(__file__).parents[1] / "invalid"
CASES = sorted(p.stem for p in FOLDER.glob("*.yaml") if not p.name.endswith(".lock.yaml"))


def said(case: str, work: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the compiler says of a case, run in a folder of its own."""
    shutil.copy(FOLDER / f"{case}.yaml", work / "models.yaml")
    if (FOLDER / f"{case}.lock.yaml").exists():
        shutil.copy(FOLDER / f"{case}.lock.yaml", work / "models.lock.yaml")
    monkeypatch.chdir(work)
    try:
        planned = compile.plan_catalogue(Path("models.yaml"), assets.find())
        diagnostics: tuple[Diagnostic, ...] = planned.diagnostics
        assert planned.plan is None, "no fault was found"
    except UserError as error:
        diagnostics = error.diagnostics
    assert any(d.severity is Severity.ERROR for d in diagnostics)
    return "".join(report.text(d) + "\n" for d in sorted(diagnostics, key=Diagnostic.sort_key))


@pytest.mark.parametrize("case", CASES)
def test_is_refused_with_place_and_hint(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update_golden: bool
) -> None:
    text = said(case, tmp_path, monkeypatch)
    golden = FOLDER / f"{case}.txt"
    if update_golden:
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_every_fault_has_a_place() -> None:
    texts = [(FOLDER / f"{case}.txt").read_text(encoding="utf-8") for case in CASES]
    places = [line for text in texts for line in text.splitlines() if not line.startswith("    hint:")]
    assert len(places) >= len(CASES)
    assert [line for line in places if not line.startswith(("models.yaml:", "models.lock.yaml:"))] == []
