"""Starts many clients fast: forks of one process that has imported what a client imports.

Each client is a process of its own, with its own environment, that runs `python -m generator.prestage` from the
first line on; only the imports (0.5 s) are shared.

`python -m tests.faults.nursery SOCKET` is that process. It is started by `Nursery`, and ends with it.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Self

from tests.faults.alterations import SABOTAGE, TUNING

NOWHERE = "http://127.0.0.1:9"  # where a client goes that was not told where the Hub is
MODULE = "generator.prestage"
_DIGITS = 12  # of a message, padded


@dataclass(frozen=True, slots=True)
class Order:
    """What to run. stdout goes to `output`, stderr to the same name with `.err`.

    `altered` names what is changed in the client (`alterations`).
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    output: str
    altered: Sequence[str] = ()


@dataclass(slots=True)
class Client:
    """A running client."""

    pid: int
    output: Path
    began: float
    status: int | None = None
    _line: socket.socket = field(default_factory=socket.socket)

    def wait(self, seconds: float) -> int | None:
        """Its exit status, -N when signal N killed it; None when it runs on after `seconds`."""
        if self.status is None:
            self._line.settimeout(seconds)
            try:
                self.status = _number(self._line)
            except TimeoutError:
                return None
            self._line.close()
        return self.status

    def send(self, number: signal.Signals) -> None:
        """Until its status was read here, the client's number is given to no other process."""
        if self.status is None:
            os.kill(self.pid, number)

    def end(self) -> None:
        """Whatever it does, it ends now."""
        self.send(signal.SIGKILL)
        self.wait(30)

    def events(self) -> list[dict[str, Any]]:
        """The JSON lines of stdout. Raises ValueError where a whole line is none."""
        lines = self.output.read_text().split("\n")[:-1]  # what a killed process has begun ends without a newline
        return [json.loads(line) for line in lines]

    def said(self) -> str:
        """Everything it wrote."""
        return self.output.read_text() + self.output.with_suffix(".err").read_text()


class Nursery:
    """Use as a context manager; `folder` is for its socket."""

    def __init__(self, folder: Path) -> None:
        self._path = str(folder / "nursery")

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.faults.nursery", self._path]
        # Not what is set here for the Hub: serving code that ran in this process may have forbidden to ask it.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        environment = {**kept, "HF_ENDPOINT": NOWHERE, "HF_HUB_DISABLE_TELEMETRY": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=Path(__file__).parents[2]
        )
        assert self._process.stdout and self._process.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        assert self._process.returncode == 0

    def start(self, order: Order) -> Client:
        """The client runs when this returns."""
        line = socket.socket(socket.AF_UNIX)
        line.connect(self._path)
        line.sendall(json.dumps(asdict(order)).encode() + b"\n")
        return Client(_number(line), Path(order.output), time.monotonic(), _line=line)


def _number(line: socket.socket) -> int:
    """A message of the supervisor. It is sent at once, so it comes at once."""
    return int(line.recv(_DIGITS))


def _serve(path: str) -> None:
    _warm_up()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors are not waited for
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(path)
        listener.listen(64)
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while not any(key.fileobj is sys.stdin for key, _ in selector.select()):
            line, _ = listener.accept()
            if os.fork() == 0:
                _supervise(line)
            line.close()


def _warm_up() -> None:
    package = importlib.import_module(MODULE)
    for module in pkgutil.walk_packages(package.__path__, f"{MODULE}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    import boto3

    boto3.session.Session(region_name="x").client("s3", aws_access_key_id="x", aws_secret_access_key="x")


def _supervise(line: socket.socket) -> NoReturn:
    """Starts the client, says its number, and when it has ended its status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with line.makefile("r") as reader:
        order = Order(**json.loads(reader.readline()))
    pid = os.fork()
    if pid == 0:
        line.close()
        _run(order)
    line.sendall(f"{pid:<{_DIGITS}}".encode())
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # its number stays taken
    assert ended
    status = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
    line.sendall(f"{status:<{_DIGITS}}".encode())
    line.recv(1)  # until the other end was closed
    os._exit(0)


def _run(order: Order) -> NoReturn:
    status: object = 1
    try:
        for descriptor, name in ((1, order.output), (2, str(Path(order.output).with_suffix(".err")))):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(order.environment)
        _point_to_the_hub(order.environment.get("HF_ENDPOINT", NOWHERE))
        for name in order.altered:
            {**SABOTAGE, **TUNING}[name]()
        sys.argv = ["prestage", *order.arguments]
        runpy.run_module(MODULE, run_name="__main__")
        status = 0
    except SystemExit as ended:
        status = ended.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)


def _point_to_the_hub(url: str) -> None:
    """huggingface_hub reads HF_ENDPOINT when it is imported, which was before the fork."""
    from huggingface_hub import constants

    constants.HUGGINGFACE_CO_URL_TEMPLATE = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, url)
    constants.ENDPOINT = url


if __name__ == "__main__":
    _serve(sys.argv[1])
