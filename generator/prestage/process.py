"""What each program of this package does around its task: signals, deadline, the reason of a failure, exit status."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, Protocol

import click

from generator.prestage.events import Events
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError, Stopped, Transient, wrong_plan
from generator.prestage.limits import WORKERS, Verify
from generator.prestage.outcome import Report
from generator.prestage.patience import Patience, deadline_passed
from generator.prestage.plan import Plan, parse
from generator.prestage.settings import Settings

TICK = 0.1  # seconds between two looks at whether the task has ended
GRACE = 6.0  # seconds that a task has to end after a signal; Kubernetes allows 30, of which some are gone
TELL, TELL_INTERRUPTED = 5.0, 2.0  # seconds for metrics and notifications
TERMINATION_LOG = "/dev/termination-log"  # where the kubelet reads why a container ended
EXITS = (
    "Exit status: 0 done or already there; 64 the plan or an argument is wrong; 65 wrong bytes, or a model that is "
    "not whole; 66 not found at the source; 73 the target is full or refuses; 75 a fault that may pass; 77 the Hub "
    "refuses; 143 interrupted."
)


class Task(Protocol):
    """What a program does."""

    def work(self, settings: Settings) -> int:
        """Does it, and returns the exit status. Raises PrestageError, Transient and Stopped."""

    def report(self, error: PrestageError | None, started: float, settings: Settings) -> Report | None:
        """What is told of it, after `work`; None for nothing. `started` by time.monotonic()."""


def program(main: click.Command) -> NoReturn:
    """`main` with exit statuses that a Job knows: click's own would be tried again and again."""
    try:
        main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        leave(lambda: PrestageExit.PLAN)
    leave(lambda: PrestageExit.DONE)


def leave(action: Callable[[], int]) -> NoReturn:
    """Ends the process with what `action` returns, even while threads wait for a socket."""
    code = action()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def perform(
    task: Task,
    *,
    verify: str = Verify.CHECKSUM,
    workers: int = WORKERS,
    deadline: float | None = None,
    wait: float = 0.0,
    token_file: Path | None = None,
    endpoint_url: str | None = None,
    metrics_file: Path | None = None,
    push_gateway: str | None = None,
    notify_sns: str | None = None,
    output: str = "auto",
) -> int:
    """The task from start to end: says what happens, tells those who asked, and returns the exit status."""
    started = time.monotonic()
    token = token_of(token_file)
    webhook = os.environ.get("MODELYARD_WEBHOOK_URL", "")
    events = Events(as_json=output == "json" or (output == "auto" and not sys.stdout.isatty()), hide=(token, webhook))
    patience = Patience(events, deadline=started + deadline if deadline else None)
    settings = Settings(
        events,
        patience,
        workers=workers,
        verify=Verify(verify),
        wait=wait,
        token=token or None,
        token_secret=os.environ.get("MODELYARD_TOKEN_SECRET", ""),
        endpoint_url=endpoint_url,
    )
    ended = _watched(lambda: _attempt(task, settings, started), settings)
    if ended is None:
        error = _interruption(patience) if patience.stopped_by else deadline_passed()
        _failed(error, events)
        return int(error.exit)
    if ended.outcome or ended.measured:
        from generator.prestage.announcing import announce  # the task need not wait for it

        told = announce(
            ended.outcome,
            measured=ended.measured,
            metrics_file=metrics_file,
            gateway=push_gateway,
            topic=notify_sns,
            webhook=webhook,
            timeout=TELL_INTERRUPTED if patience.stopped_by else TELL,
        )
        for fault in told:
            events.emit("warning", reason=str(fault))
    return ended.exit


def _watched(action: Callable[[], Report], settings: Settings) -> Report | None:
    """`action` in a thread of its own, so that a signal is heard whatever it waits for; None when it did not stop."""
    ended: list[Report | BaseException] = []

    def act() -> None:
        try:
            ended.append(action())
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=act, name="run", daemon=True)
    with _signals(settings):
        thread.start()
        until = (settings.patience.deadline or float("inf")) + GRACE
        while thread.is_alive() and time.monotonic() < until:
            thread.join(TICK)
            if settings.patience.stopped_by:
                until = min(until, time.monotonic() + GRACE)
    if not ended:
        return None
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]


@contextmanager
def _signals(settings: Settings) -> Iterator[None]:
    """SIGTERM and SIGINT end the task where it stands; nothing is raised out of a handler."""

    def heard(number: int, frame: object) -> None:
        settings.patience.stopped_by = signal.Signals(number).name
        settings.patience.stop.set()
        settings.watch.close()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, heard) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interruption(patience: Patience) -> PrestageError:
    reason = f"interrupted by {patience.stopped_by or 'the caller'}"
    return PrestageError(PrestageExit.INTERRUPTED, reason, "what was copied is kept: run again")


def _attempt(task: Task, settings: Settings, started: float) -> Report:
    gc.freeze()  # what was imported is not looked through again and again
    code, error = int(PrestageExit.DONE), None
    try:
        code = int(task.work(settings))
    except PrestageError as fault:
        error = fault
    except Transient as fault:
        error = PrestageError(fault.exit, fault.reason, fault.hint)
    except Stopped:
        error = _interruption(settings.patience)
    if error:
        code = int(error.exit)
        _failed(error, settings.events)
    return task.report(error, started, settings) or Report(code)


def _failed(error: PrestageError, events: Events) -> None:
    events.emit("failed", exit=int(error.exit), code=error.exit.name.lower(), reason=error.reason, hint=error.hint)
    with suppress(OSError):
        log = os.open(TERMINATION_LOG, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)  # only where the kubelet made it
        with os.fdopen(log, "w") as file:
            file.write(events.safe(f"{error.exit.name.lower()}: {error.reason}. {error.hint}")[:4000] + "\n")


def token_of(file: Path | None) -> str:
    """The Hub token, never from the command line: a file, HF_TOKEN, or the file that HF_TOKEN_PATH names."""
    if file is None and (found := os.environ.get("HF_TOKEN", "").strip()):
        return found
    place = file or Path(os.environ.get("HF_TOKEN_PATH", ""))
    try:
        return place.read_text().strip() if place.name else ""
    except (OSError, UnicodeDecodeError):
        return ""


def load(path: Path) -> Plan:
    """The plan in a file. Raises PrestageError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise wrong_plan(f"{path}: {error.strerror}", "give the path of a plan.json") from error
    return parse(content)
