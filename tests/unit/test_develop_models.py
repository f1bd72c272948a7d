"""Folders that stand for the models of a service."""

from __future__ import annotations

import importlib
import json
import threading
from pathlib import Path

import pytest

from generator.develop import models, version
from generator.develop.models import Given
from generator.develop.version import Version
from generator.errors import UserError
from generator.prestage import manifest
from tests.conftest import ROOT
from tests.standins.hub import HubStandIn
from tests.standins.weights import sharded_model
from tests.unit.developing import CATALOGUE, COMMIT, model_folder, repository


@pytest.fixture
def chat(tmp_path: Path) -> Version:
    return version.read(repository(tmp_path), "chat")


def test_a_folder_for_each(chat: Version, tmp_path: Path) -> None:
    """Linked, so that nothing is copied, and with the manifest that a replica wants."""
    one, other = model_folder(tmp_path / "one"), model_folder(tmp_path / "other")
    said: list[str] = []
    found = models.placed(chat, chat.serve, Given({"tiny": one, "": other}), tmp_path / "scratch", said.append)
    assert found.context == 512 and said == [f"model tiny: {one}", f"model words: {other}"]
    for name, folder in (("tiny", one), ("words", other)):
        made = Path(found.folders[chat.models[name].path])
        assert (made / "model.safetensors").readlink() == folder / "model.safetensors"
        listed = manifest.read((made / manifest.PATH).read_bytes(), "here")
        assert (listed.model, listed.commit) == (name, COMMIT)
        assert {file.path: file.size for file in listed.files} == {
            path.name: path.stat().st_size for path in folder.iterdir()
        }


def test_a_replica_takes_the_folder(chat: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the check that it makes before it loads a model."""
    monkeypatch.syspath_prepend(ROOT / "serving")
    check = importlib.import_module("common.manifest").check
    given = Given({"": model_folder(tmp_path / "one")})
    for folder in models.placed(chat, chat.serve, given, tmp_path / "scratch", print).folders.values():
        assert check(Path(folder), verify="digests").commit == COMMIT


def test_only_what_is_read(chat: Version, tmp_path: Path) -> None:
    serve = {**chat.serve, "applications": chat.applications[:1]}
    given = Given({"": model_folder(tmp_path / "one")})
    assert list(models.placed(chat, serve, given, tmp_path / "scratch", print).folders) == [chat.models["tiny"].path]


def test_a_name_that_no_model_has(chat: Version, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        models.placed(chat, chat.serve, Given({"tinny": tmp_path}), tmp_path, print)
    (fault,) = caught.value.diagnostics
    assert fault.message == "--model-folder: service `chat` has no model `tinny`"
    assert fault.hint == "did you mean `tiny`?"


def test_out_of_the_hub_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the Jobs' program, into the user's cache; the second time nobody asks the Hub."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    catalogue = repository(tmp_path)
    said: list[str] = []
    before = set(threading.enumerate())
    with HubStandIn() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        commit = hub.add("org/tiny", {**sharded_model(), "tokenizer.json": b"{}"})
        catalogue.write_text(CATALOGUE.replace(COMMIT, commit))
        chat = version.read(catalogue, "chat")
        serve = {**chat.serve, "applications": chat.applications[:1]}
        found = models.placed(chat, serve, Given(), tmp_path / "first", said.append)
    again = models.placed(chat, serve, Given(), tmp_path / "second", said.append)
    assert found == again and found.context is None
    (folder,) = map(Path, found.folders.values())
    assert folder == tmp_path / "cache" / "modelyard" / "models" / "tiny" / commit[:12]
    listed = json.loads((folder / manifest.PATH).read_bytes())
    assert {file["path"] for file in listed["files"]} >= {"config.json", "tokenizer.json"}
    assert said == [f"model tiny: org/tiny from the Hub; it stays in {folder}"]
    assert set(threading.enumerate()) - before == set()  # the downloads have ended with the command


def test_no_hub(chat: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(UserError, match="cannot be reached") as caught:
        models.placed(chat, chat.serve, Given(), tmp_path / "scratch", print)
    assert "--model-folder" in caught.value.diagnostics[0].hint
