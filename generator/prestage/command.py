"""The command line: options, signals, the reason of a failure, the exit status."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import click

from generator.prestage.events import Events
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError, Stopped, Transient, wrong_plan
from generator.prestage.limits import WORKERS, Verify
from generator.prestage.options import options
from generator.prestage.outcome import Outcome
from generator.prestage.patience import Patience, deadline_passed
from generator.prestage.plan import Plan, parse
from generator.prestage.settings import Settings

TICK = 0.1  # seconds between two looks at whether the run has ended
GRACE = 6.0  # seconds that a run has to end after a signal; Kubernetes allows 30, of which some are gone
TELL, TELL_INTERRUPTED = 5.0, 2.0  # seconds for metrics and notifications
TERMINATION_LOG = "/dev/termination-log"  # where the kubelet reads why a container ended


@click.command(name="python -m generator.prestage", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path))
@options
def main(plan_file: Path, **given: Any) -> NoReturn:
    """Copy a model to S3 or a volume, verified, exactly once.

    PLAN is the plan.json that `modelyard render` wrote for the Job.

    \b
    HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH  the Hub and its token
    AWS_*                                 credentials, region, AWS_ENDPOINT_URL
    MODELYARD_WEBHOOK_URL                 told how it ended (Slack and alike)

    Exit status: 0 done or already there; 64 the plan or an argument is wrong; 65 wrong bytes; 66 not found at the
    source; 73 the target is full or refuses; 75 a fault that may pass; 77 the Hub refuses; 143 interrupted.
    """
    leave(lambda: run(lambda: load(plan_file), **given))


def program() -> NoReturn:
    """`main` with exit statuses that the Job knows: click's own would be tried again and again."""
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


def run(
    read: Callable[[], Plan],
    *,
    target: str | None,
    source: str | None = None,
    preview: bool = False,
    verify: str = Verify.CHECKSUM,
    workers: int = WORKERS,
    deadline: float | None = None,
    token_file: Path | None = None,
    endpoint_url: str | None = None,
    metrics_file: Path | None = None,
    push_gateway: str | None = None,
    notify_sns: str | None = None,
    output: str = "auto",
) -> int:
    """One run from start to end: says what happens, and returns the exit status."""
    started = time.monotonic()
    token = _token(token_file)
    webhook = os.environ.get("MODELYARD_WEBHOOK_URL", "")
    events = Events(as_json=output == "json" or (output == "auto" and not sys.stdout.isatty()), hide=(token, webhook))
    patience = Patience(events, deadline=started + deadline if deadline else None)
    settings = Settings(
        events,
        patience,
        workers=workers,
        verify=Verify(verify),
        token=token or None,
        token_secret=os.environ.get("MODELYARD_TOKEN_SECRET", ""),
        endpoint_url=endpoint_url,
    )
    ended = _watched(lambda: _attempt(read, source, target, settings, started, preview=preview), settings)
    if ended is None:
        error = _interruption(patience) if patience.stopped_by else deadline_passed()
        _failed(error, events)
        return int(error.exit)
    if isinstance(ended, Outcome):
        from generator.prestage.announcing import announce  # the copy need not wait for it

        told = announce(
            ended,
            metrics_file=metrics_file,
            gateway=push_gateway,
            topic=notify_sns,
            webhook=webhook,
            timeout=TELL_INTERRUPTED if patience.stopped_by else TELL,
        )
        for fault in told:
            events.emit("warning", reason=str(fault))
        return ended.exit
    return ended


def _watched(action: Callable[[], Outcome | int], settings: Settings) -> Outcome | int | None:
    """`action` in a thread of its own, so that a signal is heard whatever it waits for; None when it did not stop."""
    ended: list[Outcome | int | BaseException] = []

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
    """SIGTERM and SIGINT end the run where it stands; nothing is raised out of a handler."""

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


def _attempt(
    read: Callable[[], Plan],
    source: str | None,
    target: str | None,
    settings: Settings,
    started: float,
    *,
    preview: bool,
) -> Outcome | int:
    """The outcome, or just an exit status where nothing was to be done."""
    from generator.prestage import run as flow  # imports what a --help does not need

    gc.freeze()  # what was imported is not looked through again and again
    tally, plan, events = flow.Tally(), None, settings.events
    try:
        plan = read()
        if preview:
            return PrestageExit.INTEGRITY if flow.preview(plan, source, target, settings) else PrestageExit.DONE
        if target is None:
            raise wrong_plan("--target is missing", "add --target s3://bucket/prefix")
        flow.stage(plan, source, target, settings, tally)
        error = None
    except PrestageError as fault:
        error = fault
    except Transient as fault:
        error = PrestageError(fault.exit, fault.reason, fault.hint)
    except Stopped:
        error = _interruption(settings.patience)
    if error:
        _failed(error, events)
    if plan is None:
        return int(error.exit) if error else PrestageExit.DONE
    ended = flow.outcome(plan, target or "", tally, started, events.retries, error)
    ended = replace(ended, reason=events.safe(ended.reason))
    if error is None:
        events.emit(
            "done",
            model=plan.model,
            commit=plan.commit,
            target=ended.target,
            files=ended.files,
            bytes=ended.bytes_total,
            copied=ended.bytes_copied,
            seconds=ended.seconds,
            bytes_per_second=round(ended.bytes_copied / max(ended.seconds, 1e-3)),
            retries=ended.retries,
            already=ended.already,
        )
    return ended


def _failed(error: PrestageError, events: Events) -> None:
    events.emit("failed", exit=int(error.exit), code=error.exit.name.lower(), reason=error.reason, hint=error.hint)
    with suppress(OSError):
        log = os.open(TERMINATION_LOG, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)  # only where the kubelet made it
        with os.fdopen(log, "w") as file:
            file.write(events.safe(f"{error.exit.name.lower()}: {error.reason}. {error.hint}")[:4000] + "\n")


def _token(file: Path | None) -> str:
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
