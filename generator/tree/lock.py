"""One writer at a time per tree: the lock, and the work folder that comes and goes with it.

A process that waits may find any of these names removed under its hands by the one that finishes; it then
starts over.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from generator.errors import UserError
from generator.tree.files import META
from generator.tree.folders import (
    FILE_MODE,
    FOLDER,
    FOLDER_MODE,
    WORK,
    WORK_NAME,
    create,
    names,
    naming,
    os_errors_reported,
)

LOCK = "lock"
IGNORE = ".gitignore"
POLL = 0.02  # seconds
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Site:
    """A locked tree: `out` as the user named it, and descriptors of the folder and of its work folder."""

    out: Path
    root: int
    work: int


@contextlib.contextmanager
def locked(out: Path, wait: float) -> Iterator[Site]:
    """Hold the lock of the tree at `out`, which is made when missing; wait up to `wait` seconds for it.

    Folders that were made and stay empty are removed again. Raises UserError when the time is over, naming
    the process that holds the lock, and for every OSError in the body.
    """
    with os_errors_reported(out), contextlib.ExitStack() as stack:
        yield _acquire(out, wait, stack)


def _acquire(out: Path, wait: float, stack: contextlib.ExitStack) -> Site:
    real = os.path.realpath(out)
    deadline = time.monotonic() + wait
    while True:
        late = time.monotonic() >= deadline
        holder = ""
        with contextlib.ExitStack() as attempt:
            try:
                taken = _attempt(out, real, attempt)
                if isinstance(taken, Site):
                    stack.push(attempt.pop_all())
                    return taken
                holder = taken
            except FileNotFoundError:
                if late:
                    raise
        if late:
            raise _busy(out, wait, holder)
        time.sleep(POLL)


def _attempt(out: Path, real: str, stack: contextlib.ExitStack) -> Site | str:
    """The locked site, or the number of the process that holds it; FileNotFoundError when a race was lost."""
    root = _open_root(real, stack)
    with naming(META):
        meta = _open_folder(root, META, stack)
    with naming(WORK):
        work = _open_folder(meta, WORK_NAME, stack)
        _ignore(work)  # first of all, so that Git sees nothing of a run that dies
    with naming(f"{WORK}/{LOCK}"):
        lock = _open(LOCK, _LOCK_FLAGS, work, stack)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        _refuse_replaced(lock, work, out)
        stack.callback(_tidy, work)
        _ignore(work)  # once more: the last holder removes its own
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
    return Site(out, root, work)


def _busy(out: Path, wait: float, holder: str) -> UserError:
    return UserError.of(
        f"another render (process {holder or 'unknown'}) works on this tree; waited {wait:g} seconds",
        file=str(out),
        hint="wait until it is done, or stop it; its lock goes when it ends",
    )


def _open_root(real: str, stack: contextlib.ExitStack) -> int:
    folders = [Path(real), *Path(real).parents]
    for folder in reversed(list(itertools.takewhile(lambda path: not path.exists(), folders))):
        _make(str(folder), None, stack)
    return _open(real, FOLDER, None, stack)


def _open_folder(above: int, name: str, stack: contextlib.ExitStack) -> int:
    _make(name, above, stack)
    return _open(name, FOLDER, above, stack)


def _make(name: str, above: int | None, stack: contextlib.ExitStack) -> None:
    """Make a folder unless it is there, and see to it that it goes again if it is empty in the end."""
    try:
        os.mkdir(name, FOLDER_MODE, dir_fd=above)
    except FileExistsError:
        if above is not None:  # one inside `.modelyard`, left by a run that died
            stack.callback(_remove_if_empty, name, above)
        return
    stack.callback(_remove_if_empty, name, above)
    with contextlib.ExitStack() as inner:
        os.fchmod(_open(name, FOLDER, above, inner), FOLDER_MODE)


def _remove_if_empty(name: str, above: int | None) -> None:
    with contextlib.suppress(OSError):
        os.rmdir(name, dir_fd=above)


def _open(name: str, flags: int, above: int | None, stack: contextlib.ExitStack) -> int:
    file = os.open(name, flags, FILE_MODE, dir_fd=above)
    stack.callback(os.close, file)
    return file


def _ignore(work: int) -> None:
    """Hide the work folder from Git, as pytest and mypy do with theirs."""
    with contextlib.suppress(FileNotFoundError):
        if os.stat(IGNORE, dir_fd=work, follow_symlinks=False).st_size:
            return
        os.unlink(IGNORE, dir_fd=work)  # of a run that died before it wrote the line
    with contextlib.suppress(FileExistsError):  # another one waits for the lock, too
        create(work, IGNORE, b"*\n")


def _refuse_replaced(lock: int, work: int, out: Path) -> None:
    """Raise FileNotFoundError when the file we locked is no longer the one that others would lock."""
    ours = os.fstat(lock)
    if not stat.S_ISREG(ours.st_mode) or ours.st_nlink > 1:
        raise UserError.of(
            "this lock is no file of modelyard", file=str(out / WORK / LOCK), hint="delete it and run again"
        )
    theirs = os.stat(LOCK, dir_fd=work, follow_symlinks=False)
    if (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino):
        raise FileNotFoundError(LOCK)


def _tidy(work: int) -> None:
    """Leave nothing behind, but keep what hides a journal that still waits for the next run."""
    with contextlib.suppress(OSError):
        os.unlink(LOCK, dir_fd=work)
        if names(work) <= {IGNORE}:
            os.unlink(IGNORE, dir_fd=work)
