"""Requests that meet faults, on the side of the Hub or of S3, at rates up to one in two."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from generator.prestage.exits import PrestageExit
from tests.faults.prestage_scenes import MIB, TOKEN, Model, Trial, World, at_rest, at_the_end, finished, model
from tests.faults.prestage_sections import Found
from tests.standins.faultplan import FaultPlan, hot_loops
from tests.standins.hubfaults import HubFaults
from tests.standins.s3faults import S3Faults
from tests.standins.s3proxy import S3Proxy

SIZES = (6 * MIB + 70_000, 200_000, 1000)
DEADLINE = 25.0  # seconds for a run
SLACK = 12.0  # seconds that it may take to notice
RARE = {"stall": 0.1, "stall midway": 0.1, "drip": 0.1, "AccessDenied": 0.02, "full": 0.02}
HUB_ENDS = (PrestageExit.DONE, PrestageExit.INTEGRITY, PrestageExit.TRANSIENT)
S3_ENDS = (*HUB_ENDS, PrestageExit.STORAGE)


def hub_faults(world: World, name: str, number: int, dice: random.Random, *, broken: Sequence[str] = ()) -> Found:
    """One run against a Hub in bad weather, with a token; counts faulted requests."""
    plan = FaultPlan(name, _rate(dice), weights=RARE)
    with world.trial(name) as trial:
        trial.altered = ("short stall", "note each part", *broken)
        made = model(trial.hub, "org/m", SIZES, dice, gated="manual")
        trial.hub.intercept = HubFaults(trial.hub, plan)
        found = _run(trial, made, plan, HUB_ENDS, listed=dice.random() < 0.5)
        found.wrong += leaks(trial)
    return found


def s3_faults(world: World, name: str, number: int, dice: random.Random, *, broken: Sequence[str] = ()) -> Found:
    """One run against an S3 in bad weather; counts faulted requests."""
    plan = FaultPlan(name, _rate(dice), weights=RARE)
    with world.trial(name) as trial, S3Proxy(world.url, S3Faults(plan, trial.prefix)) as proxy:
        trial.altered = ("short stall", "note each part", *broken)
        made = model(trial.hub, "org/m", SIZES, dice, gated="manual")
        found = _run(trial.through(proxy.url), made, plan, S3_ENDS, listed=dice.random() < 0.5)
        kept = [request for request in proxy.asked if TOKEN in f"{request.target} {request.headers}"]
        found.wrong += leaks(trial) + [f"the token went to S3: {kept[0].thing}" for _ in kept[:1]]
    return found


def _rate(dice: random.Random) -> float:
    return dice.choice((0.02, 0.1, 0.2, 0.3, 0.4, 0.5))


def _run(trial: Trial, made: Model, plan: FaultPlan, ends: Sequence[int], *, listed: bool) -> Found:
    rate = plan.rate
    client = trial.start(made.plan(listed=listed), "--deadline", str(DEADLINE), token=True)
    status = client.wait(DEADLINE + SLACK)
    took = time.monotonic() - client.began
    found = Found(plan.faults.total(), notes=plan.faults)
    found.notes[f"ended with {status}"] += 1
    found.wrong += list(hot_loops(plan.tried))
    if status is None:
        client.end()
        found.wrong.append(f"still there after {took:.0f} s: {client.said()[-600:]}")
    elif status == PrestageExit.DONE:
        found.wrong += at_rest(trial, made) if _warned(trial) else at_the_end(trial, made)
    else:
        found.wrong += _typed(trial, status, ends) + at_rest(trial, made)
    if status != PrestageExit.DONE or _warned(trial):
        plan.rate = 0.0
        found.wrong += [f"then: {what}" for what in finished(trial, made, token=True)]
    found.wrong = [f"rate {rate}, {what}" for what in found.wrong]
    return found


def _warned(trial: Trial) -> bool:
    """Whether the client said that it could not clear up behind itself; the next run does."""
    return any(event["event"] == "warning" and "leftovers" in event["reason"] for event in trial.clients[0].events())


def _typed(trial: Trial, status: int, ends: Sequence[int]) -> list[str]:
    """What is wrong with how a failure was told."""
    client = trial.clients[-1]
    last = client.events()[-1:]
    if status in ends and last and last[0]["event"] == "failed" and last[0]["exit"] == status and last[0]["reason"]:
        return []
    return [f"ended with {status}: {client.said()[-800:]}"]


def leaks(trial: Trial) -> list[str]:
    """Where the token came to that it must not come to (promise P13)."""
    wrong = ["the token was said"] if TOKEN in trial.said() else []
    elsewhere = [asked for asked in trial.hub.asked if asked.server != "hub"]
    return wrong + [
        f"the token went to the CDN: {asked.target}"
        for asked in elsewhere
        if TOKEN in f"{asked.target} {asked.headers}"
    ]
