"""Replacing one file of the user's: whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import mkstemp

from generator.errors import UserError


def replace_file(path: Path, content: bytes) -> None:
    """Write beside `path` and rename; the mode of an existing file is kept.

    Raises UserError with the reason of the operating system.
    """
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    try:
        descriptor, temporary = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise UserError.of(f"cannot write: {error.strerror}", file=str(path)) from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise UserError.of(f"cannot write: {error.strerror}", file=str(path)) from error
