"""Backstage's template engines, the real ones: jobs of `scaffolder.cjs`, which runs the steps of a template."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / ".cache/backstage"
PROGRAM = Path(__file__).with_name("scaffolder.cjs")
PACKAGES = {"nunjucks": "3.2.4", "nunjitsu": "0.7.0"}
"""Engine to its version."""


class Failed(Exception):
    """A job has ended with this on stderr."""


def run(engine: str, jobs: list[dict[str, Any]]) -> list[Any]:
    """What the steps of each job did. Raises Failed."""
    environment = {**os.environ, "NODE_PATH": str(node_modules())}
    text = json.dumps({"engine": engine, "jobs": jobs})
    done = subprocess.run([_program("node"), PROGRAM], input=text, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise Failed(done.stderr[:2000])
    return list(json.loads(done.stdout))


@cache
def node_modules() -> Path:
    """From npm once. Of processes at the same time one installs, and the others wait."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    modules = FOLDER / "node_modules"
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all(_installed(modules / name, version) for name, version in PACKAGES.items()):
            wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
            options = ["--prefix", str(FOLDER), "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run([_program("npm"), "install", *options, *wanted], check=True, capture_output=True)
    return modules


def _program(name: str) -> str:
    found = shutil.which(name)
    assert found, "install Node.js with npm: the template is tested with the engines of Backstage"
    return found


def _installed(package: Path, version: str) -> bool:
    manifest = package / "package.json"
    return manifest.is_file() and json.loads(manifest.read_text())["version"] == version
