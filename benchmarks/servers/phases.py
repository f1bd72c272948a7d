"""A fresh process that loads a model and gives its first token, and when it had come how far.

    python -m benchmarks.servers.phases handwritten|ours FOLDER PROMPT

Prints JSON: `marks`, seconds since the process was started by the kernel; `parts`, seconds of what lies between them
and may overlap. Both import what their application imports, Ray Serve included. `ours` needs serving/ on PYTHONPATH.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def since_start() -> float:
    """Seconds since the kernel started this process (to a hundredth)."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


Marks = dict[str, float]


def handwritten(folder: str, prompt: str, marks: Marks) -> Mapping[str, float]:
    """The lines of servers/handwritten/naive.py."""
    import fastapi  # noqa: F401
    from ray import serve  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer

    marks["imported"] = since_start()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    marks["loaded"] = since_start()
    model.generate(**tokenizer(prompt, return_tensors="pt"), max_new_tokens=1, do_sample=False)  # type: ignore[misc]
    return {}


def ours(folder: str, prompt: str, marks: Marks) -> Mapping[str, float]:
    """What a replica does, without Ray around it."""
    import asyncio

    import text_generation.app  # noqa: F401

    marks["imported"] = since_start()
    os.environ["MODEL_ID"] = folder
    from text_generation.engine import Engine, Limits, Request
    from text_generation.loading import load
    from text_generation.settings import Settings
    from tokenizers import Tokenizer

    settings = Settings.read(os.environ)
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    model = load(settings)
    engine = Engine(model, Limits(settings.slots, settings.queue, 4096, 2048))
    marks["loaded"] = since_start()

    async def first() -> None:
        async with engine.generate(Request(tuple(tokenizer.encode(prompt).ids), 1)) as answer:
            async for _ in answer:
                pass

    asyncio.run(first())
    engine.close()
    return model.seconds


def main() -> None:
    marks: Marks = {"interpreter": since_start()}
    kinds: dict[str, Callable[[str, str, Marks], Mapping[str, float]]] = {"handwritten": handwritten, "ours": ours}
    parts = kinds[sys.argv[1]](sys.argv[2], sys.argv[3], marks)
    marks["first token"] = since_start()
    found: dict[str, Any] = {"marks": marks, "parts": dict(parts)}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
