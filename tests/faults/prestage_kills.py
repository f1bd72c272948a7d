"""Runs that are killed, told to end, or race each other."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from signal import SIGKILL, SIGTERM

from generator.prestage.exits import PrestageExit
from tests.faults.prestage_scenes import MIB, PATIENCE, Model, Trial, World, at_rest, at_the_end, finished, model
from tests.faults.prestage_sections import Found
from tests.standins.faultplan import FaultPlan
from tests.standins.hubfaults import FAULTS as HUB_KINDS
from tests.standins.hubfaults import HubFaults
from tests.standins.loopback import Asked, Reply
from tests.standins.s3faults import FAULTS as S3_KINDS
from tests.standins.s3faults import S3Faults
from tests.standins.s3proxy import Change, S3Proxy, S3Request

TUNED = ("note each part",)
# Files of one part, two and more, and one that ends with a whole part (6 MiB).
SHAPES = ((13 * MIB + 7, 300_000), (9 * MIB, 6 * MIB), (18 * MIB, 6 * MIB + 1))
REQUESTS = 25  # about what an undisturbed run sends to S3, and to the Hub
SECONDS_PER_MIB, SECONDS = 0.04, 0.4  # of a run here, about
GRACE = 10.0  # seconds that a run has after SIGTERM (promise P12)


def _duration(made: Model) -> float:
    return SECONDS + SECONDS_PER_MIB * sum(map(len, made.files.values())) / MIB


@dataclass
class Trap:
    """Kills the newest client of the trial at a request, before or after it was served."""

    trial: Trial
    left: int = 0
    drop: str = "before"
    _set: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lay(self, at: int, drop: str) -> None:
        """At the `at`th request from now on, once the client is known."""
        self.left, self.drop = at, drop
        self._set.clear()

    def armed(self) -> None:
        self._set.set()

    def _springs(self) -> bool:
        with self._lock:
            self.left -= 1
            springs = self.left == 0
        if springs:
            self._set.wait()
            self.trial.clients[-1].send(SIGKILL)
        return springs

    def at_s3(self, asked: S3Request, length: int) -> Change | None:
        return Change(drop=self.drop) if self._springs() else None

    def at_hub(self, asked: Asked) -> Reply | None:
        return Reply(reset=True) if self._springs() else None


def kills(world: World, name: str, number: int, dice: random.Random, *, broken: Sequence[str] = ()) -> Found:
    """One model, a few kills, the invariant after each, then a run to the end; counts kills."""
    found = Found()
    with world.trial(name) as trial:
        trial.altered = (*TUNED, *broken)
        made = model(trial.hub, "org/m", dice.choice(SHAPES), dice)
        traps = Trap(trial), Trap(trial)
        trial.hub.intercept = traps[1].at_hub
        with S3Proxy(world.url, traps[0].at_s3) as proxy:
            for _ in range(dice.randint(3, 6)):
                when, status = _killed(trial.through(proxy.url), made, traps, dice)
                if status == 0:
                    break  # it was done before
                found.count += 1
                found.notes[when] += 1
                ended = [] if status == -SIGKILL else [f"ended with {status}: {trial.clients[-1].said()[-600:]}"]
                found.wrong += [f"kill {found.count}, {when}: {what}" for what in (*ended, *at_rest(trial, made))]
        trial.hub.intercept = lambda asked: None
        found.wrong += finished(trial.through(""), made)
    return found


def _killed(trial: Trial, made: Model, traps: tuple[Trap, Trap], dice: random.Random) -> tuple[str, int | None]:
    """Where a kill was meant to strike, and how the client ended."""
    plan, when = made.plan(listed=dice.random() < 0.7), dice.choice(("time", "time", "S3", "S3", "Hub"))
    s3, hub = traps
    s3.lay(dice.randint(1, REQUESTS) if when == "S3" else 0, dice.choice(("before", "after")))
    hub.lay(dice.randint(1, REQUESTS) if when == "Hub" else 0, "")
    client = trial.start(plan, "--deadline", str(PATIENCE))
    s3.armed()
    hub.armed()
    if when == "time":
        client.wait(dice.uniform(0, _duration(made)))
        client.send(SIGKILL)
    status = client.wait(PATIENCE + GRACE)
    where = {"time": "at a time", "S3": f"{s3.drop} a request to S3", "Hub": "at a request to the Hub"}
    return where[when], status


def terms(world: World, name: str, number: int, dice: random.Random, *, broken: Sequence[str] = ()) -> Found:
    """SIGTERM at a random moment, of a run that goes well or waits for somebody; counts signals."""
    found = Found(1)
    with world.trial(name) as trial:
        trial.altered = (*TUNED, *broken)
        made = model(trial.hub, "org/m", dice.choice(SHAPES), dice)
        weather = dice.choice(("fair", "fair", "Hub stalls", "Hub refuses", "S3 stalls", "S3 refuses"))
        found.notes[weather] += 1
        plan = FaultPlan(name, 0.3)
        kinds = {"stalls": ("stall", "stall midway"), "refuses": ("503", "SlowDown")}.get(weather.partition(" ")[2], ())
        plan.weights = {kind: 0.0 for kind in (*HUB_KINDS, *S3_KINDS) if kind not in kinds}
        if weather.startswith("Hub"):
            trial.hub.intercept = HubFaults(trial.hub, plan)
        s3 = FaultPlan(name, 0.3, weights=plan.weights) if weather.startswith("S3") else FaultPlan(name, 0.0)
        with S3Proxy(world.url, S3Faults(s3, trial.prefix)) as proxy:
            found.wrong += _terminated(trial.through(proxy.url), made, dice.uniform(0, _duration(made) * 1.2))
        trial.hub.intercept = lambda asked: None
        found.wrong += finished(trial.through(""), made)
    found.wrong = [f"{weather}: {what}" for what in found.wrong]
    return found


def _terminated(trial: Trial, made: Model, after: float) -> list[str]:
    client = trial.start(made.plan(), "--deadline", str(PATIENCE))
    client.wait(after)
    client.send(SIGTERM)
    began = time.monotonic()
    status = client.wait(GRACE)
    took = time.monotonic() - began
    wrong = at_rest(trial, made)
    said = f"after {after:.2f} s, {took:.1f} s later: {client.said()[-600:]}"
    events = client.events()
    if status is None:
        return [f"still there {said}", *wrong]
    if status == PrestageExit.INTERRUPTED:
        told = bool(events) and events[-1]["event"] == "failed" and events[-1]["exit"] == status
        return wrong + ([] if told else [f"no event of its end {said}"])
    early = status == -SIGTERM and not events  # before the program could say what to do about signals
    return wrong if status == 0 or early else [f"ended with {status} {said}", *wrong]


def races(world: World, name: str, number: int, dice: random.Random, *, broken: Sequence[str] = ()) -> Found:
    """2 to 16 runs of one model at once; counts rounds."""
    found = Found(1)
    racers = dice.randint(2, 16)
    found.notes["racers"] += racers
    with world.trial(name) as trial:
        trial.altered = (*TUNED, *broken)
        made = model(trial.hub, "org/m", dice.choice(((8 * MIB, 100_000), (200_000,), (6 * MIB + 1,))), dice)
        for _ in range(racers):
            trial.start(made.plan(), "--deadline", str(PATIENCE))
            time.sleep(dice.choice((0, 0, 0.05, 0.3)))
        statuses = [client.wait(PATIENCE + GRACE) for client in trial.clients]
        for client, status in zip(trial.clients, statuses, strict=True):
            if status != 0:
                found.wrong.append(f"{racers} racers, one ended with {status}: {client.said()[-600:]}")
        if not found.wrong:
            found.wrong += _told(trial, racers)
        found.wrong += at_the_end(trial, made)
    return found


def _told(trial: Trial, racers: int) -> list[str]:
    """Each says that it is done, and all but the one whose manifest it is that another was first."""
    events = [client.events() for client in trial.clients]
    done = sum(told[-1]["event"] == "done" for told in events)
    first = sum(not any(event["event"] == "already" for event in told) for told in events)
    wrong = [] if done == racers else [f"{racers} racers, {done} say that they are done"]
    return wrong + ([] if first == 1 else [f"{racers} racers, {first} do not say that another was first"])
