"""Promises G7 and G8: YAML traps are refused; the stated limits hold, one below, at, and one above."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from generator.spec import Spec
from tests.promises import fields, limits

LIMIT = 20_000


def catalogue(models: int, services: int) -> dict[str, Any]:
    data = dict(copy.deepcopy(fields.catalogue()))
    model, service = data["models"][0], data["services"][0]
    data["models"] = [{**model, "name": f"m{i}"} for i in range(models)]
    data["services"] = [{**service, "name": f"s{i}"} for i in range(services)]
    return data


@pytest.mark.parametrize("over", [-1, 0])
@pytest.mark.parametrize("kind", ["models", "services"])
def test_so_many_are_taken(kind: str, over: int) -> None:
    counts = {"models": 1, "services": 1, kind: LIMIT + over}
    assert len(getattr(Spec.model_validate(catalogue(**counts)), kind)) == LIMIT + over


@pytest.mark.parametrize("kind", ["models", "services"])
def test_one_more_is_refused(kind: str) -> None:
    counts = {"models": 1, "services": 1, kind: LIMIT + 1}
    with pytest.raises(ValidationError, match=f"at most {LIMIT}"):
        Spec.model_validate(catalogue(**counts))


def test_the_command_line_says_so(tmp_path: Path) -> None:
    assert len(limits.bomb()) < 329 and set(limits.HEAVY) <= limits.SAMPLES.keys()
    assert list(limits.faults(tmp_path)) == []


def test_a_bomb_needs_more_than_that(tmp_path: Path) -> None:
    """The limit on memory is one that a reader which follows aliases would meet."""
    (tmp_path / "models.yaml").write_text("a: " + "[a, " * 5 + "]" * 5, encoding="utf-8")
    code, said = limits.with_little_memory(tmp_path / "models.yaml")
    assert code == 1 and "MemoryError" not in said
    grown = f"import resource as r; r.setrlimit(r.RLIMIT_AS, ({limits.MEMORY},) * 2); x = [[] for _ in range(10**8)]"
    done = subprocess.run([sys.executable, "-c", grown], capture_output=True, text=True, check=False)
    assert "MemoryError" in done.stderr
