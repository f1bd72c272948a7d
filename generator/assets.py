"""Finds `schemas/`, `chart-templates/` and `serving/` in a checkout or in an installed wheel, and reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
# In a wheel the folders are package data (pyproject.toml, force-include); in a checkout they stand beside it.
_CANDIDATES = (_PACKAGE / "_assets", _PACKAGE.parent)


@dataclass(frozen=True, slots=True)
class Assets:
    """A read-only folder of data files, addressed by POSIX path relative to it."""

    root: Path

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def files(self, folder: str) -> Iterator[tuple[str, bytes]]:
        """`(path relative to folder, content)` of every file below, sorted by path."""
        top = self.root / folder
        paths = (p for p in top.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        for name in sorted(p.relative_to(top).as_posix() for p in paths):
            yield name, (top / name).read_bytes()


@lru_cache(maxsize=1)
def find() -> Assets:
    """The assets of this installation.

    Raises FileNotFoundError when neither place has them: the installation is broken.
    """
    for root in _CANDIDATES:
        if (root / "chart-templates").is_dir():
            return Assets(root)
    raise FileNotFoundError("modelyard is installed without its chart-templates, schemas and serving folders")
