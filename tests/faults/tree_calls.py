"""A fault at every call that changes the disk: death before it, death halfway, an error once or for good."""

from __future__ import annotations

import contextlib
import errno
import itertools
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from generator.errors import UserError
from generator.tree import MANIFEST, Tree, write
from tests.faults.tree_scenes import (
    FIRST,
    JOURNAL,
    NEW,
    OLD,
    UPDATE,
    Scene,
    Writer,
    contents,
    faults_after_rerun,
    faults_at_rest,
    in_child,
    scratch,
    snapshot,
)

CHANGING = (
    "open",
    "write",
    "rename",
    "replace",
    "unlink",
    "remove",
    "mkdir",
    "rmdir",
    "fchmod",
    "ftruncate",
    "link",
)
REASONS = (errno.ENOSPC, errno.EIO, errno.EACCES)
DEAD = 42  # exit status of a child that died at the call it was told to

# How long an error lasts. On a full disk files can still be removed.
SPELLS: dict[str, tuple[float, tuple[str, ...]]] = {
    "once": (1, ()),
    "for good": (math.inf, ()),
    "for good, removing works": (math.inf, ("unlink", "rmdir")),
}

Fault = Callable[[Callable[..., Any], tuple[Any, ...]], None]  # (the call of os, its arguments)


@contextlib.contextmanager
def faulty_os(first: int, last: float, fault: Fault) -> Iterator[list[str]]:
    """Run `fault` before the changing calls number `first` to `last`; gives the names of the calls made."""
    real = {name: getattr(os, name) for name in CHANGING}
    calls: list[str] = []

    def wrap(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            if name != "open" or arguments[1] & os.O_CREAT:
                calls.append(name)
                if first <= len(calls) <= last:
                    fault(real[name], arguments)
            return real[name](*arguments, **keywords)

        return call

    for name in CHANGING:
        setattr(os, name, wrap(name))
    try:
        yield calls
    finally:
        for name in CHANGING:
            setattr(os, name, real[name])


def _die(call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os._exit(DEAD)


def _die_halfway(call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    if call.__name__ == "write":
        call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
    os._exit(DEAD)


def fail_with(reason: int, spared: tuple[str, ...] = ()) -> Fault:
    def fail(call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        if call.__name__ not in spared:
            raise OSError(reason, os.strerror(reason))

    return fail


def every_call() -> tuple[int, list[str]]:
    """(number of faults, what went wrong) of our writer, completing interrupted writes included."""
    with scratch() as folder:
        return _every_call(folder, (FIRST, UPDATE, *_interrupted(folder)), write)


def every_call_of_a_careless_writer() -> tuple[int, list[str]]:
    """The same of a writer that breaks every promise: shows that these runs find what they look for."""
    with scratch() as folder:
        return _every_call(folder, (FIRST, UPDATE), _write_carelessly)


def _every_call(folder: Path, scenes: Iterable[Scene], writer: Writer) -> tuple[int, list[str]]:
    count = 0
    wrong: list[str] = []
    for scene in scenes:
        deaths = (_deaths(folder, scene, fault, writer) for fault in (_die, _die_halfway))
        errors = (_errors(folder, scene, spell, writer) for spell in SPELLS)
        for found in itertools.chain(*deaths, *errors):
            count += 1
            wrong += found
    return count, wrong


def _interrupted(folder: Path) -> Iterator[Scene]:
    """Scenes in which a write has to complete one that died after its commit point, at every eighth call."""
    for call in itertools.count(1):
        seed = folder / f"interrupted-{call}"
        UPDATE.prepare(seed)
        with_journal = _dies(seed, call, _die, write) and (seed / JOURNAL).exists()
        if with_journal and call % 8 == 0:

            def prepare(out: Path, seed: Path = seed) -> None:
                shutil.copytree(seed, out)

            yield Scene(f"completion of a write dead at call {call}", OLD, NEW, UPDATE.foreign, prepare)
        elif snapshot(seed) == contents(NEW, UPDATE.foreign) and not (seed / JOURNAL).exists():
            return


def _dies(out: Path, call: int, fault: Fault, writer: Writer, scene: Scene = UPDATE) -> bool:
    """Let a child write and die at a call; False when it ended before it came to that call."""

    def work() -> None:
        with faulty_os(call, call, fault):
            writer(out, scene.new)

    status = in_child(work)
    if status not in (0, DEAD):
        raise AssertionError(f"{scene.name}: the child ended with {status}")
    return status == DEAD


def _deaths(folder: Path, scene: Scene, fault: Fault, writer: Writer) -> Iterator[list[str]]:
    for call in itertools.count(1):
        out = folder / "out"
        scene.prepare(out)
        died = _dies(out, call, fault, writer, scene)
        wrong = faults_at_rest(out, scene.outcomes(), scene.new)
        for target in (scene.old, scene.new):
            wrong += faults_after_rerun(out, scene, target, writer) if target else []
        shutil.rmtree(out, ignore_errors=True)
        yield [f"{scene.name}, dead at call {call}: {what}" for what in wrong]
        if not died:
            return


def _errors(folder: Path, scene: Scene, spell: str, writer: Writer) -> Iterator[list[str]]:
    length, spared = SPELLS[spell]
    for call in itertools.count(1):
        out = folder / "out"
        scene.prepare(out)
        journal = (out / JOURNAL).exists()
        reason = REASONS[call % len(REASONS)]
        error: UserError | None = None
        with faulty_os(call, call + length - 1, fail_with(reason, spared)) as calls:
            try:
                writer(out, scene.new)
            except UserError as raised:
                error = raised
            except OSError:
                pass
        wrong = faults_at_rest(out, scene.outcomes(), scene.new)
        if not journal and not (out / JOURNAL).exists():
            expected = contents(scene.old if error else scene.new, scene.foreign)
            wrong += [] if snapshot(out) == expected else ["the tree does not fit what was reported"]
        if not journal and length == 1 and (out / JOURNAL).exists():
            wrong.append("one error was not undone")
        if error and (os.strerror(reason) not in str(error) or str(out) not in error.diagnostics[0].file):
            wrong.append(f"no reason or no file in: {error.diagnostics}")
        wrong += faults_after_rerun(out, scene, scene.new, writer)
        shutil.rmtree(out, ignore_errors=True)
        yield [f"{scene.name}, {errno.errorcode[reason]} {spell} at call {call}: {what}" for what in wrong]
        if len(calls) < call:
            return


def _write_carelessly(out: Path, made: Tree) -> None:
    """A writer without staging, journal and lock."""
    before = snapshot(out)
    for path in before.keys() & OLD.files.keys() - made.files.keys():
        os.unlink(out / path)  # noqa: PTH108  (the faulty os does not see pathlib)
        with contextlib.suppress(OSError):
            (out / path).parent.rmdir()
    for path, content in {**made.files, MANIFEST: made.manifest}.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        file = os.open(out / path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(file, content)
        os.close(file)
