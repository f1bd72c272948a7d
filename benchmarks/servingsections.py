"""What `benchmarks.serving` measures: rates, equality, answers of mixed lengths, the bound of the cache."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass, replace

from benchmarks.servingfleet import Fleet, Task
from benchmarks.servingmodel import KV_BYTES
from benchmarks.servingpeers import KV_TOKENS
from benchmarks.servingprocesses import resident
from benchmarks.servingreport import (
    BARE,
    CB,
    CB_DEFAULTS,
    NAIVE,
    NAIVE_THREADS,
    OURS,
    SERVE,
    STATIC,
    Row,
    Sample,
    Target,
    compared,
    equal_target,
    equalities,
    rate_targets,
)

TOKENS = 32  # of each answer, where all are of one length
CLIENTS = (1, 8, 32)
SLOW = (NAIVE, NAIVE_THREADS, SERVE)
"""One request at a time, so that 32 clients wait for minutes: one round."""
FAST = (CB, OURS)
SHORTEST, LONGEST = 8, 256  # tokens of mixed answers
SPARE = 128.0  # MiB that a server may take for its work, beside keys and values


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured: rounds, requests of a client in a round of fast servers and of slow ones at 32 clients."""

    rounds: int
    fast: int
    slow: int
    mixed: int  # requests
    defaults: bool  # continuous batching of transformers with its defaults, which takes gigabytes


FULL, QUICK = Extent(3, 5, 2, 96, True), Extent(1, 3, 1, 48, False)


@dataclass(frozen=True, slots=True)
class Findings:
    """Of a section: rows of the table of rates, lines of text, and what was to be reached."""

    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()


def rates(fleet: Fleet, extent: Extent, only: tuple[str, ...] = ()) -> Findings:
    """Answers of one length: all servers in turn, round after round, and `generate` as the limit."""
    task = _task(fleet, "same")
    names = [name for name in (*SLOW, *FAST) if not only or name in only]
    samples: dict[tuple[str, int], list[Sample]] = {}
    for turn in range(extent.rounds):
        for clients in CLIENTS:
            for name in _rotated([*names, *([] if only else [BARE])], turn):
                if turn == 0 or name not in SLOW:
                    taken = _taken(fleet, name, task, clients, extent)
                    samples.setdefault((name, clients), []).append(_told(fleet, name, clients, taken))
    streams = {(n, c): _stream(fleet, n, task, c) for n in names for c in CLIENTS if n in (SERVE, *FAST)}
    memory = {name: _memory(fleet, name) for name, _ in samples}
    rows = tuple(
        Row(fleet.dtype, name, clients, taken, streams.get((name, clients)), memory[name])
        for (name, clients), taken in sorted(samples.items(), key=lambda item: (item[0][1], item[1][0].rate))
    )
    if extent.defaults and not only:
        rows = (*rows, _defaults(fleet, task))
    notes = (f"Ray itself, without replicas: {fleet.ray().overhead():.0f} MiB (proportional share)",)
    targets = [*rate_targets(fleet.dtype, {(row.dtype, row.server, row.clients): row for row in rows})]
    mine = [row.equality for row in rows if row.server == OURS]
    batched = [row.equality for row in rows if (row.server, row.clients) == (BARE, 32)]
    if batched:
        ours = sum(same for same, _ in mine), sum(of for _, of in mine)
        targets.append(equal_target(fleet.dtype, "prompts of 17 tokens", ours, batched[0]))
    return Findings(rows, notes, tuple(targets))


def _task(fleet: Fleet, kind: str) -> Task:
    """With the answers of unbatched `generate`."""
    prompts = fleet.prompts(kind)
    tokens = [TOKENS] * len(prompts)
    print(f"  unbatched generate: {kind} prompts ({fleet.dtype})", file=sys.stderr, flush=True)
    return Task(prompts, tokens, fleet.bare().generate(prompts, tokens, 1)["texts"])


def _rotated(names: list[str], turn: int) -> list[str]:
    """Another one is the first in each round."""
    return [*names[turn % len(names) :], *names[: turn % len(names)]]


def _taken(fleet: Fleet, name: str, task: Task, clients: int, extent: Extent) -> Sample:
    if name == BARE:
        return _bare(fleet, task.cycled(max(3, min(2 * clients, 64))), clients)
    each = extent.fast if name in FAST else extent.slow
    return fleet.asked(name, task.cycled(max(3, each * clients)), clients)


def _bare(fleet: Fleet, task: Task, batch: int) -> Sample:
    done = fleet.bare().generate(task.prompts, task.tokens, batch)
    assert task.wanted is not None
    equality = compared(done["texts"], task.wanted)
    tokens = sum(task.tokens)
    return Sample(tokens, done["seconds"], done["cpu"], 0.0, (), (), *equality)


def _told(fleet: Fleet, name: str, clients: int, sample: Sample) -> Sample:
    print(f"  {fleet.dtype} {clients:>2} {name}: {sample.rate:.0f} tokens/s", file=sys.stderr, flush=True)
    return sample


def _stream(fleet: Fleet, name: str, task: Task, clients: int) -> Sample:
    """Time to the first text is only seen by those who read along."""
    count = clients if name in SLOW else max(3, 2 * clients)
    return _told(fleet, f"{name}, streaming", clients, fleet.asked(name, task.cycled(count), clients, stream=True))


def _memory(fleet: Fleet, name: str) -> float:
    return fleet.bare().memory()[0] if name == BARE else resident(fleet.server(name).holder())[0]


def _defaults(fleet: Fleet, task: Task) -> Row:
    """In a fleet of its own, so that its memory is given back."""
    with fleet.fresh() as own:
        sample = _told(own, CB_DEFAULTS, 32, own.asked(CB_DEFAULTS, task.cycled(96), 32))
        return Row(fleet.dtype, CB_DEFAULTS, 32, [sample], None, resident(own.server(CB_DEFAULTS).holder())[0])


def equal(fleet: Fleet, _: Extent) -> Findings:
    """Prompts of 2 to 200 tokens, all in work at once: the text of unbatched `generate`?"""
    task = _task(fleet, "mixed")
    found = {f"{BARE}, batch of {batch}": _bare(fleet, task, batch) for batch in (8, 32)}
    found |= {name: fleet.asked(name, task, 32) for name in FAST}
    pairs = [(each.equal, each.compared) for each in (found[OURS], found[f"{BARE}, batch of 32"])]
    target = equal_target(fleet.dtype, "prompts of 2 to 200 tokens", *pairs)
    return Findings((), (equalities(found),), (target,))


def mixed(fleet: Fleet, extent: Extent) -> Findings:
    """Answers of 8 to 256 tokens at 32 clients: who is done makes room for the next?"""
    chance = random.Random(1)
    tokens = [chance.randint(SHORTEST, LONGEST) for _ in range(extent.mixed)]
    task = replace(Task(fleet.prompts("mixed"), [TOKENS] * 64).cycled(extent.mixed), tokens=tokens)
    before = _memory(fleet, OURS)
    samples: dict[str, list[Sample]] = {}
    for turn in range(extent.rounds):
        for name in (STATIC, CB, OURS):
            if turn == 0 or name != STATIC:
                taken = fleet.asked(name, task, 32)
                samples.setdefault(name, []).append(_told(fleet, f"{name}, mixed", 32, taken))
    grown = _memory(fleet, OURS) - before
    rows = tuple(Row(fleet.dtype, name, 32, taken, None, _memory(fleet, name)) for name, taken in samples.items())
    mine = next(row for row in rows if row.server == OURS)
    bound = KV_BYTES[fleet.dtype] * KV_TOKENS / 2**20
    targets = [
        Target(f"{fleet.dtype}, answers of 8 to 256 tokens: tokens/s over {row.server}", mine.rate / row.rate, goal)
        for row, goal in ((row, {STATIC: 2.0, CB: 1.0}[row.server]) for row in rows if row.server != OURS)
    ]
    name = f"{fleet.dtype}: MiB more under load, keys and values bounded to {bound:.0f} MiB"
    return Findings(rows, (), (*targets, Target(name, grown, bound + SPARE, False)))
