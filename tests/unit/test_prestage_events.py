"""What a run says: lines that machines can read, sentences and a bar for people, and never a secret."""

from __future__ import annotations

import io
import json
import threading
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.prestage.events import Events, amount, bar

TOKEN = "a-token-of-no-known-form"
SAID: dict[str, dict[str, Any]] = {
    "start": {"model": "tiny", "files": 3, "bytes": 2048, "source": "hub/org/tiny@c", "target": "s3://b/p"},
    "resumed": {"path": "a.bin", "bytes": 6 * 2**20},
    "file": {"path": "a.bin", "size": 2**20, "seconds": 0.5, "bytes_per_second": 2**21},
    "kept": {"path": "a.bin", "size": 1},
    "retry": {"what": "read", "path": "a.bin", "reason": "busy", "attempt": 1, "wait": 0.5},
    "already": {"model": "tiny", "by": "its manifest"},
    "damaged": {"path": "a.bin", "reason": "is not there"},
    "warning": {"reason": "leftovers stay"},
    "waiting": {"reason": "another run is writing here"},
    "planned": {"path": "a.bin", "size": 5, "action": "copy", "reason": ""},
    "plan": {"model": "tiny", "files": 1, "bytes": 5, "copy": 5, "complete": False},
    "failed": {"exit": 75, "code": "transient", "reason": "busy", "hint": "run again"},
    "another": {"fact": 7},
}
DONE = {"model": "tiny", "files": 3, "bytes": 2**20, "target": "here", "copied": 2**20, "seconds": 2.0}
SAID["done"] = {**DONE, "bytes_per_second": 2**19, "already": False}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def shown(text: str) -> str:
    """What stands on a terminal after this."""
    lines = [""]
    for part in text.replace("\n", "\0\n").split("\0"):
        if part.startswith("\n"):
            lines.append("")
        for place, run in enumerate(part.removeprefix("\n").split("\r")):
            lines[-1] = run + lines[-1][len(run) :] if place else lines[-1] + run
    return "\n".join(line.rstrip() for line in lines)


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("event", sorted(SAID))
def test_a_json_line_holds_every_fact(event: str) -> None:
    out = io.StringIO()
    Events(as_json=True, out=out).emit(event, **SAID[event])
    (line,) = lines(out)
    assert line.pop("event") == event
    stamp = line.pop("time")
    assert stamp.endswith("Z") and datetime.fromisoformat(stamp).utcoffset() == timedelta(0)
    assert line == SAID[event]


@pytest.mark.parametrize("event", sorted(SAID))
def test_a_sentence_names_what_matters(event: str) -> None:
    out = io.StringIO()
    Events(as_json=False, out=out).emit(event, **SAID[event])
    text, facts = out.getvalue(), SAID[event]
    assert text.endswith("\n") and text.count("\n") == (2 if event == "failed" else 1)
    assert all(facts[key] in text for key in ("path", "reason", "hint", "by") if key in facts)


def test_a_copy_that_was_there_says_so() -> None:
    out = io.StringIO()
    Events(as_json=False, out=out).emit("done", **{**SAID["done"], "already": True})
    assert "already" in out.getvalue() and "1.0 MiB" in out.getvalue()


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        (f"the answer holds {TOKEN} once more", TOKEN),
        ("Authorization: Bearer eyJhbGciOi.x.y", "eyJhbGciOi"),
        ("token hf_abcDEF123456 refused", "hf_abc"),
        ("https://cdn/x?X-Amz-Credential=AKIA%2F1&X-Amz-Signature=0fe1&z=1", "0fe1"),
        ("https://cdn/x?X-Amz-Credential=AKIA%2F1&X-Amz-Signature=0fe1&z=1", "AKIA"),
        ("https://cdn/x?Expires=1&Signature=abc~&Key-Pair-Id=K", "abc~"),
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_secrets_are_never_said(text: str, gone: str, as_json: bool) -> None:
    out = io.StringIO()
    events = Events(as_json=as_json, out=out, hide=(TOKEN, ""))
    events.emit("warning", reason=text)
    assert gone not in out.getvalue() and "…" in events.safe(text)


def test_texts_of_servers_stay_on_one_line() -> None:
    out = io.StringIO()
    Events(as_json=False, out=out).emit("warning", reason="first\r\nfailed (0): all is well")
    assert out.getvalue().count("\n") == 1 and "\r" not in out.getvalue()


@pytest.mark.parametrize("as_json", [True, False])
def test_it_goes_on_when_nobody_listens(as_json: bool) -> None:
    events = Events(as_json=as_json, out=Gone())
    events.emit("warning", reason="x")
    events.progress(1, 2, time.monotonic())
    events.end_of_progress()
    closed = io.StringIO()
    closed.close()
    Events(as_json=as_json, out=closed).emit("warning", reason="x")


def test_lines_of_many_threads_are_whole() -> None:
    out = io.StringIO()
    events = Events(as_json=True, out=out)

    def says() -> None:
        for _ in range(50):
            events.emit("retry", what="x")

    work = [threading.Thread(target=says) for _ in range(8)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert len(lines(out)) == events.retries == 400


def test_the_bar_stays_below_the_sentences_and_goes() -> None:
    out = Terminal()
    events = Events(as_json=False, out=out)
    events.progress(1024, 4096, time.monotonic())
    assert "25%" in shown(out.getvalue()).splitlines()[-1]
    events.emit("kept", path="a.json", size=1)
    above, below = shown(out.getvalue()).splitlines()
    assert above == "a.json: is there and right" and "25%" in below
    events.progress(4096, 4096, time.monotonic())
    assert "100%" in shown(out.getvalue()).splitlines()[-1]
    events.end_of_progress()
    assert shown(out.getvalue()) == "a.json: is there and right\n"


def test_no_bar_where_no_terminal_is() -> None:
    out = io.StringIO()
    Events(as_json=False, out=out).progress(1, 2, time.monotonic())
    assert out.getvalue() == ""
    Events(as_json=True, out=out).progress(1, 2, time.monotonic())
    (line,) = lines(out)
    assert (line["event"], line["bytes"], line["total"]) == ("progress", 1, 2)


@pytest.mark.parametrize(
    ("done", "total", "speed", "expected"),
    [
        (0, 0, 0.0, "[########################] 100%  0 B of 0 B  0 B/s"),
        (0, 2**30, 0.0, "[------------------------]   0%  0 B of 1.0 GiB  0 B/s"),
        (2**29, 2**30, 2**28, "[############------------]  50%  512.0 MiB of 1.0 GiB  256.0 MiB/s  2 s left"),
        (3 * 2**30, 2**30, 1.0, "[########################] 100%  3.0 GiB of 1.0 GiB  1 B/s"),
    ],
)
def test_bar(done: int, total: int, speed: float, expected: str) -> None:
    assert bar(done, total, speed) == expected


@pytest.mark.parametrize(
    ("size", "expected"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (2**50, "1024.0 TiB")]
)
def test_amount(size: int, expected: str) -> None:
    assert amount(size) == expected


@given(st.text(min_size=4, max_size=12), st.text(max_size=20), st.text(max_size=20))
def test_a_hidden_text_is_gone_whatever_it_is(secret: str, before: str, after: str) -> None:
    said = Events(as_json=True, out=io.StringIO(), hide=(secret,)).safe(before + secret + after)
    assert secret not in said or secret in before + "…" + after or secret in " ".join((before + "…" + after).split())
