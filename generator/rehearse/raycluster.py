"""A Ray of its own, on loopback, in a temporary folder: started, given a Serve configuration, watched, ended."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator.errors import UserError
from generator.rehearse import processes

# Ray replaces 127.0.0.1 by an address of the network; Linux has all of 127.0.0.0/8 on its loopback.
NODE = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
_START = 180.0  # seconds until the dashboard answers
_PUT = 300.0  # seconds until Ray has taken a configuration: it starts its controller first
_LOOK = 0.25  # seconds between two looks
_SPOKEN = 10.0  # seconds between two lines about waiting
_OBJECT_STORE = 100_000_000  # bytes; the applications put nothing into it
_LONGEST_TEMPORARY = 30  # characters: Ray's sockets below it have 107 at most (sun_path)
_REASON = 1000  # characters
_FAILED = ("DEPLOY_FAILED", "UNHEALTHY")
# Ray 2.60, serve/_private/deployment_state.py
_UNPLACED = re.compile(r"Resources required for each replica: .*, total resources available: .*?(?=\.? Use |$)")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ray:
    """A head that runs. `seconds` is how long it took."""

    dashboard: str
    process: subprocess.Popen[bytes]
    seconds: float


def version() -> str:
    return importlib.metadata.version("ray")


@contextmanager
def head(cpus: int, memory: int, environment: Mapping[str, str]) -> Iterator[Ray]:
    """Ray's head, in a folder that is gone at the end; it believes in `cpus` cores and `memory` bytes (0: all).

    Raises UserError where it does not start.
    """
    short = len(tempfile.gettempdir()) <= _LONGEST_TEMPORARY
    folder = Path(tempfile.mkdtemp(prefix="modelyard-", dir=None if short else "/tmp"))  # noqa: S108
    log = folder / "head.log"
    try:
        started = time.monotonic()
        command, address = _command(folder, cpus, memory)
        given = {**processes.bare_environment(), **environment, **_SETTINGS}
        with log.open("wb") as out, processes.running(command, given, folder, out, out) as process:
            _wait_for_dashboard(address, process, log)
            yield Ray(address, process, time.monotonic() - started)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_SETTINGS = {
    "RAY_AUTH_MODE": "disabled",  # nobody else can reach it, and a token of the user's would not be found
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONUNBUFFERED": "1",
}


def _command(folder: Path, cpus: int, memory: int) -> tuple[list[str], str]:
    """`ray start` and the dashboard's address."""
    gcs, dashboard, agent, client = processes.free_ports(4)
    options: dict[str, object] = {
        "node-ip-address": NODE,
        "port": gcs,
        "dashboard-host": "127.0.0.1",
        "dashboard-port": dashboard,
        "dashboard-agent-listen-port": agent,
        "ray-client-server-port": client,
        "min-worker-port": 0,
        "max-worker-port": 0,
        "num-cpus": cpus,
        "object-store-memory": _OBJECT_STORE,
        "temp-dir": folder,
    }
    if memory:
        options["memory"] = memory
    words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"]
    return [*words, *(f"--{name}={value}" for name, value in options.items())], f"http://127.0.0.1:{dashboard}"


def _wait_for_dashboard(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _START
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError, ValueError):
            _asked(f"{address}/api/serve/applications/")
            return
        time.sleep(_LOOK)
    said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    reason = (
        said[-1].strip() if process.poll() is not None and said else f"its dashboard did not answer in {_START:.0f} s"
    )
    raise UserError.of(f"Ray did not start: {reason}", hint="check that memory and /dev/shm are not full")


def deploy(ray: Ray, serve: Mapping[str, Any]) -> None:
    """Puts the configuration as KubeRay does. Raises UserError where Ray refuses it."""
    body = json.dumps(serve).encode()
    request = urllib.request.Request(  # noqa: S310  our own address
        f"{ray.dashboard}/api/serve/applications/", body, {"Content-Type": "application/json"}, method="PUT"
    )
    try:
        urllib.request.urlopen(request, timeout=_PUT).close()  # noqa: S310
    except urllib.error.HTTPError as error:
        with error:
            reason = " ".join(error.read().decode(errors="replace").split())
        raise UserError.of(f"Ray {version()} refuses serveConfigV2: {reason[:2000]}") from error
    except OSError as error:
        raise UserError.of(f"Ray does not take serveConfigV2: {error}", hint="is there enough memory?") from error


def wait_until_running(ray: Ray, names: Sequence[str], patience: float, say: Say, detail: Say) -> float:
    """Seconds until every application was RUNNING. Raises UserError with the replica's own words.

    `say` hears how far it is, `detail` all that a replica said when it failed.
    """
    return wait(lambda: _applications(ray), lambda: check_alive(ray), names, patience, say, detail)


def check_alive(ray: Ray) -> None:
    """Raises UserError where Ray has ended."""
    if ray.process.poll() is not None:
        raise UserError.of("Ray has ended", hint="is there enough memory?")


def wait(
    look: Callable[[], Mapping[str, Any]],
    check: Callable[[], None],
    names: Sequence[str],
    patience: float,
    say: Say,
    detail: Say,
) -> float:
    """As `wait_until_running`, of the applications that `look` finds; `check` raises where there is no hope."""
    started = spoken = time.monotonic()
    told: set[str] = set()
    while True:
        now = look()
        for reason in sorted({reason_in(message) for message in _messages(now) if message} - told):
            told.add(reason)
            say(f"a replica did not start: {reason}")
        for need in sorted(set(_needs(now)) - told):
            told.add(need)
            say(f"a replica waits for room: {need}")
        states = {name: str(now.get(name, {}).get("status", "DEPLOYING")) for name in names}
        for name, state in states.items():
            if state in _FAILED or _gave_up(now.get(name, {})):
                raise _failed(name, now[name], detail)
        passed = time.monotonic() - started
        if all(state == "RUNNING" for state in states.values()):
            return passed
        if passed > patience:
            message = f"not running after {passed:.0f} s: " + ", ".join(f"{n} is {s}" for n, s in states.items())
            raise UserError.of(message, hint="give it more time: --timeout SECONDS; a smaller model starts sooner")
        check()
        if time.monotonic() - spoken > _SPOKEN:
            spoken = time.monotonic()
            say(f"{passed:.0f} s: " + ", ".join(f"{name} {state}" for name, state in states.items()))
        time.sleep(_LOOK)


def _applications(ray: Ray) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = _asked(f"{ray.dashboard}/api/serve/applications/")["applications"]
    except (OSError, ValueError):
        return {}  # the dashboard is busy; whoever asks looks again
    return found


def _messages(applications: Mapping[str, Any]) -> Iterator[str]:
    """Of the deployments that are still tried."""
    for application in applications.values():
        for deployment in application.get("deployments", {}).values():
            if "failed to start" in (message := str(deployment.get("message", ""))):
                yield message


def _needs(applications: Mapping[str, Any]) -> Iterator[str]:
    """What replicas ask for that nobody has, in Ray's words."""
    for application in applications.values():
        for deployment in application.get("deployments", {}).values():
            if found := _UNPLACED.search(str(deployment.get("message", ""))):
                yield found[0]


def _gave_up(application: Mapping[str, Any]) -> bool:
    return any(d.get("status") in _FAILED for d in application.get("deployments", {}).values())


def _failed(name: str, application: Mapping[str, Any], detail: Say) -> UserError:
    said = [str(d.get("message", "")) for d in application.get("deployments", {}).values() if d.get("message")]
    whole = "\n".join(said) or str(application.get("message", ""))
    detail(whole)
    hint = "these are the replica's own words; -v shows all of them"
    return UserError.of(f"application `{name}` does not start: {reason_in(whole)}", hint=hint)


def reason_in(message: str) -> str:
    """The last exception of a traceback in `message`, in one line; else all of it."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    last = max((index for index, line in enumerate(lines) if _looks_raised(line)), default=0)
    return " ".join(lines[last:])[:_REASON] or "it gave no reason"


def _looks_raised(line: str) -> bool:
    """`package.module.SomeError: words`"""
    name, colon, words = line.partition(": ")
    last = name.rpartition(".")[2]
    return bool(colon and words) and last.isidentifier() and last[:1].isupper() and name.replace(".", "").isidentifier()


def _asked(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  our own address
        return json.loads(answer.read())
