"""Which request meets which fault: drawn by a seed, and what came of it written down."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

PATIENCE = 3  # failures in a row after which a thing may be tried once a second
SECOND = 0.98  # two clocks and a busy machine
REDIRECT = "redirect loop"  # the name of this fault
ANEW = "CreateMultipartUpload"
HOP, HOPS = 0.9, 20  # seconds from a redirect to the request that follows it; how many a client may follow


@dataclass(frozen=True, slots=True)
class Tried:
    """One request: what it was for, when it came (time.monotonic()), the fault it met ("" for none)."""

    thing: str
    at: float
    fault: str


@dataclass(slots=True)
class FaultPlan:
    """Meets each request with a fault at `rate` (0 to 1), or the first `first` tries of every thing.

    The draw depends on the seed, the thing and how often it was asked for, not on the order in which threads
    come. `weights` make a kind likelier than 1 or rarer.
    """

    seed: str
    rate: float
    first: int = 0
    weights: dict[str, float] = field(default_factory=dict)
    tried: list[Tried] = field(default_factory=list)
    _times: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def draw(self, thing: str, kinds: Sequence[str]) -> tuple[str, random.Random]:
        """The kind of fault that this request meets, "" for none, and dice for its details."""
        with self._lock:
            number = self._times[thing]
            self._times[thing] += 1
        dice = random.Random(f"{self.seed}|{thing}|{number}")
        weights = [self.weights.get(kind, 1.0) for kind in kinds]
        meets = (number < self.first or dice.random() < self.rate) and sum(weights) > 0
        kind = dice.choices(kinds, weights)[0] if meets else ""
        with self._lock:
            self.tried.append(Tried(thing, time.monotonic(), kind))
        return kind, dice

    @property
    def faults(self) -> Counter[str]:
        """How many requests met each kind."""
        with self._lock:
            return Counter(tried.fault for tried in self.tried if tried.fault)


def hot_loops(tried: Sequence[Tried]) -> Iterator[str]:
    """Things that were tried more than once a second after `PATIENCE` failures in a row.

    To follow a redirect is no new try, unless there is no end to it. To begin a multipart upload once more is
    one, as the upload before has failed.
    """
    by_thing = sorted(tried, key=lambda one: (one.thing, one.at))
    for thing, tries in groupby(by_thing, key=lambda one: one.thing):
        if thing.startswith(ANEW):
            all_tries = list(tries)
            yield from _hot(all_tries)
            yield from _hot(replace(one, fault="failed later") for one in all_tries if not one.fault)
        else:
            yield from _hot(tries)


def _hot(tries: Iterable[Tried]) -> Iterator[str]:
    """The same of one thing; `tries` are in the order of time."""
    row, hops, last = 0, 0, Tried("", 0.0, "")
    for one in tries:
        hops = hops + 1 if last.fault == REDIRECT and one.at - last.at < HOP else 0
        if not 0 < hops <= HOPS:
            if row >= PATIENCE and one.at - last.at < SECOND:
                yield f"{one.thing}: try {row + 1} in a row came {one.at - last.at:.2f} s after a failure"
            row += 1
        row, last = (row if one.fault else 0), one
