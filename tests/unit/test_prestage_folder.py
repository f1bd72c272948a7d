"""A folder as source: hashed or held against the plan, and its faults named."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from generator.prestage.exits import PrestageExit
from tests.standins.weights import sharded_model, tiny_model
from tests.unit import prestaging
from tests.unit.prestaging import BYTES, FILES, OTHER, WEIGHTS, done, plan, stage, staged
from tests.unit.test_prestage_volume import LIKE_A_USER, child, failure


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def test_without_a_list_the_default_choice_is_taken(tmp_path: Path, target: Path) -> None:
    cache = {".cache/huggingface/x.json": b"{}", ".modelyard/manifest.json": b"{}", "README.md": b"#"}
    source = prestaging.folder(tmp_path / "source", {**tiny_model(), **cache})
    done(plan(None), target, source)
    assert sorted(staged(target)) == ["config.json", "model.safetensors", "tokenizer.json"]
    done(plan(None, allow=("README.md",), ignore=("tokenizer*",)), tmp_path / "other", source)
    assert sorted(staged(tmp_path / "other")) == ["README.md", "config.json", "model.safetensors"]


def test_a_snapshot_of_the_hubs_cache_is_a_source(tmp_path: Path, target: Path) -> None:
    """It consists of links to blobs."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    snapshot.mkdir()
    for number, (path, body) in enumerate(sharded_model().items()):
        (blobs / str(number)).write_bytes(body)
        (snapshot / path).symlink_to(blobs / str(number))
    done(plan(None), target, snapshot)
    assert staged(target) == sharded_model() and not any(path.is_symlink() for path in target.rglob("*"))


@pytest.mark.parametrize("there", [None, {}, {"pytorch_model.bin": b"x"}, {"config.json": b"{}"}])
def test_no_weights_no_model(tmp_path: Path, target: Path, there: dict[str, bytes] | None) -> None:
    source = tmp_path / "source"
    if there is not None:
        source.mkdir()
        prestaging.folder(source, there)
    ended = stage(plan(None), target, source)
    assert ended.error and ended.error.exit is PrestageExit.NOT_FOUND and "--source" in ended.error.hint


@pytest.mark.parametrize("path", [WEIGHTS, "config.json"])
def test_other_bytes_are_refused_with_both_digests(tmp_path: Path, target: Path, path: str) -> None:
    wrong = OTHER if path == WEIGHTS else b"[]"
    source = prestaging.folder(tmp_path / "source", {**FILES, path: wrong})
    ended = stage(plan(), target, source)
    assert ended.error and ended.error.exit is PrestageExit.INTEGRITY
    expected = {file.path: file.digest for file in plan().files or ()}[path]
    found = f"sha256:{sha256(wrong).hexdigest()}" if path == WEIGHTS else f"git:{prestaging.git_id(wrong)}"
    assert all(part in ended.error.reason for part in (path, expected, found))
    assert path not in staged(target) and not (target / ".modelyard/manifest.json").exists()


@pytest.mark.parametrize("size", [0, 5, len(BYTES) - 1])
def test_a_shorter_file_is_another_one(tmp_path: Path, target: Path, size: int) -> None:
    """It does not grow while we wait."""
    source = prestaging.folder(tmp_path / "source", {**FILES, WEIGHTS: BYTES[:size]})
    ended = stage(plan(), target, source)
    assert ended.error and ended.error.exit is PrestageExit.INTEGRITY and WEIGHTS in ended.error.reason


@pytest.mark.parametrize("path", [WEIGHTS, "sub/tokenizer.json"])
def test_a_file_that_lacks_is_named(tmp_path: Path, target: Path, path: str) -> None:
    source = prestaging.folder(tmp_path / "source", {key: body for key, body in FILES.items() if key != path})
    ended = stage(plan(), target, source)
    assert ended.error and ended.error.exit is PrestageExit.NOT_FOUND and path in ended.error.reason


def test_unsafe_names_are_refused_before_the_first_byte(tmp_path: Path, target: Path) -> None:
    source = prestaging.folder(tmp_path / "source", {**FILES, "Config.json": b"{}"})
    ended = stage(plan(None), target, source)
    assert ended.error and ended.error.exit is PrestageExit.PLAN and "onfig.json" in ended.error.reason
    assert staged(target) == {}


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, target: Path) -> None:
    source = prestaging.folder(tmp_path / "source")
    (source / WEIGHTS).chmod(0)
    said = failure(child(source, target, LIKE_A_USER))
    assert said["exit"] == 77 and WEIGHTS in str(said["reason"])


def test_a_file_of_the_choice_that_may_not_be_read_is_named(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = prestaging.folder(tmp_path / "source")
    (source / WEIGHTS).chmod(0)
    monkeypatch.setattr("tests.unit.test_prestage_volume.PLAN", plan(None))
    said = failure(child(source, target, LIKE_A_USER))
    assert said["exit"] == 77 and WEIGHTS in str(said["reason"])
