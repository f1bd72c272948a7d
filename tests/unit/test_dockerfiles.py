"""Every Dockerfile of ours, by hadolint."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import dockerfiles

ROOT = Path(__file__).parents[2]
OURS = ("serving/Dockerfile", "serving/prestage.Dockerfile", "chart-templates/image/Dockerfile")


def test_these_are_all() -> None:
    roots = (ROOT / name for name in ("serving", "chart-templates", ".ci", "benchmarks"))
    assert {str(path.relative_to(ROOT)) for root in roots for path in root.rglob("*Dockerfile*")} == set(OURS)


@pytest.mark.parametrize("name", OURS)
def test_nothing_is_found(name: str) -> None:
    assert dockerfiles.faults((ROOT / name).read_text(encoding="utf-8")) == []


def test_an_unquoted_bound_is_found() -> None:
    """What one of the replaced Dockerfiles did: the shell reads `>=` as a file to write to."""
    (found,) = dockerfiles.faults('FROM a:1\nRUN pip install --no-cache-dir "b==1" c>=2\n')
    assert found.startswith("2: DL3013 ")
