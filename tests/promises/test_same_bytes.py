"""A slice of promise G10: hash seed, time zone, locale, umask, UTF-8 mode and folder have no say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.promises import same_bytes

COUNT = 8


def test_the_slice_holds_every_choice() -> None:
    chosen = same_bytes.slice_of(COUNT)
    assert len(set(same_bytes.EVERY)) == len(set(same_bytes.slice_of(64))) == 64
    for name, choices in zip(same_bytes.Surroundings.__slots__, same_bytes.CHOICES, strict=True):
        assert {getattr(around, name) for around in chosen} == set(choices)


@pytest.mark.slow
def test_the_same_bytes_everywhere(tmp_path: Path) -> None:
    assert list(same_bytes.faults(COUNT, tmp_path)) == []


def test_unchanged_files_are_not_touched(tmp_path: Path) -> None:
    one, *_, other = same_bytes.EVERY
    first = same_bytes.render(tmp_path, one)
    before = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in (tmp_path / "rendered").rglob("*") if p.is_file()}
    assert same_bytes.render(tmp_path, other) == first
    assert {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in before} == before
