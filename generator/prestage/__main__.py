"""`python -m generator.prestage`, as the Job runs it."""

import os
import signal
import sys


def _before_it_began(number: int, frame: object) -> None:
    """As process 1 of a container nothing would hear SIGTERM while modules are still imported."""
    from generator.prestage.events import Events

    code = 128 + number
    events = Events(as_json=not sys.stdout.isatty())
    events.emit("failed", exit=code, code="interrupted", reason="interrupted before it began", hint="run again")
    os._exit(code)


signal.signal(signal.SIGTERM, _before_it_began)

from generator.prestage.command import program  # noqa: E402 - after the line above

program()
