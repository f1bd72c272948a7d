"""Runs commands and tells what they cost: wall and CPU seconds, memory, disk. Servers that end with the benchmark."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
LIMIT = 600  # seconds; nothing here takes as long
LOOK = 0.1  # seconds between two looks at the disk

# Starts the commands that are to run side by side and waits for all. A process of its own, so that the peak memory of a
# child does not begin with that of a large parent.
_LAUNCHER = """
import json, os, subprocess, sys, time
commands = json.loads(sys.argv[1])
start = time.perf_counter()
running = {}
left, cpu, memory, written = list(commands), 0.0, [], 0
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
    written += usage.ru_oublock / 2048
print(json.dumps([time.perf_counter() - start, cpu, sum(sorted(memory)[-4:]), written]))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds; MiB. `cpu`: of the processes and all that they started and waited for (wait4).

    `memory`: ru_maxrss of wait4, so of the largest process of a tree; summed over the four largest where several run
    side by side. `disk`: the most seen in the folder, ten times a second. `written`: to any disk (ru_oublock), which no
    file escapes that has no name or is elsewhere. `server`: CPU of the S3 server.
    """

    wall: float
    cpu: float
    memory: float
    disk: float = 0.0
    written: float = 0.0
    server: float = 0.0


def measure(steps: Sequence[Sequence[Sequence[str]]], env: Mapping[str, str], work: Path) -> Cost:
    """`steps` one after the other, the commands of one step side by side, at most four, with `work` as their home."""
    wall = cpu = memory = written = 0.0
    with _watched(work) as seen:
        for step in steps:
            done = _launched(step, env, work)
            wall, cpu, memory, written = wall + done[0], cpu + done[1], max(memory, done[2]), written + done[3]
    return Cost(wall, cpu, memory, max(seen) / 2**20, written)


@contextmanager
def _watched(folder: Path) -> Iterator[list[int]]:
    """Bytes on disk below `folder` at each look; the last one is at the end."""
    seen: list[int] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK):
            seen.append(size_of(folder))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
        seen.append(size_of(folder))


def _launched(step: Sequence[Sequence[str]], env: Mapping[str, str], work: Path) -> list[float]:
    errors = work.with_name(work.name + ".errors")
    errors.unlink(missing_ok=True)
    command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, json.dumps(step)]
    inner = {"PATH": os.environ["PATH"], "HOME": str(work), "TMPDIR": str(work), "ERRORS": str(errors), **env}
    with group(command, inner, work, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        printed, complaint = process.communicate(timeout=LIMIT)
    if process.returncode:
        said = errors.read_text(errors="replace")[-2000:] if errors.exists() else ""
        raise RuntimeError(f"{step[0]}: {complaint.decode(errors='replace')}{said}")
    numbers: list[float] = json.loads(printed)
    return numbers


@contextmanager
def group(
    command: Sequence[str], env: Mapping[str, str], work: Path, *, stdout: int | IO[bytes], stderr: int | IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block, and all that it started, by whatever way the block is left."""
    process = subprocess.Popen(command, env=env, cwd=work, stdout=stdout, stderr=stderr, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def size_of(folder: Path) -> int:
    """Bytes on disk of everything below; sparse files count what they take."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # gone since it was listed
                total += (Path(parent) / name).lstat().st_blocks * 512
    return total


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
