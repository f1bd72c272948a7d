"""Runs commands and tells what they cost: wall and CPU seconds, memory, disk. Servers that end with the benchmark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LIMIT = 600  # seconds; nothing here takes as long

# Starts the commands that are to run side by side and waits for all. A process of its own, so that the peak memory of a
# child does not begin with that of a large parent.
_LAUNCHER = """
import json, os, subprocess, sys, time
commands = json.loads(sys.argv[1])
start = time.perf_counter()
running = {}
left, cpu, memory = list(commands), 0.0, []
while left or running:
    while left and len(running) < 4:
        said = open(os.environ["ERRORS"], "ab")
        process = subprocess.Popen(left.pop(0), stdout=said, stderr=said)
        running[process.pid] = process
    pid, status, usage = os.wait4(-1, 0)
    running.pop(pid)
    if os.waitstatus_to_exitcode(status):
        sys.exit("exit status %d" % os.waitstatus_to_exitcode(status))
    cpu += usage.ru_utime + usage.ru_stime
    memory.append(usage.ru_maxrss / 1024)
print(json.dumps([time.perf_counter() - start, cpu, sum(sorted(memory)[-4:])]))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds; MiB. `memory`: of the process, summed where several run side by side. `server`: CPU of the S3 server."""

    wall: float
    cpu: float
    memory: float
    disk: float = 0.0
    server: float = 0.0


def measure(steps: Sequence[Sequence[Sequence[str]]], env: Mapping[str, str], work: Path) -> Cost:
    """`steps` one after the other, the commands of one step side by side, at most four.

    Disk is what they leave in `work`.
    """
    wall = cpu = memory = 0.0
    for step in steps:
        done = _launched(step, env, work)
        wall, cpu, memory = wall + done[0], cpu + done[1], max(memory, done[2])
    return Cost(wall, cpu, memory, size_of(work) / 2**20)


def _launched(step: Sequence[Sequence[str]], env: Mapping[str, str], work: Path) -> tuple[float, float, float]:
    errors = work.with_name(work.name + ".errors")
    errors.unlink(missing_ok=True)
    command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, json.dumps(step)]
    inner = {"PATH": os.environ["PATH"], "HOME": str(work), "TMPDIR": str(work), "ERRORS": str(errors), **env}
    done = subprocess.run(command, env=inner, cwd=work, capture_output=True, text=True, timeout=LIMIT)
    if done.returncode:
        said = errors.read_text(errors="replace")[-2000:] if errors.exists() else ""
        raise RuntimeError(f"{step[0]}: {done.stderr}{said}")
    wall, cpu, memory = json.loads(done.stdout)
    return wall, cpu, memory


def size_of(folder: Path) -> int:
    """Bytes on disk of everything below; sparse files count what they take."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def cpu_of(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def server(module: str, *arguments: str) -> Iterator[Mapping[str, Any]]:
    """A server of `benchmarks.servers`: the addresses that it tells, and its `pid`."""
    command = [sys.executable, "-m", f"benchmarks.servers.{module}", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield {**json.loads(process.stdout.readline()), "pid": process.pid}
    finally:
        process.kill()
        process.wait()


def peer(name: str) -> str:
    """A program of `benchmarks/peers.txt`, from an environment of its own that is made on first use."""
    home = ROOT / ".cache" / "peers"
    wanted = (ROOT / "benchmarks/peers.txt").read_text()
    stamp = home / "installed.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        pip = [str(home / "bin/pip"), "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(ROOT / "benchmarks/peers.txt")], check=True)
        stamp.write_text(wanted)
    return str(home / "bin" / name)
