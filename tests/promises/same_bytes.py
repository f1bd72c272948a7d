"""Promise G10: the same input gives the same bytes, whatever surrounds the process."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

from tests import golden

ROOT = Path(__file__).parents[2]
CASE = ROOT / "tests/cases/everything"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run finds around it. `absolute`: the catalogue is named by its whole path, from another folder."""

    seed: str
    zone: str
    locale: str
    umask: int
    utf8: str
    absolute: bool


CHOICES = (("0", "4711"), ("UTC", "Asia/Kathmandu"), ("C", "C.UTF-8"), (0o022, 0o077), ("0", "1"), (False, True))
EVERY = tuple(Surroundings(*chosen) for chosen in itertools.product(*CHOICES))


def slice_of(count: int) -> tuple[Surroundings, ...]:
    """`count` of them, in which every choice occurs."""
    return tuple(EVERY[number * 21 % len(EVERY)] for number in range(count))


def render(work: Path, around: Surroundings) -> dict[str, bytes]:
    """The rendered tree, made by a process of its own. Raises RuntimeError where it fails."""
    shutil.copy(CASE / "models.yaml", work / "models.yaml")
    language = {"LC_ALL": around.locale, "LANG": around.locale, "TZ": around.zone}
    python = {"PYTHONHASHSEED": around.seed, "PYTHONUTF8": around.utf8, "PYTHONPATH": str(ROOT)}
    name, cwd = (str(work / "models.yaml"), ROOT) if around.absolute else ("models.yaml", work)
    command = [sys.executable, "-m", "generator.cli", "render", "-f", name]
    env = {**os.environ, **language, **python}
    done = subprocess.run(command, cwd=cwd, env=env, umask=around.umask, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{around}: {done.stderr}")
    return golden.read(work / "rendered")


def faults(count: int, folder: Path) -> Iterator[str]:
    """Runs whose tree is not that of the golden case, or whose files have other rights."""
    for number, around in enumerate(slice_of(count)):
        work = folder / f"{number} ein Örtchen"
        work.mkdir()
        if render(work, around) != golden.read(CASE / "expected"):
            yield f"other bytes: {astuple(around)}"
        modes = {(path.is_dir(), path.stat().st_mode & 0o777) for path in (work / "rendered").rglob("*")}
        if modes != {(True, 0o755), (False, 0o644)}:
            yield f"other rights: {astuple(around)}: {modes}"
        shutil.rmtree(work)
