"""From the start of a process to its first answer: ours beside the hand-written application, alone and within Ray."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from benchmarks import servingpeers as peers
from benchmarks.processes import LIMIT
from benchmarks.servingfleet import Fleet, Task, load
from benchmarks.servingpeers import App, Ray
from benchmarks.servingprocesses import environment, wait
from benchmarks.servingreport import NAIVE_THREADS, OURS, Target, markdown
from benchmarks.servingsections import Findings

Marks = Mapping[str, float]
ALONE = ("interpreter", "imported", "loaded", "first token")
WITHIN = ("running", "first answer")


def startup(fleet: Fleet, rounds: int) -> Findings:
    """Each in turn, round after round; files are in the page cache for everyone."""
    alone: dict[str, list[Marks]] = {NAIVE_THREADS: [], OURS: []}
    parts: list[Marks] = []
    for _ in range(rounds):
        for name, kind in ((NAIVE_THREADS, "handwritten"), (OURS, "ours")):
            marks, inner = fresh(fleet, kind)
            alone[name].append(marks)
            parts += [inner] if inner else []
            print(f"  {name}, alone: first token after {marks['first token']:.2f} s", file=sys.stderr, flush=True)
    within = _within(fleet, rounds)
    split = ", ".join(f"{name} {seconds:.2f}" for name, seconds in medians(parts).items())
    notes = [
        "Seconds since the process was started, medians; alone, without Ray around it:\n",
        _table(ALONE, alone),
        f"Of these, ours, which overlap: {split}.",
        "Within Ray, seconds since the Serve config was put, on a head that has its proxy:\n",
        _table(WITHIN, within),
    ]
    mine, theirs = (_last(alone[name], ALONE) for name in (OURS, NAIVE_THREADS))
    mine_within, theirs_within = (_last(within[name], WITHIN) for name in (OURS, NAIVE_THREADS))
    targets = (
        Target("start to first token, alone: over the hand-written one", mine / theirs, 1.0, False),
        Target(
            "config to first answer, within Ray: over the hand-written one", mine_within / theirs_within, 1.0, False
        ),
    )
    return Findings((), tuple(notes), targets)


def medians(marks: list[Marks]) -> Marks:
    """Of each mark."""
    return {name: statistics.median(each[name] for each in marks) for name in (marks[0] if marks else ())}


def _last(marks: list[Marks], names: tuple[str, ...]) -> float:
    return medians(marks)[names[-1]]


def _table(names: tuple[str, ...], found: Mapping[str, list[Marks]]) -> str:
    rows = [[name, *(f"{medians(marks)[each]:.2f}" for each in names)] for name, marks in found.items()]
    return markdown(("", *names), rows)


def fresh(fleet: Fleet, kind: str) -> tuple[Marks, Marks]:
    """Marks and parts of a process of benchmarks.servers.phases."""
    env = environment(fleet.threads)
    env["PYTHONPATH"] = os.pathsep.join([env["PYTHONPATH"], str(fleet.serving)])
    prompt = fleet.prompts("same")[0]
    command = [sys.executable, "-m", "benchmarks.servers.phases", kind, str(fleet.model), prompt]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LIMIT)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr[-3000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return found["marks"], found["parts"]


def _within(fleet: Fleet, rounds: int) -> dict[str, list[Marks]]:
    """One application at a time on a head that has its proxy already."""
    makes: dict[str, Callable[[], App]] = {
        NAIVE_THREADS: lambda: peers.handwritten("start", "naive", fleet.model, fleet.work, fleet.threads),
        OURS: lambda: peers.ours("start", fleet.model, fleet.work, fleet.threads, serving=fleet.serving),
    }
    found: dict[str, list[Marks]] = {name: [] for name in makes}
    ray = fleet.ray()
    deployed(ray, fleet, makes[NAIVE_THREADS]())  # starts controller and proxy
    for _ in range(rounds):
        for name, make in makes.items():
            marks = deployed(ray, fleet, make())
            found[name].append(marks)
            print(f"  {name}, in Ray: first answer after {marks['first answer']:.2f} s", file=sys.stderr, flush=True)
    return found


def deployed(ray: Ray, fleet: Fleet, app: App) -> Marks:
    """Puts the application alone, asks it once, and takes it down."""
    begun = time.monotonic()
    ray.put([app])
    server = ray.running(app)
    running = time.monotonic() - begun
    load(server, Task(fleet.prompts("same")[:1], [1]), 1)
    answered = time.monotonic() - begun
    ray.put([])
    wait(lambda: not ray.status(app.name), f"the end of {app.name}")
    return {"running": running, "first answer": answered}
