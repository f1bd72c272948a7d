"""Same input, same bytes: hash seed, locale, time zone, umask and folder have no say (promise G10)."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import golden

ROOT = Path(__file__).parents[2]
CASE = ROOT / "tests/cases/everything"
SEEDS, ZONES, LOCALES, UMASKS = ("0", "1"), ("UTC", "Asia/Kathmandu"), ("C", "C.UTF-8"), (0o022, 0o077)
COMBINATIONS = list(itertools.product(SEEDS, ZONES, LOCALES, UMASKS))


def render(work: Path, seed: str, zone: str, locale: str, umask: int, *, absolute: bool) -> dict[str, bytes]:
    shutil.copy(CASE / "models.yaml", work / "models.yaml")
    env = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": locale, "LANG": locale, "PYTHONPATH": str(ROOT)}
    name = str(work / "models.yaml") if absolute else "models.yaml"
    command = [sys.executable, "-m", "generator.cli", "render", "-f", name]
    done = subprocess.run(command, cwd=work, env=env, umask=umask, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    files = sorted((work / "rendered").rglob("*"))
    assert {oct(p.stat().st_mode & 0o777) for p in files if p.is_file()} == {"0o644"}
    assert {oct(p.stat().st_mode & 0o777) for p in files if p.is_dir()} == {"0o755"}
    return golden.read(work / "rendered")


@pytest.mark.parametrize("number", range(0, len(COMBINATIONS), 2))
def test_the_same_bytes_everywhere(tmp_path: Path, number: int) -> None:
    work = tmp_path / ("a folder" if number % 4 else "ein Örtchen")
    work.mkdir()
    assert render(work, *COMBINATIONS[number], absolute=bool(number % 3)) == golden.read(CASE / "expected")


def test_unchanged_files_are_not_touched(tmp_path: Path) -> None:
    first = render(tmp_path, "0", "UTC", "C", 0o022, absolute=False)
    before = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in (tmp_path / "rendered").rglob("*") if p.is_file()}
    assert render(tmp_path, "1", "UTC", "C", 0o022, absolute=True) == first
    assert {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in before} == before
