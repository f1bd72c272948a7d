"""Replicas and proxies that are killed under load."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from random import Random

from tests.faults.serving_cluster import Node, wait_for
from tests.faults.serving_load import CUT, HANG, OK, Background, Measured, Official, told
from tests.faults.serving_scene import MODEL, PROXY, REPLICA, ROUTE, Scene
from tests.standins.serving_service import Address, Service

CLIENTS = 4
TOKENS = (8, 32, 128)
STREAMS = 0.2  # of the requests
ANSWERED = 99.9  # per cent (promise S1)


def pods(scene: Scene) -> list[Address]:
    """What stands behind the Service."""
    return [("127.0.0.1", node.http) for node in scene.cluster.nodes]


def kills(scene: Scene, count: int, seed: int) -> Measured:
    """Kills one of the two replicas or of the two proxies, waits until it is replaced, and so on; counts kills."""
    found, dice = Measured(), Random(f"kills {seed}")
    back: dict[str, list[float]] = {"replica": [], "proxy": []}
    with Service(pods(scene)) as service:
        work = Official(f"{service.url}{ROUTE}", MODEL, tokens=TOKENS, streams=STREAMS)
        with Background(work, CLIENTS, f"kills {seed}") as load:
            for number in range(count):
                wait_for(lambda: len(service.ready) == len(scene.cluster.nodes), "probes of both proxies")
                time.sleep(dice.uniform(0, 1))
                kind, seconds = _kill(scene, dice.choice(("replica", "proxy")), dice)
                back[kind].append(seconds)
                found.notes[kind] += 1
                found.count = number + 1
            time.sleep(2)
    found.figures = told(load.outcomes) | {
        f"{kind} back after s": round(max(seconds, default=0), 1) for kind, seconds in back.items()
    }
    found.notes += Counter(outcome.kind for outcome in load.outcomes)
    _judge(found, load)
    return found


def _kill(scene: Scene, kind: str, dice: Random) -> tuple[str, float]:
    """What was killed, and the seconds until everything was whole again."""
    node: Node = dice.choice([node for node in scene.cluster.nodes if node.pids(REPLICA)])
    pid = dice.choice(node.pids(REPLICA)) if kind == "replica" else dice.choice(scene.cluster.pids(PROXY))
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pid not in [replica.pid for replica in scene.replicas()], "Serve's notice of the kill")
    scene.settle()
    return kind, time.monotonic() - began


def _judge(found: Measured, load: Background) -> None:
    bad = [outcome for outcome in load.outcomes if outcome.kind != OK]
    hangs = [outcome for outcome in bad if outcome.kind == HANG]
    found.wrong += [f"a request hangs, its tries: {outcome.tries}" for outcome in hangs]
    if found.figures["answered %"] < ANSWERED:
        kinds = Counter((outcome.kind, outcome.tries, outcome.detail) for outcome in bad if not outcome.streamed)
        found.wrong.append(f"{found.figures['answered %']} % answered: {kinds.most_common(5)}")
    lies = [outcome for outcome in bad if outcome.streamed and outcome.kind not in (CUT, HANG)]
    found.wrong += [f"a stream: {outcome.kind}, {outcome.tries}, {outcome.detail}" for outcome in lies[:5]]
