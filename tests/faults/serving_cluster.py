"""A Ray cluster of two nodes on this machine, each with a proxy of its own, like two pods behind a Service.

The nodes are two `ray start --block` with addresses 127.0.0.2 and 127.0.0.3. Everything that is started here is ended
here, by process id; nothing else on the machine is touched, other Ray clusters included.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

HEAD, WORKER = "127.0.0.2", "127.0.0.3"  # Ray would replace 127.0.0.1 by an address of the network
CORES = 1  # what a node says it has, so that each gets a replica; a number for placement, nothing is reserved
MEMORY = 64 * 2**30  # bytes, the same
DRAIN = 50  # seconds in which a node that was told to end moves its replicas elsewhere
PATIENCE = 180.0  # seconds until something that has to happen has happened

Json = Any


def free_ports(count: int) -> list[int]:
    """Ports that nothing uses on any of our addresses just now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_for(condition: Callable[[], object], what: str, patience: float = PATIENCE, pause: float = 0.1) -> None:
    """Raises TimeoutError that names `what`."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {patience:.0f} s")
        time.sleep(pause)


def fetch(url: str, body: Json = None, method: str | None = None, timeout: float = 30.0) -> tuple[int, bytes]:
    """Status and body. Raises OSError where no answer comes."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310  loopback
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@dataclass
class Node:
    """`ray start --block`, and where its proxy and its metrics are found."""

    ip: str
    http: int
    metrics: int
    process: subprocess.Popen[bytes]

    @property
    def proxy(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    def pids(self, title: str) -> list[int]:
        """Processes of this node whose title begins so."""
        return [pid for pid in descendants(self.process.pid) if _title(pid).startswith(title)]

    def end(self) -> None:
        """Kills the node and everything below it. What could start another process is stopped first."""
        for signal_sent in (signal.SIGSTOP, signal.SIGKILL):
            for pid in (*descendants(self.process.pid), self.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal_sent)
        self.process.wait()


def descendants(root: int) -> list[int]:
    """Process ids below `root`."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, new = [], [root]
    while new:
        new = [child for parent in new for child in parents.get(parent, ())]
        found += new
    return found


def resident(pids: list[int]) -> int:
    """Bytes of memory of these processes."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


def _title(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


@dataclass
class Cluster:
    """Use as a context manager. `env` is what every process of the cluster has beside ours."""

    env: Mapping[str, str] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def __enter__(self) -> Self:
        # Not under pytest's folder: the path of a Unix socket has 107 characters at most.
        self._folder = Path(tempfile.mkdtemp(prefix="ray-"))
        self._gcs, self._dashboard, self._client, self.http = free_ports(4)
        try:
            self.nodes.append(self._start(HEAD))
            wait_for(lambda: self._alive(HEAD) or self.nodes[0].process.poll() is not None, "the dashboard")
            self.add()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in reversed(self.nodes):
            if node.process.poll() is None:  # else its number may be somebody else's
                node.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def dashboard(self) -> str:
        return f"http://127.0.0.1:{self._dashboard}"

    def add(self) -> Node:
        """The second node, again when it has ended."""
        self.nodes = [node for node in self.nodes if node.process.poll() is None]
        if not self.nodes or self.nodes[0].ip != HEAD:
            raise RuntimeError(f"the head did not start: {self._log(HEAD)}")
        node = self._start(WORKER)
        self.nodes.append(node)
        wait_for(lambda: self._alive(WORKER) or node.process.poll() is not None, "the second node")
        if node.process.poll() is not None:
            raise RuntimeError(f"the second node did not start: {self._log(WORKER)}")
        return node

    def pids(self, title: str) -> list[int]:
        return [pid for node in self.nodes for pid in node.pids(title)]

    def log(self, name: str) -> str:
        """What all log files have to say whose name begins so."""
        files = sorted(self._folder.glob(f"session_2*/logs/**/{name}*"))
        return "\n".join(path.read_text(errors="replace") for path in files if path.is_file())

    def _alive(self, ip: str) -> bool:
        try:
            status, body = fetch(f"{self.dashboard}/api/v0/nodes?detail=0", timeout=5)
        except OSError:
            return False
        nodes = json.loads(body)["data"]["result"]["result"] if status == 200 else []
        return any(node["node_ip"] == ip and node["state"] == "ALIVE" for node in nodes)

    def _log(self, ip: str) -> str:
        return (self._folder / f"{ip}.log").read_text()[-2000:]

    def _start(self, ip: str) -> Node:
        agent, metrics, http = free_ports(3)
        if ip == HEAD:
            http = self.http
        with (self._folder / f"{ip}.log").open("ab") as log:
            process = subprocess.Popen(
                [str(Path(sys.executable).parent / "ray"), "start", "--block", "--disable-usage-stats"]
                + [f"--{name}={value}" for name, value in self._options(ip, agent, metrics)]
                + ["--head"] * (ip == HEAD),
                env={**os.environ, **self._environment(http)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return Node(ip, http, metrics, process)

    def _options(self, ip: str, agent: int, metrics: int) -> Iterator[tuple[str, object]]:
        yield "node-ip-address", ip
        yield "dashboard-agent-listen-port", agent
        yield "metrics-export-port", metrics
        yield "min-worker-port", 0
        yield "max-worker-port", 0
        yield "num-cpus", CORES
        yield "memory", MEMORY
        yield "object-store-memory", 80_000_000
        yield "temp-dir", self._folder
        if ip != HEAD:
            yield "address", f"{HEAD}:{self._gcs}"
            return
        yield "port", self._gcs
        yield "dashboard-host", "127.0.0.1"
        yield "dashboard-port", self._dashboard
        yield "ray-client-server-port", self._client

    def _environment(self, http: int) -> dict[str, str]:
        return {
            "RAY_AUTH_MODE": "disabled",  # whatever token the user of this machine has in their home
            "RAY_SERVE_WORKER_PROXY_HTTP_PORT": str(http),  # two pods have two addresses, two nodes here two ports
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": str(DRAIN),
            "RAY_metrics_report_interval_ms": "2000",
            **self.env,
        }
