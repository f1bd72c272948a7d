"""Which folders the application serves. Pure standard library: runs without torch and Ray."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from common.errors import StartRefused
from common.manifest import INDEX, MANIFEST, Listed, Verify, check

from generator.prestage.manifest import Entry, Manifest, write

FILES = {
    "config.json": b"{}",
    INDEX: json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).encode(),
    "model-1.safetensors": b"12345678",
    "model-2.safetensors": b"1234",
    "tokenizer/tokenizer.json": b"{}",
}


def manifest(files: Mapping[str, bytes]) -> dict[str, Any]:
    listed = [{"path": path, "size": len(data), "sha256": sha256(data).hexdigest()} for path, data in files.items()]
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


@pytest.mark.parametrize("verify", ["sizes", "digests"])
def test_complete_model(model: Path, verify: Verify) -> None:
    staged = check(model, verify=verify)
    assert staged is not None
    assert (staged.model, staged.commit, set(staged.files)) == ("tiny", "0" * 40, set(FILES))
    assert staged.files["config.json"] == Listed(2, sha256(b"{}").hexdigest())


@pytest.mark.parametrize("path", [path for path in FILES if path != INDEX])  # which would be no JSON
def test_each_file_with_other_content(model: Path, path: str) -> None:
    """Of the same size: only `digests` sees it."""
    content = (model / path).read_bytes()
    (model / path).write_bytes(content.replace(content[-1:], b" "))
    check(model, verify="sizes")
    with pytest.raises(StartRefused, match=f"{path} has another sha256$".replace(".", r"\.")):
        check(model, verify="digests")


def test_digests_of_what_is_too_short_are_not_read(model: Path) -> None:
    (model / "model-1.safetensors").write_bytes(b"1")
    (model / "model-2.safetensors").write_bytes(b"abcd")
    with pytest.raises(StartRefused) as caught:
        check(model, verify="digests")
    assert "sha256" not in str(caught.value)


def test_the_manifest_that_the_stager_writes(model: Path) -> None:
    entries = [Entry(path, len(data), sha256(data).hexdigest(), "00000000") for path, data in FILES.items()]
    written = write(Manifest("tiny", "org/tiny", "1" * 40, tuple(entries)))
    (model / MANIFEST).write_bytes(written)
    staged = check(model, verify="digests")
    assert staged is not None
    assert staged.commit == "1" * 40


@pytest.mark.parametrize("path", FILES)
def test_each_file_missing(model: Path, path: str) -> None:
    (model / path).unlink()
    with pytest.raises(StartRefused, match=path.replace(".", r"\.")):
        check(model, verify="sizes")


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("change", [lambda data: data + b" ", lambda data: data[:-1]], ids=["longer", "cut"])
def test_each_file_of_another_size(model: Path, path: str, change: Callable[[bytes], bytes]) -> None:
    (model / path).write_bytes(change(FILES[path]))
    with pytest.raises(StartRefused, match=r"bytes, the manifest says|cannot be read"):
        check(model, verify="sizes")


def test_all_faults_in_one_message(model: Path) -> None:
    (model / "model-1.safetensors").write_bytes(b"1")
    (model / "tokenizer/tokenizer.json").unlink()
    with pytest.raises(StartRefused) as caught:
        check(model, verify="sizes")
    assert str(caught.value) == (
        f"the model in {model} is refused: model-1.safetensors has 1 bytes, the manifest says 8; "
        "tokenizer/tokenizer.json is missing"
    )


def test_many_faults_are_cut(model: Path) -> None:
    write_manifest(model, manifest(FILES | {f"{n}.json": b"" for n in range(9)}))
    with pytest.raises(StartRefused, match=r"4\.json is missing; and 4 more$"):
        check(model, verify="sizes")


def test_no_manifest(model: Path) -> None:
    (model / MANIFEST).unlink()
    assert check(model, verify="off") is None
    with pytest.raises(StartRefused, match=r"\.modelyard/manifest\.json is missing, so staging has not ended"):
        check(model, verify="sizes")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 2, "files": []}', '{"version": 1, "files": [{"path": "x"}]}', "\xff"],
)
def test_unreadable_manifest(model: Path, text: str) -> None:
    (model / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(StartRefused, match=r"manifest\.json cannot be read"):
        check(model, verify="sizes")


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b"])
def test_manifest_stays_in_the_folder(model: Path, path: str) -> None:
    write_manifest(model, manifest(FILES | {path: b""}))
    with pytest.raises(StartRefused, match="outside of the folder"):
        check(model, verify="sizes")


@pytest.mark.parametrize("path", ["model.safetensors", "adapter_model.safetensors"])
def test_weights_that_nobody_staged(model: Path, path: str) -> None:
    (model / path).write_bytes(b"")
    with pytest.raises(StartRefused, match=f"{path} is not in the manifest"):
        check(model, verify="sizes")


def test_manifest_without_the_config(model: Path) -> None:
    write_manifest(model, manifest({path: data for path, data in FILES.items() if path != "config.json"}))
    with pytest.raises(StartRefused, match=r"config\.json is not in the manifest"):
        check(model, verify="sizes")


@pytest.mark.parametrize(
    "shard", ["../secret.safetensors", "/etc/hosts", "sub/model-1.safetensors", "gone.safetensors"]
)
def test_index_names_only_files_of_the_folder(model: Path, shard: str) -> None:
    (model.parent / "secret.safetensors").write_bytes(b"")
    (model / INDEX).write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "b": shard}}))
    with pytest.raises(StartRefused, match="which is not in the folder"):
        check(model, verify="off")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": []}'])
def test_unreadable_index(model: Path, text: str) -> None:
    (model / INDEX).write_text(text)
    with pytest.raises(StartRefused, match=r"index\.json cannot be read"):
        check(model, verify="off")


def test_pickled_weights_are_no_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02")
    with pytest.raises(StartRefused, match="no other format of weights is loaded"):
        check(tmp_path, verify="off")
