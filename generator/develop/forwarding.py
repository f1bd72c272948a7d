"""`kubectl port-forward`, opened, opened again when it breaks, and closed."""

from __future__ import annotations

import os
import queue
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from generator.errors import UserError
from generator.rehearse import processes
from generator.suggest import suggest

LOOPBACK = "127.0.0.1"
_OPEN = 60.0  # seconds until kubectl forwards: it may ask a cloud for credentials first
_FORWARDS = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) -> (\d+)")
_NO_CONTEXT = re.compile(r'context "[^"]*" does not exist|context was not found for specified context')
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """A Service of a cluster. `ports` maps ports of it to those of this machine; 0: any that is free."""

    kubectl: str
    context: str
    namespace: str
    service: str
    ports: dict[int, int]

    def command(self) -> list[str]:
        pairs = [f"{here or ''}:{there}" for there, here in self.ports.items()]
        where = ["--context", self.context, "--namespace", self.namespace]
        return [self.kubectl, *where, "port-forward", "--address", LOOPBACK, f"service/{self.service}", *pairs]


@dataclass(slots=True)
class Forward:
    """A forward that is there when it is needed."""

    target: Target
    folder: Path
    say: Say
    _process: subprocess.Popen[bytes] | None = None
    _found: dict[int, int] = field(default_factory=dict)

    def address(self, port: int) -> str:
        """Where the port of the Service answers on this machine. Raises UserError where kubectl gives up."""
        self.keep()
        return f"http://{LOOPBACK}:{self._found[port]}"

    def keep(self) -> None:
        """Opens it, and opens it again when it has ended."""
        if self._process is not None and self._process.poll() is None:
            return
        if self._process is not None:
            self.close()
            self.say(f"the way to {self.target.service} was lost; opening it again")
        self._open()

    def _open(self) -> None:
        log = self.folder / "kubectl.log"
        with log.open("wb") as errors:
            self._process = processes.start(self.target.command(), os.environ, self.folder, subprocess.PIPE, errors)
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_read, args=(self._process.stdout, lines), daemon=True).start()
        self._found = {}
        while set(self._found) != set(self.target.ports):
            try:
                line = lines.get(timeout=_OPEN)
            except queue.Empty:
                line = ""
            if not line:
                self.close()
                raise _fault(self.target, log.read_text(errors="replace"))
            if found := _FORWARDS.search(line):
                self._found[int(found[2])] = int(found[1])

    def close(self) -> None:
        if self._process is not None:
            processes.end(self._process)
            self._process = None


@contextmanager
def forwarded(target: Target, say: Say) -> Iterator[Forward]:
    """The Service on this machine, closed at the end. Raises UserError where kubectl does not get there."""
    if shutil.which(target.kubectl) is None:
        hint = "install kubectl, or give its path: --kubectl PATH"
        raise UserError.of(f"there is no program `{target.kubectl}`", hint=hint)
    with tempfile.TemporaryDirectory(prefix="modelyard-forward-", ignore_cleanup_errors=True) as folder:
        found = Forward(target, Path(folder), say)
        try:
            found.keep()
            yield found
        finally:
            found.close()


def _read(stream: IO[bytes] | None, lines: queue.Queue[str]) -> None:
    """Goes on to the end: kubectl says a line for each connection, and would wait for a reader. Empty: it has ended."""
    try:
        for line in stream or ():
            lines.put(line.decode(errors="replace"))
    except ValueError:
        pass  # closed by us
    lines.put("")


def _fault(target: Target, said: str) -> UserError:
    """What kubectl said, and the way out where it is known."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reason = lines[-1].removeprefix("error: ") if lines else f"kubectl does not forward within {_OPEN:.0f} s"
    if _NO_CONTEXT.search(reason):
        known = contexts(target.kubectl)
        hint = suggest(target.context, known) if known else "kubectl knows none: KUBECONFIG names the file with them"
        return UserError.of(f"kubectl has no context `{target.context}`", hint=hint)
    if "NotFound" in reason or "not found" in reason:
        message = f"namespace {target.namespace} of {target.context} has no Service {target.service}"
        return UserError.of(message, hint="is the service deployed there? another namespace: --namespace NAME")
    hint = f"try: kubectl --context {target.context} --namespace {target.namespace} get service {target.service}"
    return UserError.of(f"kubectl port-forward to {target.service}: {reason}", hint=hint)


def contexts(kubectl: str) -> list[str]:
    """Names of the contexts that kubectl knows."""
    try:
        command = [kubectl, "config", "get-contexts", "-o", "name"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split()
