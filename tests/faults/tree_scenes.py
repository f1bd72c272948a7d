"""The trees that the fault runs write, and what they look for afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from generator.errors import UserError
from generator.tree import MANIFEST, Tree, build, compare, write

JOURNAL = ".modelyard/work/journal.json"

Snapshot = Mapping[str, bytes | str]  # bytes: a file's content; str: a link's target


def tree(files: Mapping[str, bytes]) -> Tree:
    return build(files.items(), generator="1.2.3")


OLD = tree(
    {
        "README.md": b"old\n",
        "charts/gone/Chart.yaml": b"name: gone\n",
        "charts/gone/templates/job.yaml": b"kind: Job\n",
        "charts/kept/values.yaml": b"replicas: 1\n",
        "charts/kept/same.yaml": b"same\n",
        "node": b"a file that becomes a folder\n",
        "folder/one.txt": b"a folder that becomes a file\n",
    }
)
NEW = tree(
    {
        "README.md": b"new\n",
        "charts/fresh/Chart.yaml": b"name: fresh\n",
        "charts/fresh/code.zip": b"PK\0\1" * 50,
        "charts/kept/values.yaml": b"replicas: 2\n",
        "charts/kept/same.yaml": b"same\n",
        "empty": b"",
        "node/inner.txt": b"inside\n",
        "folder": b"a file now\n",
    }
)
FOREIGN = {"charts/gone/NOTES.txt": b"mine\n", "notes/todo.md": b"mine too\n"}


def snapshot(folder: Path) -> dict[str, bytes | str]:
    """Everything in `folder` but empty folders and the work folder of modelyard."""
    found: dict[str, bytes | str] = {}
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if not name.startswith(".modelyard/work/"):
            found[name] = str(path.readlink()) if path.is_symlink() else path.read_bytes()
    return found


def _files(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()) if folder.exists() else ():
        if stat.S_ISDIR(entry.lstat().st_mode):
            yield from _files(entry)
        else:
            yield entry


def contents(made: Tree | None, foreign: Snapshot) -> dict[str, bytes | str]:
    """What a folder holds that was rendered from `made` (None: never rendered)."""
    if made is None:
        return dict(foreign)
    return {**foreign, **made.files, MANIFEST: made.manifest}


def place(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@dataclass(frozen=True, slots=True)
class Scene:
    """A folder before a write of `new`; `old` is what was rendered there, None when nothing was."""

    name: str
    old: Tree | None
    new: Tree
    foreign: Mapping[str, bytes]
    prepare: Callable[[Path], None]

    def outcomes(self) -> list[dict[str, bytes | str]]:
        return [contents(self.old, self.foreign), contents(self.new, self.foreign)]


def _update(out: Path) -> None:
    write(out, OLD)
    place(out, FOREIGN)


FIRST = Scene("first write", None, NEW, {}, lambda out: None)
UPDATE = Scene("update", OLD, NEW, FOREIGN, _update)

Writer = Callable[[Path, Tree], object]


def faults_at_rest(out: Path, allowed: list[dict[str, bytes | str]], new: Tree) -> list[str]:
    """What is wrong with a folder that nobody works on any more, before anybody mended it."""
    wrong = [] if _hidden(out / ".modelyard/work") else ["Git would see the work folder"]
    if (out / JOURNAL).exists():
        try:
            compare(out, new)
        except UserError:
            return wrong
        return [*wrong, "compare judged a tree with a journal"]
    return wrong if snapshot(out) in allowed else [*wrong, "mixed tree and no journal"]


def _hidden(work: Path) -> bool:
    ignore = work / ".gitignore"
    names = {path.name for path in work.iterdir()} if work.exists() else set()
    return names <= {ignore.name} or (ignore.exists() and ignore.read_bytes() == b"*\n")


def faults_after_rerun(out: Path, scene: Scene, target: Tree, writer: Writer = write) -> list[str]:
    """What is wrong after another run of `target` in a copy of the folder; the copy is thrown away."""
    copy = out.with_name(f"{out.name}-rerun")
    if out.exists():
        shutil.copytree(out, copy, symlinks=True)
    try:
        writer(copy, target)
        wrong = [] if snapshot(copy) == contents(target, scene.foreign) else ["rerun did not converge"]
        litter = (copy / ".modelyard/work").exists()
        return wrong + (["work folder left after a rerun"] if litter else [])
    except (UserError, OSError) as error:
        return [f"rerun failed: {error}"]
    finally:
        shutil.rmtree(copy, ignore_errors=True)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder to work in, in memory where the system has such a place: a fault run writes a lot."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def in_child(work: Callable[[], object]) -> int:
    """Run `work` in a forked process; its exit status, -N when signal N killed it."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
