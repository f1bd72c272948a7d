"""What operators do while requests are answered: another revision of the model, fewer replicas, a node that ends."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from random import Random

from tests.faults.serving_cluster import fetch, wait_for
from tests.faults.serving_kills import pods
from tests.faults.serving_load import AT_ONCE, OK, Background, Measured, Official, Outcome, told
from tests.faults.serving_scene import MODEL, REPLICAS, ROUTE, Scene
from tests.standins.serving_service import Service

CLIENTS = 4
TOKENS = (8, 64, 256)
STREAMS = 0.4  # of the requests
NODES = 10  # of so many drains, one is that of a whole node
PROBE = {"prompt": "the model is", "max_tokens": 16}


def swaps(scene: Scene, count: int, seed: int) -> Measured:
    """The revision of the model changes back and forth; counts changes."""
    found, seconds = Measured(), []
    said = [_said(scene), ""]
    with Service(pods(scene)) as service, _load(service, f"swaps {seed}") as load:
        for number in range(1, count + 1):
            seconds.append(scene.revise(scene.models[number % 2]))
            found.count += 1
            now = _said(scene)
            said[number % 2] = said[number % 2] or now
            if now != said[number % 2] or said[0] == said[1]:
                found.wrong.append(f"change {number}: what answers is not the revision that was deployed")
    _judge(found, load.outcomes)
    found.figures["slowest change s"] = round(max(seconds), 1)
    return found


def drains(scene: Scene, count: int, seed: int) -> Measured:
    """A replica less, and back; each tenth time a node that gets SIGTERM, and back; counts both."""
    found, dice = Measured(), Random(f"drains {seed}")
    seconds: dict[str, list[float]] = {"replica": [], "node": []}
    with Service(pods(scene)) as service, _load(service, f"drains {seed}") as load:
        for number in range(1, count + 1):
            time.sleep(dice.uniform(0, 1))
            kind = "node" if number % NODES == 0 or 1 < number == count < NODES else "replica"
            seconds[kind].append(_node_ends(scene, service) if kind == "node" else _one_less(scene))
            found.notes[kind] += 1
            found.count += 1
    # A pod that ends closes its connections, and who has just begun to write on one has to try again.
    _judge(found, load.outcomes, ("reset" + AT_ONCE, "refused" + AT_ONCE))
    found.figures |= {f"{kind} gone after s": round(max(took, default=0), 1) for kind, took in seconds.items()}
    return found


def _one_less(scene: Scene) -> float:
    began = time.monotonic()
    scene.deploy(num_replicas=REPLICAS - 1)
    wait_for(lambda: len(scene.replicas()) == REPLICAS - 1, "a replica less")
    took = time.monotonic() - began
    scene.deploy(num_replicas=REPLICAS)
    scene.settle()
    return took


def _node_ends(scene: Scene, service: Service) -> float:
    """As Kubernetes does it: no new connections for the pod, and SIGTERM to it."""
    head, worker = scene.cluster.nodes
    service.replace([("127.0.0.1", head.http)])
    began = time.monotonic()
    worker.process.terminate()
    wait_for(lambda: worker.process.poll() is not None, "the end of the node")
    took = time.monotonic() - began
    scene.cluster.add()
    scene.settle()
    service.replace(pods(scene))
    wait_for(lambda: len(service.ready) == len(scene.cluster.nodes), "probes of both proxies")
    return took


def _load(service: Service, seed: str) -> Background:
    return Background(Official(f"{service.url}{ROUTE}", MODEL, tokens=TOKENS, streams=STREAMS), CLIENTS, seed)


def _said(scene: Scene) -> str:
    """The greedy answer tells the revisions apart."""
    status, body = fetch(f"{scene.cluster.nodes[0].proxy}{ROUTE}", PROBE)
    assert status == 200, body
    return str(json.loads(body)["text"])


def _judge(found: Measured, outcomes: Sequence[Outcome], spared: Sequence[str] = ()) -> None:
    """Nothing was killed: no attempt may fail, but in the ways that are `spared` and are tried again."""
    found.figures = told(outcomes)
    found.notes += Counter(outcome.kind for outcome in outcomes)
    bad = [each for each in outcomes if each.kind != OK or not {*each.tries} <= {OK, *spared}]
    kinds = Counter((each.kind, each.tries, "stream" if each.streamed else "", each.detail) for each in bad)
    found.wrong += [f"{number} requests: {what}" for what, number in kinds.most_common()]
