"""Folders and files under one root, reached name by name from an open descriptor; no link is ever followed.

A path here is relative to the root. An OSError that leaves this module carries that path as `filename`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import stat
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Self

from generator.errors import UserError
from generator.tree.files import META

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a named pipe put in place of a file must not hang us.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
WORK_NAME = "work"
WORK = f"{META}/{WORK_NAME}"
STAGED_FOLDER = "folder"
FILE_MODE = 0o644
FOLDER_MODE = 0o755
CHUNK = 1 << 20  # bytes per read of a file that has to be hashed

# Something that is no folder stands where a folder was expected.
BLOCKED = frozenset({errno.ENOTDIR, errno.EEXIST})

_HINTS = {
    errno.ENOSPC: "free some space on this disk and run again",
    errno.EDQUOT: "your quota on this disk is used up: free some space and run again",
    errno.EACCES: "give this user the right to write here and run again",
    errno.EPERM: "give this user the right to write here and run again",
    errno.EROFS: "this file system is mounted read-only: render into another folder",
    errno.ELOOP: "a symbolic link is in the way and is not followed: replace it with a folder",
    errno.ENOTDIR: "a file or a symbolic link is in the place of a folder: move it away",
    errno.EMFILE: "too many open files: raise `ulimit -n`",
}


@contextlib.contextmanager
def os_errors_reported(out: Path) -> Iterator[None]:
    """Turn an OSError into a UserError that names the file and the reason of the operating system."""
    try:
        yield
    except OSError as error:
        raise os_fault(out, error) from error


def os_fault(out: Path, error: OSError, hint: str = "") -> UserError:
    """The fault for `error`; `hint` takes precedence over what the error number suggests."""
    name = error.filename if isinstance(error.filename, str) else ""
    reason = error.strerror or str(error)
    default = _HINTS.get(error.errno or 0, "mend this and run again")
    return UserError.of(reason, file=str(out / name), hint=hint or default)


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """Let an OSError say `path`, and not the last segment that the call was given."""
    try:
        yield
    except OSError as error:
        error.filename = path
        raise


def open_root(out: Path) -> int | None:
    """A descriptor of the output folder, None when there is none. `out` itself may be a link."""
    try:
        return os.open(os.path.realpath(out), FOLDER)
    except FileNotFoundError:
        return None


def _open_folder(name: str, above: int) -> int:
    """A descriptor of a folder; NotADirectoryError for a link on every system (macOS itself says ELOOP)."""
    try:
        return os.open(name, FOLDER, dir_fd=above)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
        raise


@contextlib.contextmanager
def opened(folder: int, name: str, path: str = "") -> Iterator[int]:
    """A descriptor of the folder `name` in `folder`, closed afterwards; `path` is what an OSError says."""
    with naming(path or name):
        child = _open_folder(name, folder)
    try:
        yield child
    finally:
        os.close(child)


def names(folder: int) -> set[str]:
    """What is in a folder."""
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries}


def walk(folder: int, prefix: str = "") -> Generator[tuple[str, int, os.DirEntry[str]], None, None]:
    """Every entry under `folder`, a folder before what it holds: (path, descriptor of its folder, entry).

    The descriptor is open until the next step. Folders of Git and our own work folder are passed over.
    """
    with os.scandir(folder) as found:
        entries = list(found)
    for entry in entries:
        path = prefix + entry.name
        if path == WORK or entry.name == ".git":
            continue
        yield path, folder, entry
        if entry.is_dir(follow_symlinks=False):
            with opened(folder, entry.name, path) as child:
                yield from walk(child, path + "/")


def read(folder: int, name: str) -> bytes:
    """The content of a regular file; raises OSError for anything else."""
    file = os.open(name, READ, dir_fd=folder)
    try:
        with open(file, "rb", closefd=False) as stream:
            return stream.read()
    finally:
        os.close(file)


def digest_unless_equal(folder: int, name: str, content: bytes | None) -> str:
    """The sha256 of what a file holds, or "" when that is exactly `content`.

    Equal files, nearly all of them, cost a comparison and no hash; a longer file is never held in memory.
    """
    file = os.open(name, READ, dir_fd=folder)
    try:
        if content is not None and _holds(file, content):
            return ""
        return _digest(file)
    finally:
        os.close(file)


def _holds(file: int, content: bytes) -> bool:
    found = os.read(file, len(content) + 1)
    while found and len(found) < len(content) and content.startswith(found):  # a short read
        more = os.read(file, len(content) + 1 - len(found))
        if not more:
            break
        found += more
    return found == content


def _digest(file: int) -> str:
    os.lseek(file, 0, os.SEEK_SET)
    state = hashlib.sha256()
    while chunk := os.read(file, CHUNK):
        state.update(chunk)
    return state.hexdigest()


def digest(folder: int, name: str) -> str | None:
    """The sha256 of a file; None when nothing is there, "" when what is there is no regular file."""
    try:
        file = os.open(name, READ, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a symbolic link; a socket
            return ""
        raise
    try:
        return _digest(file) if stat.S_ISREG(os.fstat(file).st_mode) else ""
    finally:
        os.close(file)


def create(folder: int, name: str, content: bytes) -> None:
    """Write a new file of mode 0644, whatever the umask."""
    file = os.open(name, CREATE, FILE_MODE, dir_fd=folder)
    try:
        os.fchmod(file, FILE_MODE)
        written = os.write(file, content)
        while written < len(content):
            written += os.write(file, memoryview(content)[written:])
    finally:
        os.close(file)


class Cursor:
    """The open folders along one path. Moving to another path closes and opens as few of them as possible.

    `work` is a folder on the same file system; a missing folder is made there and then renamed into place, so
    that no folder is ever seen with another mode than 0755. `made` is then called with its path.
    """

    def __init__(self, root: int, work: int | None = None, made: Callable[[str], None] | None = None) -> None:
        self._work = work
        self._made = made
        self._folder: str | None = ""  # None after a failed move
        self._open: list[tuple[str, int]] = [("", root)]  # the root is the caller's to close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._shorten(1)

    def parent(self, path: str) -> tuple[int, str]:
        """(descriptor of the folder of `path`, its last segment); with a `work`, missing folders are made."""
        folder, _, name = path.rpartition("/")
        if folder != self._folder:
            self._folder = None
            self._move(folder.split("/") if folder else [])
            self._folder = folder
        return self._open[-1][1], name

    def _move(self, names: list[str]) -> None:
        here = [name for name, _ in self._open[1:]]
        shared = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(here, names, strict=False))
        common = sum(1 for _ in shared)
        self._shorten(common + 1)
        for depth in range(common, len(names)):
            path = "/".join(names[: depth + 1])
            with naming(path):
                self._open.append((names[depth], self._enter(names[depth], path)))

    def _shorten(self, length: int) -> None:
        while len(self._open) > length:
            os.close(self._open.pop()[1])

    def _enter(self, name: str, path: str) -> int:
        above = self._open[-1][1]
        try:
            return _open_folder(name, above)
        except FileNotFoundError:
            if self._work is None:
                raise
        _make(self._work, above, name)
        if self._made:
            self._made(path)
        return _open_folder(name, above)


def _make(work: int, above: int, name: str) -> None:
    with contextlib.suppress(FileExistsError):  # left by a run that died right here
        os.mkdir(STAGED_FOLDER, FOLDER_MODE, dir_fd=work)
    with opened(work, STAGED_FOLDER) as folder:
        os.fchmod(folder, FOLDER_MODE)
    os.rename(STAGED_FOLDER, name, src_dir_fd=work, dst_dir_fd=above)
