"""`benchmarks.serving --only ours`: the engine without HTTP, for those who work on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.processes import LIMIT, ROOT
from benchmarks.servingprocesses import environment


def show(made: Path, threads: int, serving: Path, *, profile: bool) -> None:
    """Prints tokens per second at 1, 8 and 32 clients in both dtypes, and the profile."""
    env = environment(threads)
    env["PYTHONPATH"] = os.pathsep.join([env["PYTHONPATH"], str(serving)])
    for dtype in ("float32", "bfloat16"):
        print(f"\n{dtype}, {threads} threads, 32 tokens an answer", flush=True)
        command = [sys.executable, "-m", "benchmarks.servers.engine", str(made / dtype), str(made / "prompts.json")]
        subprocess.run([*command, *(["--profile"] if profile else [])], env=env, cwd=ROOT, check=True, timeout=LIMIT)
