"""Golden folders: byte comparison, and the command that renews them."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Mapping
from pathlib import Path

COMMAND = "renew with: pytest tests/unit/test_cases.py --update-golden"


def read(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` by relative path."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def compare(folder: Path, made: Mapping[str, bytes], *, update: bool) -> None:
    """Fail with a diff when `made` is not what `folder` holds; with `update`, make it so."""
    if update:
        shutil.rmtree(folder, ignore_errors=True)
        for path, content in made.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
    expected = read(folder)
    if expected == dict(made):
        return
    differing = sorted(path for path in expected.keys() | made.keys() if expected.get(path) != made.get(path))
    lines = [line for path in differing[:5] for line in _diff(path, expected.get(path, b""), made.get(path, b""))]
    raise AssertionError("\n".join([f"{len(differing)} files differ: {', '.join(differing)}", *lines[:120], COMMAND]))


def _diff(path: str, old: bytes, new: bytes) -> list[str]:
    before, after = (part.decode("utf-8", "replace").splitlines() for part in (old, new))
    return list(difflib.unified_diff(before, after, f"expected/{path}", f"made/{path}", lineterm=""))
