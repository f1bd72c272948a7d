"""Children that never outlive the rehearsal, whichever way it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

_GUARD = Path(__file__).with_name("guard.py")
_END = 30.0  # seconds until what was killed is gone
# What a pod has as well, or what finds libraries and devices; nothing else of the user's shell.
_PASSED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "TZ")


def bare_environment() -> dict[str, str]:
    """The little of this shell that a pod could have, too."""
    return {name: os.environ[name] for name in _PASSED if name in os.environ}


def interpreter(word: str) -> str:
    """Ours, where a container would start its own."""
    return sys.executable if word in ("python", "python3") else word


def own_code() -> str:
    """Where a child finds this package, for PYTHONPATH."""
    return str(Path(__file__).resolve().parents[2])


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, out: int | IO[bytes], errors: int | IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """As `start`, ended at the end."""
    process = start(command, environment, folder, out, errors)
    try:
        yield process
    finally:
        end(process)


def start(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, out: int | IO[bytes], errors: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    """The command behind its guard, in a session of its own, so that ^C reaches only us. `end` ends it."""
    # Both ends are opened before anything can interrupt: a guard without us sees the end of its stdin.
    return subprocess.Popen(  # noqa: S603  a list, no shell
        [sys.executable, "-I", str(_GUARD), *command],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=errors,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Everything that came of the command is gone when this returns."""
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP end the rehearsal like ^C; while it cleans up, none of them interrupts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, _interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: object) -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody uses now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
