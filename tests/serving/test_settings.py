"""The environment of the replicas."""

from __future__ import annotations

from pathlib import Path

import pytest
from common.errors import StartRefused
from text_generation.settings import Settings


def test_all_that_is_read(tmp_path: Path) -> None:
    given = {
        "MODEL_ID": str(tmp_path),
        "MODEL_NAME": "tiny",
        "MAX_TOKENS": "64",
        "CONTEXT_LENGTH": "512",
        "DTYPE": "bfloat16",
        "CONCURRENCY": "4",
        "QUEUE": "0",
        "KV_CACHE_TOKENS": "1024",
        "PREFILL_CHUNK": "128",
        "MODELYARD_VERIFY": "digests",
    }
    assert Settings.read(given) == Settings(tmp_path, "tiny", 64, 512, "bfloat16", 4, 0, 1024, 128, "digests")


@pytest.mark.parametrize("empty", [{}, {"MAX_TOKENS": "", "DTYPE": "", "QUEUE": "", "MODELYARD_VERIFY": ""}])
def test_what_holds_where_nothing_is_said(tmp_path: Path, empty: dict[str, str]) -> None:
    expected = Settings(tmp_path, None, 1024, None, "auto", 8, 32, None, 512, "sizes")
    assert Settings.read({"MODEL_ID": str(tmp_path), **empty}) == expected == Settings(tmp_path)


def test_the_queue_follows_the_slots(tmp_path: Path) -> None:
    assert Settings.read({"MODEL_ID": str(tmp_path), "CONCURRENCY": "3"}).queue == 12


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODEL_ID", ""),
        ("MODEL_ID", "/nowhere/at/all"),
        ("MAX_TOKENS", "0"),
        ("MAX_TOKENS", "-1"),
        ("MAX_TOKENS", "1e3"),
        ("MAX_TOKENS", "9" * 5000),
        ("CONTEXT_LENGTH", "long"),
        ("CONCURRENCY", "²"),
        ("QUEUE", "-1"),
        ("KV_CACHE_TOKENS", "0"),
        ("PREFILL_CHUNK", "0"),
        ("DTYPE", "int4"),
        ("MODELYARD_VERIFY", "yes"),
    ],
)
def test_faults_name_the_variable(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(StartRefused, match=f"^{name} is "):
        Settings.read({"MODEL_ID": str(tmp_path), name: value})


def test_model_id_must_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartRefused, match="is not a folder"):
        Settings.read({"MODEL_ID": str(tmp_path / "file")})
    with pytest.raises(StartRefused, match="MODEL_ID is not set"):
        Settings.read({})
