"""Bytes, lengths and digests that are not those of the plan: caught, or healed, and never visible."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from generator.prestage.exits import PrestageExit
from tests.faults.prestage_scenes import MANIFEST, MIB, Model, Trial, World, at_rest, at_the_end, model
from tests.faults.prestage_sections import Found
from tests.standins.hub import HubStandIn
from tests.standins.hubfaults import CORRUPTIONS, IN_HEADERS, Swap
from tests.standins.loopback import Asked, Reply

KINDS = (*CORRUPTIONS, "swapped")
SIZES = (6 * MIB + 70_000, 300_000, 300_000)  # two parts; two files that can change places unseen by their size
DEADLINE = 12.0  # seconds for a run
ENDS = (PrestageExit.DONE, PrestageExit.INTEGRITY, PrestageExit.TRANSIENT)
LASTS = (1, 2, 4, 10**9)  # answers that are corrupted


@dataclass
class Corrupted:
    """For `HubStandIn.intercept`: changes the first answers of one file."""

    hub: HubStandIn
    made: Model
    path: str
    kind: str
    left: int
    dice: random.Random

    def __call__(self, asked: Asked) -> Reply | None:
        method = "HEAD" if self.kind in IN_HEADERS else "GET"
        if asked.method != method or not self.left or not self._is_of_the_file(asked):
            return None
        self.left -= 1
        return CORRUPTIONS[self.kind](asked, self.hub.right(asked), self.dice)

    def _is_of_the_file(self, asked: Asked) -> bool:
        digest = self.made.digests[self.path].partition(":")[2]
        return asked.path in (f"/{digest}", f"/{self.made.repo}/resolve/{self.made.commit}/{self.path}")


def corruptions(world: World, name: str, number: int, dice: random.Random, *, broken: Sequence[str] = ()) -> Found:
    """One run, one kind of corruption, in turn; counts runs."""
    kind, found = KINDS[number % len(KINDS)], Found(1)
    with world.trial(name) as trial:
        trial.altered = ("short stall", *broken)
        made = model(trial.hub, "org/m", SIZES, dice)
        trial.hub.intercept, path, lasts = _intercept(trial.hub, made, kind, dice)
        what = f"{kind} of {path}, {f'{lasts} times' if lasts < LASTS[-1] else 'for good'}"
        client = trial.start(made.plan(listed=dice.random() < 0.7), "--deadline", str(DEADLINE))
        status = client.wait(DEADLINE + 15)
        found.notes[f"{kind}: {status}"] += 1
        found.wrong += _judged(trial, made, status) + _named(trial, made, kind, path, lasts, status)
        found.wrong = [f"{what}: {wrong}" for wrong in found.wrong]
    return found


def _intercept(
    hub: HubStandIn, made: Model, kind: str, dice: random.Random
) -> tuple[Callable[[Asked], Reply | None], str, int]:
    """What the Hub does, to which file, how often."""
    if kind == "swapped":
        pair = dice.sample(sorted(made.files), 2) if dice.random() < 0.5 else _twins(made)
        return Swap(hub, made.repo, *pair), " and ".join(pair), LASTS[-1]
    path, lasts = dice.choice(sorted(made.files)), dice.choice(LASTS)
    return Corrupted(hub, made, path, kind, lasts, dice), path, lasts


def _twins(made: Model) -> list[str]:
    return [path for path, content in sorted(made.files.items()) if len(content) == SIZES[-1]]


def _judged(trial: Trial, made: Model, status: int | None) -> list[str]:
    if status == PrestageExit.DONE:
        return at_the_end(trial, made)
    wrong = at_rest(trial, made)
    if MANIFEST in trial.stored():
        wrong.append("it failed, and there is a manifest")
    if status not in ENDS:
        wrong.append(f"ended with {status}: {trial.said()[-600:]}")
    return wrong


def _named(trial: Trial, made: Model, kind: str, path: str, lasts: int, status: int | None) -> list[str]:
    """Where whole wrong files came to the end, both digests are told."""
    if kind != "bit flip" or lasts < LASTS[-1]:
        return []
    last = trial.clients[-1].events()[-1:]
    if status != PrestageExit.INTEGRITY or not last or last[0]["event"] != "failed":
        return [f"wrong bytes for good, and it ended with {status}: {last}"]
    told = last[0]["reason"]
    algorithm, _, digest = made.digests[path].partition(":")
    return [] if digest in told and told.count(f"{algorithm}:") >= 2 else [f"the digests are not named: {told}"]
