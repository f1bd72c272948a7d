"""Which failures are tried again, how often, and how long is waited between."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator

import pytest

from generator.prestage.events import Events
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError, Stopped, Transient, mismatch
from generator.prestage.patience import MAX_ASKED, MAX_WAIT, Patience, backoff

DONE = "done"
Failures = list[Exception]


class Clock:
    """Stands for the event that ends a run: waiting is written down."""

    def __init__(self, stopped_in: int = -1) -> None:
        self.waits: list[float] = []
        self._stopped_in = stopped_in

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return len(self.waits) == self._stopped_in

    def is_set(self) -> bool:
        return False


def patience(clock: Clock, *, tries: int = 8, deadline: float | None = None) -> Patience:
    events = Events(as_json=True, out=io.StringIO())
    return Patience(events, tries, 1.0, deadline, clock)  # type: ignore[arg-type]


def failing(failures: Failures) -> Callable[[], str]:
    left: Iterator[Exception] = iter(failures)

    def action() -> str:
        if error := next(left, None):
            raise error
        return DONE

    return action


def bounds(attempt: int) -> tuple[float, float]:
    whole = min(2.0**attempt, MAX_WAIT)
    return whole / 2, whole


@pytest.mark.parametrize("failed", range(8))
def test_waits_double_up_to_the_limit(failed: int) -> None:
    clock = Clock()
    assert patience(clock).call("read", failing([Transient("busy")] * failed)) == DONE
    assert len(clock.waits) == failed
    for number, wait in enumerate(clock.waits, 1):
        low, high = bounds(number)
        assert low <= wait <= high


def test_waits_are_spread() -> None:
    assert len({backoff(3, 1.0) for _ in range(20)}) > 15
    assert backoff(10_000, 1.0) <= MAX_WAIT


@pytest.mark.parametrize(
    ("failure", "tries", "exit"),
    [
        (lambda: Transient("busy"), 8, PrestageExit.TRANSIENT),
        (lambda: mismatch("wrong bytes"), 3, PrestageExit.INTEGRITY),
        (lambda: Transient("no", exit=PrestageExit.FORBIDDEN, hint="ask"), 3, PrestageExit.FORBIDDEN),
    ],
)
def test_patience_ends(failure: Callable[[], Transient], tries: int, exit: PrestageExit) -> None:
    clock = Clock()
    with pytest.raises(PrestageError) as caught:
        patience(clock).call("read", failing([failure() for _ in range(20)]), path="a.json")
    assert len(clock.waits) == tries - 1
    assert (caught.value.exit, caught.value.hint) == (exit, failure().hint)
    assert caught.value.reason == f"read a.json: {failure().reason} ({tries} tries)"


def test_wrong_bytes_do_not_lengthen_a_short_patience() -> None:
    clock = Clock()
    with pytest.raises(PrestageError):
        patience(clock, tries=2).call("read", failing([mismatch("wrong")] * 9))
    assert len(clock.waits) == 1


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [(None, 1, 2), (0.0, 1, 2), (1.5, 1.5, 2), (40.0, 40, 40), (3600.0, MAX_ASKED, MAX_ASKED)],
)
def test_what_a_server_asks_for_is_waited(asked: float | None, least: float, most: float) -> None:
    clock = Clock()
    patience(clock).call("read", failing([Transient("busy", after=asked)]))
    assert least <= clock.waits[0] <= most


def test_progress_gives_more_tries_but_no_shorter_waits() -> None:
    clock, moved = Clock(), iter(range(1000))
    with pytest.raises(PrestageError):
        patience(clock).call("read", failing([Transient("cut")] * 12), progress=lambda: 0)
    assert len(clock.waits) == 7
    clock = Clock()
    assert patience(clock).call("read", failing([Transient("cut")] * 12), progress=lambda: next(moved)) == DONE
    assert len(clock.waits) == 12 and min(clock.waits[5:]) >= MAX_WAIT / 2


def test_failures_after_progress_are_counted_anew() -> None:
    """Seven without, one with, seven without: eight in a row are never reached."""
    reached = iter([0] * 8 + [5] * 100)
    clock = Clock()
    assert patience(clock).call("read", failing([Transient("cut")] * 15), progress=lambda: next(reached)) == DONE


def test_nothing_begins_after_the_deadline() -> None:
    with pytest.raises(PrestageError, match="the deadline passed") as caught:
        patience(Clock(), deadline=time.monotonic() - 1).call("read", failing([]))
    assert caught.value.exit is PrestageExit.TRANSIENT


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    clock = Clock()
    with pytest.raises(PrestageError, match=r"busy.*deadline") as caught:
        patience(clock, deadline=time.monotonic() + 60).call("read", failing([Transient("busy", after=100)]))
    assert clock.waits == [] and caught.value.exit is PrestageExit.TRANSIENT


def test_the_end_of_the_run_ends_waiting() -> None:
    clock = Clock(stopped_in=3)
    with pytest.raises(Stopped):
        patience(clock).call("read", failing([Transient("busy")] * 9))
    assert len(clock.waits) == 3


def test_after_the_end_nothing_begins() -> None:
    ended = Patience(Events(as_json=True, out=io.StringIO()))
    ended.stop.set()
    with pytest.raises(Stopped):
        ended.call("read", failing([]))


def test_every_retry_is_said() -> None:
    out = io.StringIO()
    events = Events(as_json=True, out=out)
    Patience(events, 8, 1.0, None, Clock()).call(  # type: ignore[arg-type]
        "read", failing([Transient("busy"), Transient("cut")]), path="a.json"
    )
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["event"], line["path"], line["reason"], line["attempt"]) for line in lines] == [
        ("retry", "a.json", "busy", 1),
        ("retry", "a.json", "cut", 2),
    ]
    assert events.retries == 2


@pytest.mark.parametrize("error", [PrestageError(PrestageExit.STORAGE, "full"), KeyError("bug")])
def test_what_does_not_pass_is_not_tried_again(error: Exception) -> None:
    clock = Clock()
    with pytest.raises(type(error)):
        patience(clock).call("read", failing([error]))
    assert clock.waits == []
