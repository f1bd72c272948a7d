"""Clients that read or write slowly, stop, or leave in the midst."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Sequence
from random import Random

from tests.faults.serving_cluster import Node, fetch
from tests.faults.serving_lines import Line, ask, drop, line, message, prompt, reply
from tests.faults.serving_load import OK, PROMPTS, Measured, Outcome, percentile
from tests.faults.serving_scene import MAX_TOKENS, MODEL, REPLICAS, ROUTE, SLOTS, Scene

LEAVE = ("leaves with FIN", "leaves with RST", "leaves before the first token")
STAY = ("reads slowly", "writes slowly", "stops writing")
AT_ONCE = REPLICAS * SLOTS  # clients
FREE = 5.0  # seconds until everything has to be free again (promise S4)
STALL = (0.5, 3.0)  # seconds that a client stalls
DEADLINE = 60.0
ASKED = 20  # times that the proxies are asked how the replicas are
SHORT = 200  # tokens of an answer that is read slowly: it has to end while it is read
RECEIVE = 4096  # bytes under way to one who does not read
METRICS = 20.0  # seconds until Ray's exporter has to tell what is
BATCH = re.compile(rb"^ray_modelyard_batch_size\{[^}]*\} (\S+)", re.MULTILINE)


def stallers(scene: Scene, count: int, seed: int) -> Measured:
    """Waves of clients that behave badly, and after each wave one look at what is still taken; counts clients."""
    found = Measured()
    frees: list[float] = []
    while found.count < count:
        size = min(AT_ONCE, count - found.count)
        dice = Random(f"stallers {seed} {found.count}")
        kinds = (LEAVE, STAY)[len(frees) % 2]  # apart: while some stay, nobody can say when others are free
        ways = [kinds[each % len(kinds)] for each in range(size)]
        told, held = asyncio.run(_wave(scene.cluster.nodes, ways, dice))
        found.wrong += told
        frees.append(held)
        found.notes.update(ways)
        found.count += size
        if held > FREE:
            found.wrong.append(
                f"after clients {found.count - size} to {found.count}: slots are taken after {FREE:.0f} s"
            )
    if not found.wrong:
        found.wrong += _left(scene)
    found.figures = {
        "free after s, p50": round(percentile(frees, 0.5), 2),
        "free after s, slowest": round(max(frees), 2),
    }
    return found


async def _wave(nodes: Sequence[Node], ways: Sequence[str], dice: Random) -> tuple[list[str], float]:
    """What went wrong, and the seconds after the last client's end until no replica had work."""
    urls = [f"{nodes[number % len(nodes)].proxy}{ROUTE}" for number in range(len(ways))]
    clients = [_client(url, way, Random(dice.random())) for url, way in zip(urls, ways, strict=True)]
    wrong = [fault for fault in await asyncio.gather(*clients) if fault]
    began = time.monotonic()
    while (now := time.monotonic()) - began <= FREE:
        if not any([await _pending(node) for node in nodes for _ in range(ASKED)]):
            return wrong, now - began
        await asyncio.sleep(0.1)
    return wrong, FREE + 1


async def _pending(node: Node) -> int:
    """What the replica says that this proxy asks."""
    url = f"{node.proxy}{ROUTE}/healthz"
    async with asyncio.timeout(DEADLINE), line(url) as (reader, writer):
        writer.write(message(url, b"", "GET"))
        await reply(reader)
        return int(json.loads(await reader.read())["pending"])


async def _client(url: str, way: str, dice: Random) -> str:
    """What the server did wrong to this client."""
    url = f"{url}/v1/completions"
    slow = "slowly" in way or way == "stops writing"
    body = prompt(dice.choice(PROMPTS), SHORT if slow else MAX_TOKENS, model=MODEL, stream=True)
    try:
        async with asyncio.timeout(DEADLINE), line(url, receive=RECEIVE) as (reader, writer):
            if way in ("writes slowly", "stops writing"):
                return await _writes((reader, writer), url, body, dice, ends=way == "writes slowly")
            writer.write(message(url, body))
            if way == "leaves before the first token":
                await asyncio.sleep(dice.uniform(0, 0.05))
                return ""
            return await _reads((reader, writer), way, dice)
    except TimeoutError:
        return f"one who {way} waits for ever"
    except OSError as error:
        return f"one who {way}: {error!r}"


async def _reads(ends: Line, way: str, dice: Random) -> str:
    reader, writer = ends
    status, headers = await reply(reader)
    if status != 200:
        return f"one who {way} gets {status}, {dict(headers)}"
    for _ in range(dice.randint(1, 20)):
        await reader.read(200)
    if way == "leaves with RST":
        drop(writer)
    if way == "reads slowly":
        end = time.monotonic() + dice.uniform(*STALL)
        while time.monotonic() < end:
            await reader.read(20)
            await asyncio.sleep(0.05)
        rest = await reader.read()
        while piece := await reader.read():
            rest += piece
        return "" if b"data: [DONE]" in rest else f"a stream that is read slowly ends with {rest[-200:]!r}"
    return ""


async def _writes(ends_of: Line, url: str, body: bytes, dice: Random, *, ends: bool) -> str:
    """A body that comes byte by byte, or not to its end."""
    reader, writer = ends_of
    parts = message(url, body).removesuffix(body)
    writer.write(parts)
    pause = dice.uniform(*STALL) / len(body)
    for number in range(len(body) if ends else len(body) // 2):
        writer.write(body[number : number + 1])
        await asyncio.sleep(pause)
    if not ends:
        return ""
    status, _ = await reply(reader)
    rest = await reader.read()
    return "" if status == 200 and b"data: [DONE]" in rest else f"one who writes slowly gets {status}: {rest[-200:]!r}"


def _left(scene: Scene) -> list[str]:
    """Whether the metric agrees, and every slot takes a request."""
    end = time.monotonic() + METRICS
    while any(sizes := _batch_sizes(scene)) and time.monotonic() < end:
        time.sleep(1)
    wrong = [f"modelyard_batch_size is {sizes}"] if any(sizes) else []
    answers = asyncio.run(_all_slots(scene))
    return wrong + [f"after all of them: {each.kind} {each.detail}" for each in answers if each.kind != OK]


async def _all_slots(scene: Scene) -> list[Outcome]:
    urls = [f"{node.proxy}{ROUTE}" for node in scene.cluster.nodes]
    bodies = [prompt(PROMPTS[0], SHORT) for _ in range(AT_ONCE)]
    return await asyncio.gather(*(ask(urls[n % len(urls)], body, DEADLINE) for n, body in enumerate(bodies)))


def _batch_sizes(scene: Scene) -> list[float]:
    return [
        float(size)
        for node in scene.cluster.nodes
        for size in BATCH.findall(fetch(f"http://{node.ip}:{node.metrics}/metrics")[1])
    ]
