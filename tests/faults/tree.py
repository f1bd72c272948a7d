"""Faults and hostile folders against the output tree, at any scale.

`python -m tests.faults.tree --seed 1 --calls --kills 1000 --race 100 --rounds 20 --repos 500 --escapes 2500
--swaps 2500` prints for each figure the seed, the number of tries and the number of failures. It exits 1 when
there is a failure.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from generator.errors import UserError
from generator.tree import Tree, write
from tests.faults.tree_calls import every_call, every_call_of_a_careless_writer
from tests.faults.tree_repos import escapes, repositories, swaps
from tests.faults.tree_scenes import JOURNAL, contents, faults_at_rest, in_child, scratch, snapshot, tree

WAIT = 60.0  # seconds that a racing process waits for the lock


def _variant(number: int) -> Tree:
    """One of several trees that share some paths, with enough files that a kill lands between two of them."""
    shared = {f"shared/{index % 5}/{index}.yaml": b"%d: %d\n" % (index, number % 3) for index in range(60)}
    own = {f"only/{number}/{index}.yaml": b"%d\n" % index for index in range(30)}
    return tree({**shared, **own})


def kills(count: int, seed: int) -> tuple[int, list[str], str]:
    """Processes killed at a random time of a write; (kills, what went wrong, where they landed)."""
    dice = random.Random(seed)
    variants = [_variant(number) for number in range(3)]
    foreign: dict[str, bytes | str] = {"mine.txt": b"mine\n"}
    landed: Counter[str] = Counter()
    wrong: list[str] = []
    ended = 0
    with scratch() as folder:
        out = folder / "out"
        out.mkdir()
        (out / "mine.txt").write_bytes(b"mine\n")
        write(out, variants[0])
        duration = _time_of(lambda: write(out, variants[1]))
        allowed = [contents(variants[1], foreign)]
        while landed.total() < count:
            target = dice.choice([made for made in variants if contents(made, foreign) != allowed[-1]])
            allowed.append(contents(target, foreign))
            if not _killed(partial(write, out, target), dice.uniform(0, duration)):
                ended += 1
            elif (out / JOURNAL).exists():
                landed["between commit point and end"] += 1
            elif snapshot(out) == allowed[-1]:
                landed["after the end"] += 1
            else:
                landed["before the commit point"] += 1
            wrong += faults_at_rest(out, allowed, target)
            if dice.random() < 0.3:  # the next write is killed while it mends this one
                continue
            target = dice.choice(variants)
            write(out, target)
            allowed = [contents(target, foreign)]
            wrong += [] if snapshot(out) == allowed[0] else [f"kill {landed.total()}: no convergence"]
    places = ", ".join(f"{where}: {number}" for where, number in sorted(landed.items()))
    return landed.total(), wrong, f"{places}; not counted, had ended by itself: {ended}"


def _time_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    in_child(work)
    return time.perf_counter() - start


def _killed(work: Callable[[], object], after: float) -> bool:
    """Run `work` in a child and kill it `after` so many seconds; whether it was still running."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def races(processes: int, rounds: int) -> tuple[int, list[str]]:
    """(writes, what went wrong) of processes that all write one of two trees at the same time."""
    wrong: list[str] = []
    pair = [_variant(0), _variant(1)]
    with scratch() as folder:
        out = folder / "out"
        for number in range(rounds):
            statuses = _race(processes, out, pair, kill_first=number % 2 == 1)
            if statuses != {0}:
                wrong.append(f"round {number}: processes ended with {statuses}")
            if snapshot(out) not in [contents(made, {}) for made in pair]:
                wrong.append(f"round {number}: the tree is neither of the two")
            if (out / ".modelyard/work").exists():
                wrong.append(f"round {number}: litter")
            if number % 3 == 0:
                shutil.rmtree(out)
    return processes * rounds, wrong


def _race(processes: int, out: Path, pair: list[Tree], *, kill_first: bool) -> set[int]:
    """Exit statuses of children that were let go at once; without that of the first, which may be killed."""
    ready, go = os.pipe()
    children = []
    for number in range(processes):
        pid = os.fork()
        if pid == 0:
            os.close(go)
            os.read(ready, 1)  # returns when the parent closes its end
            status = 1
            try:
                write(out, pair[number % 2], wait=WAIT)
                status = 0
            except UserError as error:
                sys.stderr.write(f"{error}\n")
            finally:
                os._exit(status)
        children.append(pid)
    os.close(ready)
    os.close(go)
    if kill_first:
        os.kill(children[0], signal.SIGKILL)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    return set(statuses[1:] if kill_first else statuses)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.tree", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calls", action="store_true", help="a fault at every call that changes the disk")
    parser.add_argument("--careless", action="store_true", help="the same with a writer that has to fail")
    parser.add_argument("--kills", type=int, default=0, help="processes to kill at random times")
    parser.add_argument("--race", type=int, default=0, help="processes that write at once")
    parser.add_argument("--rounds", type=int, default=1, help="races to run")
    parser.add_argument("--repos", type=int, default=0, help="random repositories")
    parser.add_argument("--escapes", type=int, default=0, help="trees with links out of them")
    parser.add_argument("--swaps", type=int, default=0, help="writes while a folder turns into a link and back")
    chosen = parser.parse_args()
    if not any(value for name, value in vars(chosen).items() if name not in ("seed", "rounds")):
        parser.error("name at least one figure")
    figures: dict[str, Callable[[], tuple[int, list[str], *tuple[str, ...]]]] = {
        "calls": every_call,
        "careless": every_call_of_a_careless_writer,
        "kills": lambda: kills(chosen.kills, chosen.seed),
        "race": lambda: races(chosen.race, chosen.rounds),
        "repos": lambda: repositories(chosen.repos, chosen.seed),
        "escapes": lambda: escapes(chosen.escapes, chosen.seed),
        "swaps": lambda: swaps(chosen.swaps),
    }
    failures = 0
    for name, figure in figures.items():
        if getattr(chosen, name):
            count, wrong, *notes = figure()
            failures += len(wrong)
            note = f" ({notes[0]})" if notes else ""
            sys.stdout.write(f"{name}: seed {chosen.seed}, count {count}, failures {len(wrong)}{note}\n")
            sys.stdout.writelines(f"  {what}\n" for what in wrong[:20])
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
