"""A service of KServe on this machine: its init containers, then the server's own command."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from generator.errors import UserError
from generator.rehearse import processes, staging
from generator.rehearse.fitting import LOOPBACK
from generator.rehearse.inference import Inference, fit
from generator.rehearse.pods import Container
from generator.rehearse.served import Answering, Served, Voice
from generator.rehearse.work import moved

_LOOK = 0.25  # seconds between two looks
_SPOKEN = 10.0  # seconds between two lines about waiting
_REASON = 1000  # characters


@contextmanager
def served(
    what: Inference, shown: Mapping[str, str], scratch: Path, context: int | None, patience: float, voice: Voice
) -> Iterator[Served]:
    """What answers, while it does. `shown` stands for the server's mounts; `patience` in seconds. Raises UserError."""
    for number, wait in enumerate(what.waits):
        _wait(wait, scratch / f"init-{number}", scratch / staging.CLAIMS, voice)
    (port,) = processes.free_ports(1)
    server, changes = fit(what, shown, port, context)
    for change in changes:
        voice.detail(f"{change.path}: {change.was} -> {change.now} ({change.why})")
    words = [processes.interpreter(server.words[0]), *server.words[1:]]
    environment = {**processes.bare_environment(), **server.environment, "TMPDIR": moved("/tmp", shown)}  # noqa: S108
    log = scratch / "server.log"
    voice.say(f"starting {what.module or server.words[0]}")
    started = time.monotonic()
    with log.open("wb") as out, processes.running(words, environment, scratch, out, out) as process:
        base = f"http://{LOOPBACK}:{port}"
        _until_ready(f"{base}{what.health}", process, log, patience, voice)
        answering = Answering(what.place.service, what.module, f"{base}{what.route}")
        running = time.monotonic() - started
        yield Served((answering,), None, running, changes, lambda: process.poll() is None)


def _wait(wait: Container, place: Path, claims: Path, voice: Voice) -> None:
    """Runs an init container to its end, with its own arguments."""
    own = staging.folders(wait.mounts, place, claims)
    place.mkdir(exist_ok=True)
    words = [processes.interpreter(wait.words[0]), *(moved(word, own) for word in wait.words[1:])]
    given = {name: moved(value, own) for name, value in wait.environment.items()}
    environment = {**processes.bare_environment(), **given, "PYTHONPATH": processes.own_code()}
    log = place / "program.log"
    voice.detail(f"init container: {' '.join(words)}")
    with log.open("wb") as out, processes.running(words, environment, place, out, out) as process:
        if process.wait():
            raise UserError.of(f"the init container of the server failed: {_reason(log)}")


def _until_ready(url: str, process: subprocess.Popen[bytes], log: Path, patience: float, voice: Voice) -> None:
    """Raises UserError with the server's own words where it ends, or is late."""
    started = spoken = time.monotonic()
    while not _answers(url):
        passed = time.monotonic() - started
        if process.poll() is not None:
            voice.detail(log.read_text(errors="replace"))
            raise UserError.of(f"the server does not start: {_reason(log)}", hint="-v shows all that it said")
        if passed > patience:
            hint = "give it more time: --timeout SECONDS; a smaller model starts sooner"
            raise UserError.of(f"the server is not ready after {passed:.0f} s", hint=hint)
        if time.monotonic() - spoken > _SPOKEN:
            spoken = time.monotonic()
            voice.say(f"{passed:.0f} s: not ready")
        time.sleep(_LOOK)


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is this machine
    try:
        with opener.open(url, timeout=10) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        pass
    return False


def _reason(log: Path) -> str:
    """The last line that was said; of an event its reason."""
    said = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = said[-1] if said else "it gave no reason"
    with suppress(ValueError, AttributeError):
        last = str(json.loads(last).get("reason", last))
    return last[:_REASON]
