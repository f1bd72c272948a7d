"""Copies of models in a listing, and listings of folders."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from generator.errors import UserError
from generator.gc.prefixes import Item
from generator.prestage.manifest import HELD
from generator.versions import stores
from generator.versions.copies import copies
from generator.versions.stores import BucketPart, bucket_part

DAY = datetime(2026, 1, 1, tzinfo=UTC)
A, B, C = (f"models/tiny/{digit * 12}" for digit in "abc")


def item(key: str, size: int = 10, days: int = 0) -> Item:
    return Item(key, size, DAY + timedelta(days=days))


def test_what_a_listing_says() -> None:
    rows = copies(
        [
            item(f"{A}/config.json"),
            item(f"{A}/model.safetensors", 1000, 1),
            item(f"{A}/.modelyard/progress.json", 99, 2),
            item(f"{A}/.modelyard/manifest.json", 50, 3),
            item(f"{B}/config.json", 10, 4),
            item(f"{B}/{HELD}", 50, 5),
            item(f"{C}/config.json", 10, 6),
            item(f"{C}/sub/.modelyard/manifest.json", 10, 6),
            item("models/readme.txt"),
            item("models/tiny/not-a-commit/x"),
        ],
        served={A},
        references={"models.yaml": {A}, "Git history": {A, B}},
    )
    found = [(row.key, row.files, row.size, row.state, row.served, row.places) for row in rows]
    assert found == [
        (C, 2, 20, "incomplete", False, ()),
        (B, 1, 10, "held", False, ("Git history",)),
        (A, 2, 1010, "complete", True, ("models.yaml", "Git history")),
    ]
    assert [row.staged and (row.staged - DAY).days for row in rows] == [None, None, 3]
    assert (rows[0].model, rows[0].revision) == ("tiny", "c" * 12)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("s3://models-1", BucketPart("models-1")),
        ("s3://models-1/", BucketPart("models-1")),
        ("models.example", BucketPart("models.example")),
        ("s3://models-1/team/a/", BucketPart("models-1", "team/a/")),
        ("s3://models-1/team", BucketPart("models-1", "team/")),
    ],
)
def test_names_of_buckets(text: str, part: BucketPart) -> None:
    assert bucket_part(text) == part
    assert str(part) == f"s3://{text.removeprefix('s3://')}".rstrip("/")


@pytest.mark.parametrize("text", ["", "s3://", "/mnt/models", "https://bucket", "s3://UPPER", "a", "s3:///x"])
def test_what_is_no_bucket(text: str) -> None:
    with pytest.raises(UserError, match="names no bucket"):
        bucket_part(text)


def test_a_volume(tmp_path: Path) -> None:
    for name in (f"{A}/config.json", f"{A}/.modelyard/manifest.json", f"{B}/.modelyard/partial/0", "lost+found/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
        os.utime(tmp_path / name, (DAY.timestamp(),) * 2)
    (tmp_path / "models/tiny/link").symlink_to(tmp_path / A)
    found = {entry.key: (entry.size, entry.modified) for entry in stores.on_volume(tmp_path)}
    assert found == dict.fromkeys(
        (f"{A}/config.json", f"{A}/.modelyard/manifest.json", f"{B}/.modelyard/partial/0"), (5, DAY)
    )
    assert [(row.state, row.files) for row in copies(stores.on_volume(tmp_path), (), {})] == [
        ("complete", 1),
        ("incomplete", 0),
    ]


def test_a_folder_that_is_no_volume(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        list(stores.on_volume(tmp_path))
    assert "models/<model>/<commit>" in caught.value.diagnostics[0].hint
