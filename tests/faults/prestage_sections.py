"""Runs the numbered trials of a section until it has counted enough of what it is about."""

from __future__ import annotations

import random
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field


@dataclass(slots=True)
class Found:
    """What a trial, or all of them, came to: how much it counted, what was wrong, and what happened how often."""

    count: int = 0
    wrong: list[str] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)

    def add(self, other: Found) -> None:
        self.count += other.count
        self.wrong += other.wrong
        self.notes += other.notes


Trial = Callable[[str, int, random.Random], Found]
"""A name that is the trial's own, its number, and its dice."""


def trials(name: str, trial: Trial, count: int, seed: int, *, at_once: int, only: int | None = None) -> Found:
    """Trials 0, 1, 2, … until they have counted `count`, or just number `only`.

    A trial depends on the seed and its number, so it can be run again alone.
    """
    all_found, lock, numbers = Found(), threading.Lock(), iter(range(10**9))

    def one(number: int) -> None:
        dice = random.Random(f"{name} {seed} {number}")
        try:
            found = trial(f"{name}-{seed}-{number}", number, dice)
        except Exception:
            found = Found(1, [f"the trial itself failed: {traceback.format_exc()}"])
        found.wrong = [f"trial {number}: {what}" for what in found.wrong]
        with lock:
            all_found.add(found)

    def work() -> None:
        while True:
            with lock:
                number = None if all_found.count >= count else next(numbers)
            if number is None:
                return
            one(number)

    if only is not None:
        one(only)
        return all_found
    with ThreadPoolExecutor(at_once) as pool:
        for _ in range(at_once):
            pool.submit(work)
    return all_found
