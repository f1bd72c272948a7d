"""Adding a third model is one `add`, one `lock`, one `render`, and the diff touches only what that model needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.standins.hub import HubStandIn
from tests.standins.weights import tiny_model

ROOT = Path(__file__).parents[2]
GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"]
MODELS = ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "mistralai/Mistral-7B-Instruct-v0.2")
NEW = "example/third-model"
INSERTED = {
    "models.yaml",
    "models.lock.yaml",
    "rendered/README.md",
    "rendered/backstage/catalog-info.yaml",
    "rendered/backstage/skeleton/models.yaml.njk",
    "rendered/backstage/template.yaml",
    "rendered/clusters/peeks-hub/prestage.yaml",
}
MANIFEST = "rendered/.modelyard/manifest.json"


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    with HubStandIn() as standin:
        for repo in (*MODELS, NEW):
            standin.add(repo, tiny_model())
        yield standin


@pytest.fixture
def repository(tmp_path: Path, hub: HubStandIn) -> Path:
    """The example with its two models, locked, rendered and committed."""
    text = (ROOT / "models.yaml").read_text(encoding="utf-8")
    assert "contextLength: 8192" in text
    # The stand-in's models are small, and so is what they can read.
    (tmp_path / "models.yaml").write_text(text.replace("contextLength: 8192", "contextLength: 2048"), encoding="utf-8")
    git(tmp_path, "init", "-q")
    compile_all(tmp_path, hub)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "two models")
    return tmp_path


def git(folder: Path, *words: str) -> str:
    return subprocess.run([*GIT, *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def modelyard(folder: Path, *words: str, **environment: str) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | {"PYTHONPATH": str(ROOT)} | environment
    command = [sys.executable, "-m", "generator.cli", *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def compile_all(folder: Path, hub: HubStandIn) -> None:
    modelyard(folder, "lock", "--no-images", HF_ENDPOINT=hub.url)
    modelyard(folder, "render")


def changed(folder: Path) -> dict[str, tuple[int, int]]:
    """Path to lines added and removed since the commit."""
    git(folder, "add", "-A")
    rows = [line.split("\t") for line in git(folder, "diff", "--cached", "--numstat").splitlines()]
    return {path: (int(added), int(removed)) for added, removed, path in rows}


def test_the_diff_touches_only_what_the_model_needs(repository: Path, hub: HubStandIn) -> None:
    modelyard(repository, "add", "model", NEW)
    compile_all(repository, hub)
    found = changed(repository)
    assert found.keys() == INSERTED | {MANIFEST}
    assert {path: removed for path, (_, removed) in found.items() if removed} == {MANIFEST: 5}
    assert all(added for added, _ in found.values())
    # Not the lines that say what the other models are.
    for path in INSERTED - {"rendered/backstage/template.yaml", "rendered/backstage/skeleton/models.yaml.njk"}:
        assert found[path][0] < 40, path


def test_taken_out_again_nothing_is_left(repository: Path, hub: HubStandIn) -> None:
    before = (repository / "models.yaml").read_bytes()
    modelyard(repository, "add", "model", NEW)
    compile_all(repository, hub)
    (repository / "models.yaml").write_bytes(before)
    compile_all(repository, hub)
    assert changed(repository) == {}
