"""A folder of this machine, such as a download or a mounted volume; its files are hashed before they are copied."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

from generator import filechoice
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError, Transient
from generator.prestage.plan import File, Plan, check_paths


class FolderSource:
    """With a list in the plan, exactly these files; else the default choice of what is there."""

    def __init__(self, plan: Plan, root: Path) -> None:
        self._plan, self._root = plan, root
        self._lock = threading.Lock()
        self._open: dict[int, tuple[str, int]] = {}  # path and descriptor by thread

    @property
    def name(self) -> str:
        return str(self._root)

    def files(self) -> tuple[File, ...]:
        if self._plan.files is not None:
            return self._plan.files
        if not self._root.is_dir():
            raise PrestageError(PrestageExit.NOT_FOUND, f"{self._root} is not a folder", "check --source")
        found = [path.relative_to(self._root).as_posix() for path in self._root.rglob("*") if path.is_file()]
        chosen = filechoice.choose(found, self._plan.allow, self._plan.ignore)
        if not any(map(filechoice.is_weights, chosen)):
            raise PrestageError(PrestageExit.NOT_FOUND, f"{self._root} has no weights that are taken", "check --source")
        files = tuple(_hashed(self._root, path) for path in chosen)
        check_paths(files)
        return files

    def close(self) -> None:
        with self._lock:
            while self._open:
                os.close(self._open.popitem()[1][1])

    def read(self, file: File, start: int, view: memoryview) -> int:
        try:
            got = os.preadv(self._descriptor(file.path), [view], start)
        except (FileNotFoundError, NotADirectoryError) as error:
            hint = "check --source, or render again after `modelyard lock`"
            raise PrestageError(PrestageExit.NOT_FOUND, f"{self._root} lacks {file.path}", hint) from error
        except PermissionError as error:
            raise PrestageError(PrestageExit.FORBIDDEN, str(error), "check the folder's permissions") from error
        except OSError as error:
            raise Transient(f"{file.path}: {error.strerror}") from error
        if not got:
            reason = f"{self._root / file.path} ends before byte {start}, the plan says {file.size} bytes"
            raise PrestageError(PrestageExit.INTEGRITY, reason, "check --source: it holds another file")
        return got

    def _descriptor(self, path: str) -> int:
        """This thread's open file; it is kept for the next part."""
        thread = threading.get_ident()
        kept = self._open.get(thread)
        if kept is None or kept[0] != path:
            opened = (path, os.open(self._root / path, os.O_RDONLY | os.O_CLOEXEC))
            with self._lock:
                self._open[thread] = opened
            if kept:
                os.close(kept[1])
            kept = opened
        return kept[1]


def _hashed(root: Path, path: str) -> File:
    try:
        with (root / path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return File(path, file.tell(), f"sha256:{digest}")
    except OSError as error:
        reason = f"{root / path}: {error.strerror}"
        raise PrestageError(PrestageExit.FORBIDDEN, reason, "check the folder's permissions") from error
