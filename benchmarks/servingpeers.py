"""The servers of `benchmarks.serving`: how each is started, asked, looked at, held still and ended."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT
from benchmarks.servingprocesses import ask, environment, family, free_ports, proportional, resident, started, wait
from generator.apps import APPS, Deployment
from generator.apps.base import Served
from generator.bundle import Bundle, build, join, read_app

HANDWRITTEN = ROOT / "benchmarks/servers/handwritten"
KV_TOKENS = 16_384  # of ours and of continuous batching alike
SLOTS = 32


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where clients ask, and how (clients.READ). `model` is the name that OpenAI's body wants."""

    host: str
    port: int
    path: str
    kind: str
    model: str = ""

    def body(self, prompt: str, tokens: int, *, stream: bool) -> dict[str, Any]:
        """A greedy answer of `tokens` tokens."""
        asked: dict[str, Any] = {"prompt": prompt, "max_tokens": tokens}
        if self.kind == "completion":
            asked |= {"model": self.model, "temperature": 0}
        return asked | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. All of its processes descend from `root`; `holder` is the one with the model."""

    name: str
    endpoint: Endpoint
    root: int
    holder: Callable[[], int]


class Bare:
    """`model.generate` in a process of its own (benchmarks/servers/bare.py)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._line()

    def generate(self, prompts: Sequence[str], tokens: Sequence[int], batch: int) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"prompts": prompts, "tokens": tokens, "batch": batch}) + "\n")
        self._process.stdin.flush()
        return self._line()

    def memory(self) -> tuple[float, float]:
        return resident(self._process.pid)

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("benchmarks.servers.bare ended; see its log")
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def bare(model: Path, threads: int, log: Path) -> Iterator[Bare]:
    command = [sys.executable, "-m", "benchmarks.servers.bare", str(model)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with started(command, environment(threads), log, **pipes) as process:
        yield Bare(process)


def extras() -> Path:
    """What `transformers serve` needs beside transformers, in a folder of its own that is filled on first use."""
    home, listed = ROOT / ".cache/peers-serving", ROOT / "benchmarks/servingpeers.txt"
    stamp = home / "installed.txt"
    if not stamp.exists() or stamp.read_text() != listed.read_text():
        shutil.rmtree(home, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--target", str(home), "-r", str(listed)], check=True)
        stamp.write_text(listed.read_text())
    return home


@contextmanager
def transformers_serve(name: str, model: Path, threads: int, log: Path, *flags: str) -> Iterator[Server]:
    """`transformers serve`, with the model's own dtype."""
    (port,) = free_ports(1)
    program = str(Path(sys.executable).parent / "transformers")
    command = [program, "serve", str(model), "--device", "cpu", "--host", "127.0.0.1", "--port", str(port), *flags]
    env = environment(threads)
    env["PYTHONPATH"] = os.pathsep.join([env["PYTHONPATH"], str(extras())])
    with started(command, env, log, stdout=subprocess.DEVNULL) as process:
        wait(lambda: process.poll() is not None or _answers(f"http://127.0.0.1:{port}/health"), name)
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended; see {log}")
        endpoint = Endpoint("127.0.0.1", port, "/v1/completions", "completion", str(model))
        yield Server(name, endpoint, process.pid, lambda: process.pid)


def _answers(url: str) -> bool:
    try:
        return ask(url)[0] == 200
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class App:
    """An application for Ray Serve: its entry of serveConfigV2, and whether it speaks OpenAI's protocol."""

    entry: Mapping[str, Any]
    kind: str

    @property
    def name(self) -> str:
        return str(self.entry["name"])


def handwritten(name: str, module: str, model: Path, code: Path, threads: int | None) -> App:
    """An application of benchmarks/servers/handwritten. Without `threads` everything is Ray's default: one core."""
    files = {path.name: path.read_bytes() for path in HANDWRITTEN.glob("*.py")}
    (text,) = (
        line
        for line in (HANDWRITTEN / f"{module}.py").read_text().splitlines()
        if line.startswith("class") and "Generator" in line
    )
    deployment: dict[str, Any] = {"name": text.removeprefix("class ").rstrip(":")}
    if threads is not None:
        deployment["ray_actor_options"] = {"num_cpus": threads}
    entry = {
        "name": name,
        "route_prefix": f"/{name}",
        "import_path": f"{module}:deployment",
        "runtime_env": {
            "working_dir": _kept(build("handwritten", files), code),
            "env_vars": {"MODEL_ID": str(model), "HF_HUB_OFFLINE": "1"},
        },
        "deployments": [deployment],
    }
    return App(entry, "plain")


def ours(name: str, model: Path, code: Path, threads: int, *, serving: Path, kv_tokens: int = KV_TOKENS) -> App:
    """What `modelyard render` writes for a service of `cpu: threads` and `concurrency: SLOTS`."""
    app = APPS["text-generation"]
    packages = {package: read_app(serving / package) for package in app.packages}
    entry = app.serve(
        Deployment(
            name=name,
            route=f"/{name}",
            models=(Served("bench", str(model), None),),
            working_dir=_kept(join(["text-generation"], packages), code),
            min_replicas=1,
            max_replicas=1,
            cpus=threads,
            accelerators=0,
            max_tokens=512,
            concurrency=SLOTS,
            kv_cache_tokens=kv_tokens,
        )
    )
    return App(entry, "completion")


def _kept(bundle: Bundle, folder: Path) -> str:
    path = folder / bundle.filename
    path.write_bytes(bundle.zip)
    return path.as_uri()


class Ray:
    """A head with Serve's proxy, and the applications that were deployed."""

    def __init__(self, pid: int, dashboard: str, port: int) -> None:
        self.pid, self._url, self.port = pid, f"{dashboard}/api/serve/applications/", port
        self._apps: dict[str, App] = {}

    def deploy(self, app: App) -> Server:
        """Returns when the application runs; the ones before it stay."""
        self.put([*(held for held in self._apps.values() if held.name != app.name), app])
        return self.running(app)

    def running(self, app: App) -> Server:
        """Waits until it runs. Raises RuntimeError where it does not come to that."""
        wait(lambda: self.status(app.name) in {"RUNNING", "DEPLOY_FAILED"}, app.name)
        if self.status(app.name) != "RUNNING":
            raise RuntimeError(f"{app.name}: {self._applications()[app.name]}")
        path = app.entry["route_prefix"]
        if app.kind == "completion":
            path, model = (
                f"{path}/v1/completions",
                ask(f"http://127.0.0.1:{self.port}{path}/v1/models")[1]["data"][0]["id"],
            )
        else:
            path, model = f"{path}/", ""
        endpoint = Endpoint("127.0.0.1", self.port, path, app.kind, model)
        return Server(app.name, endpoint, self.pid, lambda: self.replica(app.name))

    def put(self, apps: Sequence[App]) -> None:
        """The applications that are to run, as KubeRay puts them."""
        self._apps = {app.name: app for app in apps}
        options = {"host": "127.0.0.1", "port": self.port}
        config = {"proxy_location": "EveryNode", "http_options": options, "applications": [dict(a.entry) for a in apps]}
        status, answer = ask(self._url, config, "PUT")
        if status != 200:
            raise RuntimeError(f"Ray answered {status}: {answer}")

    def status(self, name: str) -> str:
        return str(self._applications().get(name, {}).get("status", ""))

    def _applications(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = ask(self._url)[1]["applications"]
        return found

    def replica(self, name: str) -> int:
        """The process of an application's only replica. Raises LookupError when there is none."""
        for pid in family(self.pid):
            with suppress(OSError):
                if f"ServeReplica:{name}:" in Path(f"/proc/{pid}/cmdline").read_text():
                    return pid
        raise LookupError(f"{name} has no replica")

    def overhead(self) -> float:
        """MiB of everything but the replicas."""
        mine = []
        for pid in family(self.pid):
            with suppress(OSError):
                if "ServeReplica:" not in Path(f"/proc/{pid}/cmdline").read_text():
                    mine.append(pid)
        return proportional(mine)


@contextmanager
def ray(threads: int, log: Path) -> Iterator[Ray]:
    """`ray start --head`, with plenty of logical cores: what an application gets is its threads."""
    temporary = tempfile.mkdtemp(prefix="ray-")  # short: the path of a Unix socket has 107 characters at most
    gcs, dashboard, agent, client, metrics, serve = free_ports(6)
    options = {
        "node-ip-address": "127.0.0.2",  # Ray would replace 127.0.0.1 by an address of the network
        "port": gcs,
        "dashboard-host": "127.0.0.1",
        "dashboard-port": dashboard,
        "dashboard-agent-listen-port": agent,
        "ray-client-server-port": client,
        "metrics-export-port": metrics,
        "min-worker-port": 0,
        "max-worker-port": 0,
        "num-cpus": 16,
        "memory": 2**36,
        "object-store-memory": 100_000_000,
        "temp-dir": temporary,
    }
    program = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", "--disable-usage-stats"]
    command = [*program, *(f"--{name}={value}" for name, value in options.items())]
    env = environment(threads) | {"RAY_AUTH_MODE": "disabled"}
    del env["OMP_NUM_THREADS"]  # Ray sets it from num_cpus
    url = f"http://127.0.0.1:{dashboard}"
    try:
        with started(command, env, log, stdout=subprocess.DEVNULL) as head:
            wait(lambda: head.poll() is not None or _answers(f"{url}/api/serve/applications/"), "Ray")
            if head.poll() is not None:
                raise RuntimeError(f"ray start ended; see {log}")
            yield Ray(head.pid, url, serve)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
