"""Which folders the application serves. Pure standard library: runs without torch and Ray."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from common.errors import StartRefused
from common.manifest import INDEX, MANIFEST, check
from text_generation.settings import Settings

FILES = {
    "config.json": b"{}",
    INDEX: json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).encode(),
    "model-1.safetensors": b"12345678",
    "model-2.safetensors": b"1234",
    "tokenizer/tokenizer.json": b"{}",
}


def manifest(files: Mapping[str, bytes]) -> dict[str, Any]:
    listed = [{"path": path, "size": len(content), "sha256": "0" * 64} for path, content in files.items()]
    return {"version": 1, "model": "tiny", "commit": "0" * 40, "files": listed}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for path, content in FILES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    write_manifest(tmp_path, manifest(FILES))
    return tmp_path


def write_manifest(folder: Path, content: object) -> None:
    (folder / MANIFEST).parent.mkdir(exist_ok=True)
    (folder / MANIFEST).write_text(json.dumps(content))


def test_complete_model(model: Path) -> None:
    check(model, verify=True)


@pytest.mark.parametrize("path", FILES)
def test_each_file_missing(model: Path, path: str) -> None:
    (model / path).unlink()
    with pytest.raises(StartRefused, match=path.replace(".", r"\.")):
        check(model, verify=True)


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("change", [lambda data: data + b" ", lambda data: data[:-1]], ids=["longer", "cut"])
def test_each_file_of_another_size(model: Path, path: str, change: Callable[[bytes], bytes]) -> None:
    (model / path).write_bytes(change(FILES[path]))
    with pytest.raises(StartRefused, match=r"bytes, the manifest says|cannot be read"):
        check(model, verify=True)


def test_all_faults_in_one_message(model: Path) -> None:
    (model / "model-1.safetensors").write_bytes(b"1")
    (model / "tokenizer/tokenizer.json").unlink()
    with pytest.raises(StartRefused) as caught:
        check(model, verify=True)
    assert str(caught.value) == (
        f"the model in {model} is refused: model-1.safetensors has 1 bytes, the manifest says 8; "
        "tokenizer/tokenizer.json is missing"
    )


def test_many_faults_are_cut(model: Path) -> None:
    write_manifest(model, manifest(FILES | {f"{n}.json": b"" for n in range(9)}))
    with pytest.raises(StartRefused, match=r"4\.json is missing; and 4 more$"):
        check(model, verify=True)


def test_no_manifest(model: Path) -> None:
    (model / MANIFEST).unlink()
    with pytest.raises(StartRefused, match=r"\.modelyard/manifest\.json is missing, so staging has not ended"):
        check(model, verify=True)
    check(model, verify=False)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 2, "files": []}', '{"version": 1, "files": [{"path": "x"}]}', "\xff"],
)
def test_unreadable_manifest(model: Path, text: str) -> None:
    (model / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(StartRefused, match=r"manifest\.json cannot be read"):
        check(model, verify=True)


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b"])
def test_manifest_stays_in_the_folder(model: Path, path: str) -> None:
    write_manifest(model, manifest(FILES | {path: b""}))
    with pytest.raises(StartRefused, match="outside of the folder"):
        check(model, verify=True)


@pytest.mark.parametrize("path", ["model.safetensors", "adapter_model.safetensors"])
def test_weights_that_nobody_staged(model: Path, path: str) -> None:
    (model / path).write_bytes(b"")
    with pytest.raises(StartRefused, match=f"{path} is not in the manifest"):
        check(model, verify=True)


def test_manifest_without_the_config(model: Path) -> None:
    write_manifest(model, manifest({path: data for path, data in FILES.items() if path != "config.json"}))
    with pytest.raises(StartRefused, match=r"config\.json is not in the manifest"):
        check(model, verify=True)


@pytest.mark.parametrize(
    "shard", ["../secret.safetensors", "/etc/hosts", "sub/model-1.safetensors", "gone.safetensors"]
)
def test_index_names_only_files_of_the_folder(model: Path, shard: str) -> None:
    (model.parent / "secret.safetensors").write_bytes(b"")
    (model / INDEX).write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "b": shard}}))
    with pytest.raises(StartRefused, match="which is not in the folder"):
        check(model, verify=False)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": []}'])
def test_unreadable_index(model: Path, text: str) -> None:
    (model / INDEX).write_text(text)
    with pytest.raises(StartRefused, match=r"index\.json cannot be read"):
        check(model, verify=False)


def test_pickled_weights_are_no_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02")
    with pytest.raises(StartRefused, match="no other format of weights is loaded"):
        check(tmp_path, verify=False)


def test_settings(tmp_path: Path) -> None:
    given = {
        "MODEL_ID": str(tmp_path),
        "MAX_TOKENS": "64",
        "CONTEXT_LENGTH": "512",
        "DTYPE": "bfloat16",
        "MODELYARD_THREADS": "4",
        "MODELYARD_ALLOW_UNVERIFIED": "1",
    }
    assert Settings.read(given) == Settings(tmp_path, 64, 512, "bfloat16", 4, False)
    assert Settings.read({"MODEL_ID": str(tmp_path)}) == Settings(tmp_path, 1024, None, "auto", None, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODEL_ID", ""),
        ("MODEL_ID", "/nowhere/at/all"),
        ("MAX_TOKENS", "0"),
        ("MAX_TOKENS", "-1"),
        ("MAX_TOKENS", "1e3"),
        ("CONTEXT_LENGTH", "long"),
        ("MODELYARD_THREADS", "²"),
        ("DTYPE", "int4"),
    ],
)
def test_settings_name_the_variable(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(StartRefused, match=f"^{name} is "):
        Settings.read({"MODEL_ID": str(tmp_path), name: value})


def test_model_id_must_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartRefused, match="is not a folder"):
        Settings.read({"MODEL_ID": str(tmp_path / "file")})
    with pytest.raises(StartRefused, match="MODEL_ID is not set"):
        Settings.read({})
