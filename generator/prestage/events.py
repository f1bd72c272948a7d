"""What a run says while it goes on: JSON lines for machines, sentences and a progress bar for people."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TextIO

_SECRETS = re.compile(r"hf_[A-Za-z0-9]{4,}|(?<=Bearer )\S+|(?<=Signature=)[^&\s]+|(?<=X-Amz-Credential=)[^&\s]+")
_BAR = 24  # characters
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class Events:
    """Says what happens, from any thread. `hide` are texts that must never be said, such as the token."""

    def __init__(self, *, as_json: bool, out: TextIO | None = None, hide: tuple[str, ...] = ()) -> None:
        self.as_json, self._out = as_json, out
        self._hide = tuple(text for text in hide if len(text) > 3)
        self._lock = threading.Lock()
        self._bar = ""
        self.retries = 0

    def emit(self, event: str, **facts: Any) -> None:
        """One event. `facts` are strings, numbers, booleans and None."""
        facts = {key: self.safe(value) if isinstance(value, str) else value for key, value in facts.items()}
        with self._lock:
            self.retries += event == "retry"
            if self.as_json:
                now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
                self._write(json.dumps({"time": now, "event": event, **facts}) + "\n")
            elif sentence := _SENTENCES.get(event, _plainly)(facts):
                self._write(self._erased() + sentence + "\n" + self._bar)

    def progress(self, done: int, total: int, started: float) -> None:
        """Redraws the bar, or says one line for machines. `started` by time.monotonic()."""
        speed = done / max(time.monotonic() - started, 1e-3)
        if self.as_json:
            self.emit("progress", bytes=done, total=total, bytes_per_second=round(speed))
        elif self._stream.isatty():
            with self._lock:
                erased, self._bar = self._erased(), bar(done, total, speed)
                self._write(erased + self._bar)

    def end_of_progress(self) -> None:
        """Takes the bar away."""
        with self._lock:
            erased, self._bar = self._erased(), ""
            self._write(erased)

    def safe(self, text: str) -> str:
        """`text` without secrets and on one line."""
        for secret in self._hide:
            text = text.replace(secret, "…")
        return " ".join(_SECRETS.sub("…", text).split())

    def _erased(self) -> str:
        return f"\r{' ' * len(self._bar)}\r" if self._bar else ""

    @property
    def _stream(self) -> TextIO:
        return self._out or (sys.stdout if self.as_json else sys.stderr)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # nobody listens any more; the copy goes on
            pass


def bar(done: int, total: int, speed: float) -> str:
    """`[######------]  52 %  1.0 of 2.0 GiB  310.0 MiB/s  3 s left`"""
    share = min(done / total, 1.0) if total else 1.0
    filled = round(share * _BAR)
    left = f"  {(total - done) / speed:.0f} s left" if speed and done < total else ""
    drawn = f"[{'#' * filled}{'-' * (_BAR - filled)}] {share:4.0%}"
    return f"{drawn}  {amount(done)} of {amount(total)}  {amount(speed)}/s{left}"


def amount(size: float) -> str:
    """Bytes with one digit after the point, in binary units."""
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size:.0f} B"


def _plainly(facts: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())


def _done(facts: dict[str, Any]) -> str:
    if facts["already"]:
        return (
            f"{facts['model']} is already there: {facts['files']} files, {amount(facts['bytes'])} at {facts['target']}"
        )
    if facts.get("held"):
        where = f"{facts['files']} files at {facts['target']}"
        return f"{facts['model']} is copied and waits for its load test: {where}"
    speed = f"{amount(facts['copied'])} in {facts['seconds']:.1f} s, {amount(facts['bytes_per_second'])}/s"
    return f"{facts['model']} is staged: {facts['files']} files at {facts['target']}; copied {speed}"


def _planned(facts: dict[str, Any]) -> str:
    state = "complete" if facts["complete"] else "held for its load test" if facts.get("held") else "not complete"
    return (
        f"{facts['model']}: {facts['files']} files, {amount(facts['bytes'])}; to copy {amount(facts['copy'])}; {state}"
    )


def _tested(facts: dict[str, Any]) -> str:
    state = "was published before" if facts["already"] else "is published"
    size = f"{facts['files']} files, {amount(facts['bytes'])}"
    return f"{facts['model']} has passed its load test, and {state}: {size} at {facts['target']}"


def _newer(facts: dict[str, Any]) -> str:
    adopt = f"to adopt it: modelyard lock --upgrade {facts['model']}, then modelyard render, and commit"
    moved = f"{facts['branch']} has moved from {facts['from'][:12]} to {facts['to'][:12]}"
    return f"{facts['model']}: {moved}, which is at {facts['target']}; {adopt}"


def _ended(facts: dict[str, Any]) -> str:
    why = f": {facts['reason']}" if facts["reason"] else ""
    return f"{facts['model']} at {facts['commit'][:12]}: the Workflow ended as {facts['status'] or 'unknown'}{why}"


def _retry(facts: dict[str, Any]) -> str:
    what = " ".join(str(facts[key]) for key in ("what", "path") if facts.get(key))
    return f"again in {facts['wait']:.1f} s: {what}: {facts['reason']}"


def _failed(facts: dict[str, Any]) -> str:
    return f"failed ({facts['code']}): {facts['reason']}" + (f"\n    hint: {facts['hint']}" if facts["hint"] else "")


_SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "start": lambda f: (
        f"staging {f['model']}, {f['files']} files, {amount(f['bytes'])}: {f['source']} -> {f['target']}"
    ),
    "resumed": lambda f: f"{f['path']}: {amount(f['bytes'])} are there from a run before",
    "file": lambda f: f"{f['path']}: {amount(f['size'])} in {f['seconds']:.1f} s, {amount(f['bytes_per_second'])}/s",
    "kept": lambda f: f"{f['path']}: is there and right",
    "retry": _retry,
    "already": lambda f: f"{f['model']} is there, by {f['by']}",
    "damaged": lambda f: f"{f['path']}: {f['reason']}",
    "warning": lambda f: f"warning: {f['reason']}",
    "waiting": lambda f: f["reason"],
    "ready": lambda f: f"{f['model']} is complete: {f['files']} files, {amount(f['bytes'])} at {f['target']}",
    "planned": lambda f: (
        f"{f['action']}  {amount(f['size']):>10}  {f['path']}" + (f"  {f['reason']}" if f["reason"] else "")
    ),
    "plan": _planned,
    "judged": lambda f: f"{f['path']}: sound: {f['what']}",
    "untested": lambda f: f"{f['path']}: {f['reason']}",
    "fault": lambda f: f"{f['path']}: {f['reason']}",
    "published": lambda f: f"{f['model']} is published at {f['target']}",
    "tested": _tested,
    "current": lambda f: f"{f['model']}: {f['branch']} is still at {f['commit'][:12]}, nothing to do",
    "newer": _newer,
    "ended": _ended,
    "done": _done,
    "failed": _failed,
}
