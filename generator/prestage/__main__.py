"""`python -m generator.prestage`, as the Job runs it."""

import os
import signal

# As process 1 of a container it would not hear SIGTERM while it still imports.
signal.signal(signal.SIGTERM, lambda number, frame: os._exit(128 + number))

from generator.prestage.command import program  # noqa: E402 - after the line above

program()
