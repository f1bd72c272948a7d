"""What the next commit would hold: Git's index, asked before a commit whose tree is right only on this disk.

pre-commit notices files that a hook changes, not files that it makes: a commit made with `git add -u` after a render
would leave the files of a new model behind.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from generator.errors import Diagnostic, UserError


def missing(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Those of `paths` that the index of the repository around the working directory lacks, in their order.

    Raises UserError where there is no repository, or no Git.
    """
    try:
        done = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=True)  # noqa: S607
    except (OSError, subprocess.CalledProcessError) as error:
        stderr = getattr(error, "stderr", b"") or str(error).encode()
        reason = stderr.decode(errors="replace").strip()
        raise UserError.of(f"cannot read Git's index: {reason}", hint="run this inside the repository") from error
    known = frozenset(os.fsdecode(done.stdout).split("\0"))
    return tuple(path for path in paths if os.path.relpath(path) not in known)


def faults(folder: Path, paths: Iterable[Path]) -> tuple[Diagnostic, ...]:
    """One fault for all of `paths`, files of the tree at `folder`, that are not in the index; none when all are."""
    found = missing(paths)
    if not found:
        return ()
    others = f" and {len(found) - 1} more" if len(found) > 1 else ""
    message = f"is not added to Git{others}: the commit would lack it"
    return (Diagnostic(message, str(found[0]), hint=f"git add -A -- {folder}"),)
