"""Weights that are none and indexes that lead elsewhere are refused, whatever their digest says (promise P10)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generator.prestage import content
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError
from generator.prestage.plan import File
from tests.standins.weights import safetensors, sharded_model
from tests.unit import prestaging
from tests.unit.prestaging import PART, WEIGHTS, done, plan, stage, staged

INDEX = "model.safetensors.index.json"
SHARDS = sharded_model()
RIGHT = safetensors()
PICKLE = b"\x80\x04\x95" + bytes(100)


def started(body: bytes, path: str = WEIGHTS, size: int | None = None) -> str:
    return content.start_fault(File(path, len(body) if size is None else size, ""), memoryview(body))


@pytest.mark.parametrize(
    ("body", "sound"),
    [
        (RIGHT, True),
        (RIGHT[: int.from_bytes(RIGHT[:8], "little") + 8], True),  # a header alone
        ((2).to_bytes(8, "little") + b"{}", True),
        (b"", False),
        (b"{}", False),
        (RIGHT[:8], False),
        (PICKLE, False),
        (b"<!DOCTYPE html><html><body>sign in</body></html>", False),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", False),
        ((3).to_bytes(8, "little") + b"{}", False),
        ((2).to_bytes(8, "little") + b"[]", False),
        ((200_000_000).to_bytes(8, "little") + b"{}", False),
    ],
    ids=range(12),
)
def test_weights_begin_as_such(body: bytes, sound: bool) -> None:
    assert (started(body) == "") is sound
    assert started(body, "a.json") == ""


def test_a_header_larger_than_the_format_allows_is_none() -> None:
    start = (100_000_001).to_bytes(8, "little") + b"{"
    assert started(start, size=2**40) and not started((10**8).to_bytes(8, "little") + b"{", size=2**40)


@pytest.mark.parametrize(("padding", "in_parts"), [(0, False), (2 * PART, True)])
@pytest.mark.parametrize("body", [PICKLE, b"<html>"])
def test_such_weights_never_become_visible(tmp_path: Path, body: bytes, padding: int, in_parts: bool) -> None:
    files = {**prestaging.FILES, WEIGHTS: body + bytes(padding)}
    source = prestaging.folder(tmp_path / "source", files)
    ended = stage(plan(files), tmp_path / "target", source)
    assert ended.error and ended.error.exit is PrestageExit.INTEGRITY and ended.error.hint
    assert f"{WEIGHTS}: it is not a safetensors file" in ended.error.reason
    assert WEIGHTS not in staged(tmp_path / "target")


def checked(body: bytes, path: str = INDEX) -> None:
    content.check_index(File(path, len(body), ""), memoryview(body), SHARDS)


def test_an_index_of_what_is_staged_is_right() -> None:
    checked(SHARDS[INDEX])
    body = json.dumps({"weight_map": {"a": "model.safetensors"}}).encode()
    content.check_index(File(f"sub/{INDEX}", len(body), ""), memoryview(body), ["sub/model.safetensors"])


@pytest.mark.parametrize("part", ["../../etc/passwd", "/etc/passwd", "model-00003-of-00002.safetensors", "", "config"])
def test_an_index_names_no_other_file(part: str) -> None:
    with pytest.raises(PrestageError) as caught:
        checked(json.dumps({"weight_map": {"a": part}}).encode())
    assert caught.value.exit is PrestageExit.INTEGRITY and repr(part) in caught.value.reason


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"weight_map": []}', b"\xff", b"[" * 100_000], ids=range(6))
def test_what_is_no_index_is_refused(body: bytes) -> None:
    with pytest.raises(PrestageError, match="is not an index") as caught:
        checked(body)
    assert caught.value.exit is PrestageExit.INTEGRITY


@pytest.mark.parametrize("padding", [0, 2 * PART])
def test_a_model_whose_index_leads_elsewhere_is_not_staged(tmp_path: Path, padding: int) -> None:
    """Also where the index is larger than a part."""
    wrong = SHARDS[INDEX].replace(b"model-00002", b"model-00007") + b" " * padding
    for name, files, right in (
        ("a", {**SHARDS, INDEX: SHARDS[INDEX] + b" " * padding}, True),
        ("b", {**SHARDS, INDEX: wrong}, False),
    ):
        target, source = tmp_path / f"{name}-target", prestaging.folder(tmp_path / name, files)
        ended = stage(plan(files), target, source)
        assert (ended.error is None) is right and (INDEX in staged(target)) is right
        assert right or "model-00007" in str(ended.error)


def test_an_index_is_held_against_all_of_the_model(tmp_path: Path) -> None:
    """Also when only the index itself has to be copied."""
    source, target = prestaging.folder(tmp_path / "source", SHARDS), tmp_path / "target"
    done(plan({path: body for path, body in SHARDS.items() if path != INDEX}), target, source)
    done(plan(SHARDS), target, source)
    (target / INDEX).unlink()
    assert done(plan(SHARDS), target, source).of("file") == [INDEX]
    assert staged(target) == SHARDS
