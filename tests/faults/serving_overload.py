"""Ten times more requests than can be answered."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

from tests.faults.serving_cluster import resident
from tests.faults.serving_lines import ask, prompt
from tests.faults.serving_load import OK, PROMPTS, TOLD, Measured, Outcome, percentile
from tests.faults.serving_scene import PROXY, REPLICA, REPLICAS, ROUTE, SLOTS, Scene

FACTOR = 10  # times the capacity
TOKENS = (600, 2000)  # of an answer, in a quick look and in 50 s and more: the model is to be scarce, not the proxies
WARMING = 0.2  # of the time, until all queues are full
PEAK = 12.0  # seconds at most in which the peak is measured; a quick look has less
DEADLINE = 120.0  # seconds that an answer may take that was taken
REJECTION, GOODPUT = 0.1, 0.9  # seconds at p99; share of the peak (promise S3)
GROWTH = 64 * 2**20  # bytes that all processes together may grow by, once the overload has come up


def overload(scene: Scene, seconds: int, seed: int) -> Measured:
    """`seconds` of requests that come at their times, whatever becomes of those before; counts them."""
    found, dice = Measured(), Random(f"overload {seed}")
    urls = [f"{node.proxy}{ROUTE}" for node in scene.cluster.nodes]
    tokens = min(max(TOKENS[0], 40 * seconds), TOKENS[1])
    peak = asyncio.run(_peak(urls, tokens, min(PEAK, seconds)))
    scales = _Scales(scene)
    with scales:
        outcomes, began, lag = asyncio.run(_flood(urls, tokens, peak * FACTOR, seconds, dice))
    in_time = [each for each in outcomes if each.kind == OK and each.began + each.seconds < began + seconds]
    warm = seconds * WARMING
    good = len([each for each in in_time if each.began + each.seconds > began + warm]) / (seconds - warm)
    rejected = [each.seconds for each in outcomes if each.kind == TOLD]
    found.count = len(outcomes)
    found.notes = Counter(outcome.kind for outcome in outcomes)
    found.figures = {
        "peak requests/s": round(peak, 2),
        "offered requests/s": round(len(outcomes) / seconds, 1),
        "good requests/s": round(good, 2),
        "good-put % of the peak": round(100 * good / peak, 1),
        "rejections": len(rejected),
        "rejection p50 ms": round(1000 * percentile(rejected, 0.5), 1),
        "rejection p99 ms": round(1000 * percentile(rejected, 0.99), 1),
        "generator's own lag p99 ms": round(1000 * percentile(lag, 0.99), 1),
        "MiB at the end, and before": [round(scales.last / 2**20), round(scales.first / 2**20)],
        "MiB grown": round(scales.grown / 2**20),
    }
    odd = Counter((each.kind, each.detail) for each in outcomes if each.kind not in (OK, TOLD))
    found.wrong = [f"{number} requests: {what}" for what, number in odd.most_common(10)]
    found.wrong += [] if rejected else ["nothing was rejected"]
    found.missed = list(_missed(percentile(rejected, 0.99), good / peak, scales.grown))
    return found


def _missed(slow: float, good: float, grown: float) -> Iterator[str]:
    if slow > REJECTION:
        yield f"rejections take {1000 * slow:.0f} ms at p99"
    if good < GOODPUT:
        yield f"good-put is {100 * good:.0f} % of the peak"
    if grown > GROWTH:
        yield f"memory grows by {grown / 2**20:.0f} MiB"


class _Scales:
    """Memory of replicas and proxies, weighed each second in a thread."""

    def __init__(self, scene: Scene) -> None:
        self._pids = [*scene.cluster.pids(REPLICA), *scene.cluster.pids(PROXY)]
        self._ended = threading.Event()
        self._weights = [resident(self._pids)]
        self._thread = threading.Thread(target=self._weigh)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _weigh(self) -> None:
        while not self._ended.wait(1):
            self._weights.append(resident(self._pids))

    @property
    def first(self) -> int:
        return self._weights[0]

    @property
    def last(self) -> int:
        return self._weights[-1]

    @property
    def grown(self) -> int:
        """From a third of the time on, when all queues are full."""
        return self.last - self._weights[len(self._weights) // 3]


async def _peak(urls: Sequence[str], tokens: int, seconds: float) -> float:
    """Answers a second when every slot is taken and a few requests wait."""
    turn, done = itertools.cycle(urls), []
    begins = time.monotonic() + seconds * WARMING * 2
    ends = begins + seconds

    async def one(number: int) -> None:
        while time.monotonic() < ends:
            done.append(await ask(next(turn), prompt(PROMPTS[number % len(PROMPTS)], tokens), DEADLINE))

    await asyncio.gather(*(one(number) for number in range(REPLICAS * SLOTS * 3 // 2)))
    at = [each.began + each.seconds for each in done if each.kind == OK]
    return sum(begins < moment <= ends for moment in at) / seconds


async def _flood(
    urls: Sequence[str], tokens: int, rate: float, seconds: float, dice: Random
) -> tuple[list[Outcome], float, list[float]]:
    """The requests at `rate` a second, when they began, and by how much each was later than it should have been."""
    turn, lag, tasks = itertools.cycle(urls), [], []
    began = due = time.monotonic()
    while due < began + seconds:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        lag.append(time.monotonic() - due)
        body = prompt(dice.choice(PROMPTS), tokens)
        tasks.append(asyncio.create_task(ask(next(turn), body, DEADLINE, began=time.monotonic())))
        due += dice.expovariate(rate)
    return list(await asyncio.gather(*tasks)), began, lag
