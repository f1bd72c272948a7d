"""A difference as text, in the form that `git diff` prints and `git apply` reads."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Iterator
from pathlib import Path

from generator.tree.difference import Difference
from generator.tree.files import MANIFEST, Tree
from generator.tree.folders import Cursor, digest, naming, open_root, os_errors_reported, read

SNIFFED = 8000  # bytes in which Git looks for a NUL (xdiff-interface.c, buffer_is_binary)


def unified_diff(out: Path, tree: Tree, difference: Difference) -> Iterator[str]:
    """The lines, each with its newline, that lead from the folder to `tree`; untracked files are left out.

    Raises UserError when a file cannot be read.
    """
    wanted = {**tree.files, MANIFEST: tree.manifest}
    ours = difference.added + difference.changed + difference.removed
    with os_errors_reported(out), contextlib.ExitStack() as stack:
        root = open_root(out)
        if root is not None:
            stack.callback(os.close, root)
        for path in sorted(ours + difference.edited + difference.foreign):
            before = None if root is None else _before(root, path)
            yield from _file(path, before, wanted.get(path))


def _before(root: int, path: str) -> bytes | None:
    """What is there now; None when that is no file."""
    with naming(path), contextlib.suppress(FileNotFoundError, NotADirectoryError), Cursor(root) as cursor:
        folder, name = cursor.parent(path)
        return read(folder, name) if digest(folder, name) else None
    return None


def _file(path: str, before: bytes | None, after: bytes | None) -> Iterator[str]:
    if before == after:
        return
    old, new = f"a/{path}", f"b/{path}"
    yield f"diff --git {old} {new}\n"
    if before is None:
        yield "new file mode 100644\n"
    if after is None:
        yield "deleted file mode 100644\n"
    old, new = (old if before is not None else "/dev/null"), (new if after is not None else "/dev/null")
    before_text, after_text = _text(before), _text(after)
    if before_text is None or after_text is None:
        yield f"Binary files {old} and {new} differ\n"
        return
    for line in difflib.unified_diff(before_text, after_text, _name(old), _name(new)):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _name(name: str) -> str:
    """Git ends a name that holds a blank with a tab, so that a reader sees where it stops."""
    return f"{name}\t" if " " in name else name


def _text(content: bytes | None) -> list[str] | None:
    """The lines of a text, each with its newline; None for a binary file."""
    if content is None:
        return []
    if b"\0" in content[:SNIFFED]:
        return None
    try:
        *lines, tail = content.decode().split("\n")  # not splitlines: a form feed ends no line for Git
    except UnicodeDecodeError:
        return None
    return [f"{line}\n" for line in lines] + ([tail] if tail else [])
