"""Copies of the application that are broken on purpose, so that a harness which finds nothing means something."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

LEAKS = """
Engine._leave = lambda self, ticket: None
"""
FAILS = """
def _invalid(error: ValidationError, status: int) -> Problem:
    raise LookupError(error)
"""
TRUSTS = """
def check(folder: Path, *, verify: Verify) -> None:
    return None
"""
CALLS_HOME = """
import socket
def check(folder: Path, *, verify: Verify) -> None:
    socket.create_connection(("127.0.0.1", 9), 1)
"""
SABOTAGE: Mapping[str, tuple[str, str]] = {
    "leaks slots": ("text_generation/engine.py", LEAKS),
    "fails on bad input": ("common/http.py", FAILS),
    "trusts every folder": ("common/manifest.py", TRUSTS),
    "calls home": ("common/manifest.py", CALLS_HOME),
}
"""The module that is broken, and what is added at its end."""


def altered(sources: Path, names: Iterable[str], folder: Path) -> Path:
    """A copy of the application in `folder` with these faults."""
    shutil.copytree(sources, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in names:
        path, code = SABOTAGE[name]
        with (folder / path).open("a") as module:
            module.write(code)
    return folder
