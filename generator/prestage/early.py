"""Signals before the rest is imported; this module imports next to nothing."""

import os
import signal
import sys


def listen() -> None:
    """As process 1 of a container nothing would hear SIGTERM while modules are still imported."""
    signal.signal(signal.SIGTERM, _before_it_began)


def _before_it_began(number: int, frame: object) -> None:
    from generator.prestage.events import Events

    code = 128 + number
    events = Events(as_json=not sys.stdout.isatty())
    events.emit("failed", exit=code, code="interrupted", reason="interrupted before it began", hint="run again")
    os._exit(code)
