"""Our engine without HTTP and Ray: tokens per second, and where its thread's time goes.

python -m benchmarks.servers.engine FOLDER PROMPTS [--profile]     with serving/ on PYTHONPATH
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import os
import pstats
import sys
import time
from pathlib import Path
from typing import Any

from text_generation.engine import Engine, Limits, Request
from text_generation.loading import load
from text_generation.settings import Settings
from tokenizers import Tokenizer

TOKENS, LINES = 32, 35


async def round_of(engine: Engine, prompts: list[tuple[int, ...]], clients: int, requests: int) -> float:
    """Tokens per second of a closed loop."""
    numbers = iter(range(requests))

    async def client() -> None:
        for number in numbers:
            request = Request(prompts[number % len(prompts)], TOKENS, every=TOKENS)
            async with engine.generate(request) as answer:
                async for _ in answer:
                    pass

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return requests * TOKENS / (time.perf_counter() - begun)


def profiled(kind: Any) -> cProfile.Profile:
    """Lets the engine's thread run under a profiler; it tells after the engine is closed."""
    profiler, work = cProfile.Profile(), kind._work
    kind._work = lambda self: profiler.runcall(work, self)
    return profiler


def main() -> None:
    folder, listed, *more = sys.argv[1:]
    profiler = profiled(Engine) if "--profile" in more else None
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    prompts = [tuple(tokenizer.encode(prompt).ids) for prompt in json.loads(Path(listed).read_text())["same"]]
    model = load(Settings.read({**os.environ, "MODEL_ID": folder}))
    engine = Engine(model, Limits(32, 64, 16_384, 2048))
    for clients in (1, 8, 32):
        asyncio.run(round_of(engine, prompts, clients, clients))
        rates = [asyncio.run(round_of(engine, prompts, clients, max(4, 4 * clients))) for _ in range(3)]
        print(f"{clients:>3} clients: {' '.join(f'{rate:.0f}' for rate in rates)} tokens/s", flush=True)
    engine.close()
    if profiler:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(LINES)


if __name__ == "__main__":
    main()
