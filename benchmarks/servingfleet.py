"""All servers of one model: started when they are first asked, held still while another one is."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks import servingpeers as peers
from benchmarks.clients import Load
from benchmarks.processes import LIMIT, ROOT
from benchmarks.servingpeers import KV_TOKENS, Bare, Ray, Server
from benchmarks.servingprocesses import awake, busy, cpu, send
from benchmarks.servingreport import CB, CB_DEFAULTS, NAIVE, NAIVE_THREADS, OURS, SERVE, STATIC, Sample, compared

PATIENCE = 300.0  # seconds for one answer
BLOCK = 32  # tokens of a block of transformers' cache
BOUNDED = ("--cb-num-blocks", str(KV_TOKENS // BLOCK), "--cb-block-size", str(BLOCK), "--cb-max-batch-tokens", "512")


@dataclass(frozen=True, slots=True)
class Task:
    """Prompts and the lengths of their answers in tokens; `wanted`: the texts that `generate` alone gives, if known."""

    prompts: Sequence[str]
    tokens: Sequence[int]
    wanted: Sequence[str] | None = None

    def cycled(self, count: int) -> Task:
        """As many requests as asked for, from the start again after the last."""
        places = [place % len(self.prompts) for place in range(count)]
        wanted = None if self.wanted is None else [self.wanted[place] for place in places]
        return Task([self.prompts[p] for p in places], [self.tokens[p] for p in places], wanted)


@dataclass(slots=True)
class Fleet:
    """`made` is the folder of servingmodel.make; a server is known by its name in servingreport."""

    made: Path
    dtype: str
    threads: int
    work: Path
    serving: Path = ROOT / "serving"
    _stack: ExitStack = field(default_factory=ExitStack)
    _servers: dict[str, Server] = field(default_factory=dict)
    _ray: Ray | None = None
    _bare: Bare | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stack.close()

    def fresh(self) -> Fleet:
        """The same model, and no server yet."""
        return Fleet(self.made, self.dtype, self.threads, self.work, self.serving)

    @property
    def model(self) -> Path:
        return self.made / self.dtype

    @property
    def log(self) -> Path:
        return self.work / "servers.log"

    def prompts(self, kind: str) -> list[str]:
        found: list[str] = json.loads((self.made / "prompts.json").read_text())[kind]
        return found

    def bare(self) -> Bare:
        if self._bare is None:
            self._bare = self._stack.enter_context(peers.bare(self.model, self.threads, self.log))
            self._bare.generate(self.prompts("same")[:2], [4, 4], 2)  # what is done once is done
        return self._bare

    def ray(self) -> Ray:
        """Awake until the next `asked`."""
        if self._ray is None:
            self._ray = self._stack.enter_context(peers.ray(self.threads, self.log))
        send(self._ray.pid, signal.SIGCONT)
        return self._ray

    def server(self, name: str) -> Server:
        """Started and warm, and held still."""
        if name not in self._servers:
            print(f"  starting {name} ({self.dtype})", file=sys.stderr, flush=True)
            self._servers[name] = server = STARTS[name](self)
            warm = Task(self.prompts("same"), [8] * 64)
            load(server, warm.cycled(1), 1)
            load(server, warm.cycled(2 if name in {NAIVE, NAIVE_THREADS, SERVE} else 32), 32)
            send(server.root, signal.SIGSTOP)
        return self._servers[name]

    def asked(self, name: str, task: Task, clients: int, *, stream: bool = False) -> Sample:
        """A round of a server, alone on the machine."""
        server = self.server(name)
        with awake(server.root):
            return load(server, task, clients, stream=stream)

    def app(self, make: Callable[..., peers.App], *arguments: Any, **options: Any) -> Server:
        """An application that is deployed on the one Ray head."""
        return self.ray().deploy(make(*arguments, **options))

    def serve(self, name: str, *flags: str) -> Server:
        return self._stack.enter_context(peers.transformers_serve(name, self.model, self.threads, self.log, *flags))


STARTS: dict[str, Callable[[Fleet], Server]] = {
    NAIVE: lambda own: own.app(peers.handwritten, "naive", "naive", own.model, own.work, None),
    NAIVE_THREADS: lambda own: own.app(peers.handwritten, "threads", "naive", own.model, own.work, own.threads),
    STATIC: lambda own: own.app(peers.handwritten, "static", "batched", own.model, own.work, own.threads),
    OURS: lambda own: own.app(peers.ours, "ours", own.model, own.work, own.threads, serving=own.serving),
    SERVE: lambda own: own.serve(SERVE),
    CB: lambda own: own.serve(CB, "--continuous-batching", *BOUNDED),
    CB_DEFAULTS: lambda own: own.serve(CB_DEFAULTS, "--continuous-batching"),
}


def load(server: Server, task: Task, clients: int, *, stream: bool = False) -> Sample:
    """Asks everything once. Raises RuntimeError where an answer fails or has not the length that was asked for."""
    at = server.endpoint
    bodies = [at.body(prompt, tokens, stream=stream) for prompt, tokens in zip(task.prompts, task.tokens, strict=True)]
    spec = Load(at.host, at.port, at.path, at.kind, clients, PATIENCE, bodies)
    before, machine, begun = cpu(server.root), busy(), time.monotonic()
    command = [sys.executable, "-m", "benchmarks.clients"]
    done = subprocess.run(
        command, input=json.dumps(asdict(spec)), capture_output=True, text=True, cwd=ROOT, timeout=LIMIT
    )
    spent, machine, seconds = cpu(server.root) - before, busy() - machine, time.monotonic() - begun
    if done.returncode:
        raise RuntimeError(f"{server.name}, {clients} clients: {done.stderr[-3000:]}")
    run = json.loads(done.stdout)
    found = sample(server.name, task, run, spent)
    return replace(found, others=max(0.0, machine - spent - run["process"]) / seconds)


def sample(name: str, task: Task, run: Any, spent: float) -> Sample:
    """What the clients tell, checked."""
    asked = run["asked"]
    for each, tokens in zip(asked, task.tokens, strict=True):
        if each["tokens"] != tokens:
            raise RuntimeError(f"{name}: an answer has {each['tokens']} tokens, {tokens} were asked for")
    equality = (0, 0, 1.0) if task.wanted is None else compared([each["text"] for each in asked], task.wanted)
    return Sample(
        sum(task.tokens),
        run["seconds"],
        spent,
        run["cpu"],
        [each["done"] - each["sent"] for each in asked],
        [each["first"] - each["sent"] for each in asked],
        *equality,
    )
