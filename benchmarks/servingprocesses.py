"""Processes of servers: what they use, how they are held still and ended; and the least of HTTP to look at them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT, cpu_of

READY = 120.0  # seconds until a server has to answer


def family(root: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # ended meanwhile
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat after the name: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu(root: int) -> float:
    """CPU seconds so far of all that live below `root`."""
    total = 0.0
    for pid in family(root):
        with suppress(OSError):
            total += cpu_of(pid)
    return total


def resident(pid: int) -> tuple[float, float]:
    """MiB of a process now, and at its peak."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines if line.startswith(("VmRSS", "VmHWM")))
    return int(values["VmRSS"].split()[0]) / 1024, int(values["VmHWM"].split()[0]) / 1024


def proportional(pids: Sequence[int]) -> float:
    """MiB of several processes; pages that they share count once."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def busy() -> float:
    """CPU seconds of the whole machine so far, of all its processes."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _, _, interrupts, soft = map(int, fields[:7])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def send(root: int, number: signal.Signals) -> None:
    """A signal for `root` and all below it."""
    for pid in family(root):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@contextmanager
def awake(root: int) -> Iterator[None]:
    """All servers but one are held still: what they do while nobody asks would be taken from the one that is asked."""
    send(root, signal.SIGCONT)
    try:
        yield
    finally:
        send(root, signal.SIGSTOP)


@contextmanager
def started(
    command: Sequence[str], env: Mapping[str, str], log: Path, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block, with all that descend from it."""
    with log.open("ab") as file:
        process = subprocess.Popen(command, env=env, stderr=file, start_new_session=True, text=True, **options)
    try:
        yield process
    finally:
        send(process.pid, signal.SIGKILL)
        process.wait()


def environment(threads: int) -> dict[str, str]:
    """No network, and as many threads as everybody has."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "HF_", "OMP_"))}
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONPATH": str(ROOT)}
    return {**mine, **quiet, "OMP_NUM_THREADS": str(threads)}


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def ask(url: str, body: object = None, method: str | None = None) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=READY) as answer:  # noqa: S310 - our own servers
            text = answer.read()
            return answer.status, json.loads(text) if text.strip() else None
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")


def wait(ready: Callable[[], bool], what: str, seconds: float = READY) -> None:
    """Raises RuntimeError when `ready` has not come true in time."""
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            raise RuntimeError(f"{what} is not ready after {seconds:g} s")
        time.sleep(0.02)
