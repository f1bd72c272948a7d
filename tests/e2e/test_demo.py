"""`make demo` as a newcomer gets it: a Git repository with one commit, judged, and a table that adds up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT, load_script

pytestmark = pytest.mark.slow


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helm: Path) -> ModuleType:
    """`.ci/demo.py`, writing into a folder of this test, started by somebody with hooks and templates of their own."""
    monkeypatch.syspath_prepend(str(ROOT / ".ci"))
    module = load_script(ROOT / ".ci" / "demo.py")
    if not module.MODELYARD.is_file():
        pytest.fail(f"modelyard is not installed beside {sys.executable}: `make .venv/.all`", pytrace=False)
    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    monkeypatch.setattr(module, "DEMO", tmp_path / "demo")
    monkeypatch.setattr(module, "TREE", tmp_path / "demo" / "rendered")
    for name in module.INPUTS:
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "foreign"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text(f"[core]\n\thooksPath = {tmp_path}\n[commit]\n\tgpgsign = true\n")
    return module


def git(folder: Path, *arguments: str) -> str:
    command = ["env", "-u", "GIT_DIR", "git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_twice(demo: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    said = []
    for _ in range(2):
        assert demo.main() == 0, capfd.readouterr()
        said.append(capfd.readouterr().out)
        assert git(demo.DEMO, "rev-list", "--count", "HEAD") == "1"
        assert git(demo.DEMO, "status", "--porcelain") == ""
    assert (demo.TREE / "README.md").is_file()
    total = next(line for line in said[0].splitlines() if line.split()[:1] == ["all"]).split()
    files = [path for path in demo.TREE.rglob("*") if path.is_file()]
    assert int(total[1]) == len(files)
    assert int(total[3].replace(",", "")) == sum(path.stat().st_size for path in files)
    assert "RayService" in said[0] or "ModelService" in said[0]


def test_a_fault_in_the_catalogue_is_shown_as_modelyard_shows_it(
    demo: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models.yaml").write_text("apiVersion: nonsense\n")
    assert demo.main() == 1
    said = capfd.readouterr().err
    assert "models.yaml:1" in said
    assert "demo: exit 1 from:" in said
