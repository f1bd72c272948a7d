"""Random repositories: what users and links do to a tree between renders, and what a render may then do."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from generator.errors import UserError
from generator.tree import MANIFEST, Tree, compare, write
from tests.faults.tree_scenes import JOURNAL, NEW, OLD, Snapshot, contents, place, scratch, snapshot, tree

STEPS = 6  # renders per repository


def repositories(count: int, seed: int) -> tuple[int, list[str]]:
    """(renders, what went wrong) in `count` repositories that somebody else works in, too."""
    renders, wrong = 0, []
    with scratch() as folder:
        for number in range(count):
            dice = random.Random(f"{seed}-{number}")
            out = folder / str(number)
            for step in range(STEPS):
                _meddle(out, dice)
                renders += 1
                wrong += [f"repository {number}, step {step}: {what}" for what in _render(out, _files(dice))]
            shutil.rmtree(out, ignore_errors=True)
    return renders, wrong


def _path(dice: random.Random) -> str:
    return "/".join(dice.choices("abc", k=dice.randint(1, 3)))


def _files(dice: random.Random) -> Tree:
    files: dict[str, bytes] = {}
    for _ in range(dice.randint(0, 6)):
        path = _path(dice)
        if not any(path.startswith(f"{other}/") or other.startswith(f"{path}/") for other in files):
            files[path] = dice.choice((b"", b"one", b"two"))
    return tree(files)


def _meddle(out: Path, dice: random.Random) -> None:
    """Edit, delete or link a few of the files, ours or not, as a user might."""
    for _ in range(dice.choice((0, 0, 1, 2))):
        path = out / _path(dice)
        if any(above.is_symlink() or above.is_file() for above in path.parents) or path.is_dir():
            continue
        match dice.choice(("write", "write", "link", "delete")):
            case "write" if not path.is_symlink():
                place(out, {path.relative_to(out).as_posix(): dice.choice((b"one", b"mine"))})
            case "link" if not path.is_symlink():
                path.unlink(missing_ok=True)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(dice.choice(("/nowhere", ".", "b")))
            case "delete":
                path.unlink(missing_ok=True)
                _drop_empty(path.parent, out)


def _drop_empty(folder: Path, out: Path) -> None:
    while folder != out and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def conflicts(before: Snapshot, owned: Mapping[str, str], new: Mapping[str, bytes]) -> set[str]:
    """What a render of `new` has to refuse, told from the contents alone."""
    found = set()
    for path, content in before.items():
        if path == MANIFEST or content == new.get(path):
            continue
        ours = isinstance(content, bytes) and hashlib.sha256(content).hexdigest() == owned.get(path)
        blocks = path in new or any(other.startswith(f"{path}/") or path.startswith(f"{other}/") for other in new)
        if not ours and (path in owned or blocks):
            found.add(path)
    return found


def _render(out: Path, new: Tree) -> list[str]:
    before, stats = snapshot(out), _stats(out)
    manifest = before.get(MANIFEST)
    owned = json.loads(manifest)["files"] if manifest else {}
    expected = conflicts(before, owned, new.files)
    foreign = {path: content for path, content in before.items() if path not in owned and path != MANIFEST}
    found = compare(out, new)
    try:
        write(out, new)
    except UserError as error:
        named = {diagnostic.file for diagnostic in error.diagnostics}
        wrong = [] if expected else [f"refused for no reason: {error}"]
        wrong += [] if snapshot(out) == before else ["refused, and changed the tree"]
        wrong += [f"did not name {path}" for path in expected if not _named(out, path, named)]
        return wrong if found.edited or found.foreign else [*wrong, "compare did not see the conflict"]
    after = _stats(out)
    wrong = [f"ignored {sorted(expected)}"] if expected else []
    wrong += [] if snapshot(out) == contents(new, foreign) else ["other files than expected"]
    kept = {*foreign, *found.unchanged}
    return wrong + [f"touched {path}" for path in kept & stats.keys() if after.get(path) != stats[path]]


def _named(out: Path, path: str, named: set[str]) -> bool:
    """A folder in the way stands for all that it holds."""
    return any(str(place) in named for place in (out / path, *(out / path).parents))


def _stats(out: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for name in snapshot(out):
        status = (out / name).lstat()
        found[name] = (status.st_ino, status.st_mtime_ns, status.st_mode)
    return found


LINKED = (
    *(
        "README.md",
        "charts",
        "charts/kept",
        "charts/kept/values.yaml",
        "charts/fresh",
        "charts/fresh/Chart.yaml",
    ),
    *("node", "empty", ".modelyard", MANIFEST, ".modelyard/work"),
    *(f".modelyard/work/{name}" for name in ("lock", "journal.json", "journal.draft", ".gitignore", "folder")),
    *(f".modelyard/work/0.{kind}" for kind in ("new", "old")),
)


def escapes(count: int, seed: int) -> tuple[int, list[str]]:
    """(writes, what went wrong) in trees with links out of them and forged journals."""
    wrong = []
    dice = random.Random(seed)
    with scratch() as folder:
        outside = folder / "outside"
        place(outside, {"file": b"precious", "Chart.yaml": b"precious", "values.yaml": b"precious"})
        guarded = (snapshot(outside), _stats(outside), outside.stat().st_mtime_ns)
        for number in range(count):
            out = folder / "tree"
            how = _set_trap(out, outside, dice)
            for made in (NEW, OLD):
                with contextlib.suppress(UserError):
                    write(out, made, wait=0)
            if (snapshot(outside), _stats(outside), outside.stat().st_mtime_ns) != guarded:
                wrong.append(f"try {number} ({how}) wrote outside")
            shutil.rmtree(out)
    return 2 * count, wrong


def _set_trap(out: Path, outside: Path, dice: random.Random) -> str:
    write(out, OLD)
    if dice.random() < 0.2:
        return _forge_journal(out, dice)
    spots = dice.sample(LINKED, k=dice.randint(1, 2))
    for spot in spots:
        path = out / spot
        if any(above.is_symlink() or above.is_file() for above in path.parents):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.symlink_to(dice.choice((outside, outside / "file", outside / "absent")))
    return ", ".join(spots)


def _forge_journal(out: Path, dice: random.Random) -> str:
    path = dice.choice(("../outside/file", "/../outside/file", "a/../../outside/new", ".modelyard/../../outside/x"))
    old = hashlib.sha256(b"precious").hexdigest()
    change = dice.choice(([path, old, None], [path, None, old], [path, old, "0" * 64]))
    journal = {"version": 1, "changes": [change], "folders": ["../outside"], "manifests": [None, old]}
    journal["manifests"] = [hashlib.sha256((out / MANIFEST).read_bytes()).hexdigest(), old]
    place(out, {JOURNAL: json.dumps(journal).encode(), ".modelyard/work/0.new": b"precious"})
    return f"journal with {change}"


def swaps(count: int) -> tuple[int, list[str]]:
    """(writes, what went wrong) while another process turns a folder of the tree into a link and back."""
    with scratch() as folder:
        out, outside = folder / "tree", folder / "outside"
        (outside / "kept").mkdir(parents=True)
        write(out, OLD)
        swapper = os.fork()
        if swapper == 0:
            _swap_for_ever(out / "charts", outside)
        try:
            for number in range(count):
                with contextlib.suppress(UserError):
                    write(out, (NEW, OLD)[number % 2])
        finally:
            os.kill(swapper, signal.SIGKILL)
            os.waitpid(swapper, 0)
        return count, [f"wrote {name} outside" for name in snapshot(outside)]


def _swap_for_ever(folder: Path, outside: Path) -> None:
    aside = folder.with_name("aside")
    steps: tuple[Callable[[], object], ...] = (
        lambda: folder.rename(aside),
        lambda: folder.symlink_to(outside),
        folder.unlink,
        lambda: aside.rename(folder),
    )
    for step in itertools.cycle(steps):
        try:
            step()
        except OSError:  # the writer made the folder anew in between: begin again with that one
            shutil.rmtree(aside, ignore_errors=True)
