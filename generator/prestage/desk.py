"""Hands jobs to a few threads, each with a buffer of its own, until all is done or one of them fails."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from generator.prestage.crew import Crew
from generator.prestage.settings import Settings

Job = Callable[[bytearray], None]
"""What a thread does, with its buffer."""

TICK = 0.25  # seconds between two looks at how it goes
BAR_EVERY, LINE_EVERY = 0.5, 15.0  # seconds between two words on progress, to people and to machines
DYING = 3.0  # seconds that threads have to notice the end


class Desk:
    """`copied`: bytes that came from the source; `done`: these and those that were there. One use of `run`."""

    def __init__(self, settings: Settings, most: int, buffer: int, stopping: Callable[[], None]) -> None:
        """`most` threads, buffers of `buffer` bytes; `stopping` wakes jobs that wait for each other."""
        self._settings, self._buffer, self._stopping = settings, buffer, stopping
        self._crew = Crew(most)
        self._threads = [threading.Thread(target=self._work, name=f"part-{i}", daemon=True) for i in range(most)]
        self._changed = threading.Condition()
        self._urgent: deque[Job] = deque()
        self._jobs: deque[Job] = deque()
        self._left = self._busy = 0
        self._error: BaseException | None = None
        self.copied = self.done = 0

    def add(self, job: Job) -> None:
        """A job that waits until nothing is urgent."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def add_urgent(self, jobs: Iterable[Job]) -> None:
        """Jobs that go on with something that was begun; done in this order."""
        with self._changed:
            self._urgent.extend(jobs)
            self._changed.notify_all()

    def count(self, done: int, copied: int = 0, ended: int = 0) -> None:
        """Bytes, and how many of the things that `run` waits for have ended."""
        with self._changed:
            self.done += done
            self.copied += copied
            self._left -= ended
            if ended:
                self._changed.notify_all()

    def run(self, things: int, total: int) -> None:
        """Until as many things have ended; `total` in bytes. Raises what a job raises, and Stopped."""
        self._left = things
        try:
            for thread in self._threads:
                thread.start()
            self._wait(total)
        finally:
            self._settings.events.end_of_progress()
            if self._left:
                self._stop()
        if self._error:
            raise self._error

    def _wait(self, total: int) -> None:
        started = said = time.monotonic()
        every = LINE_EVERY if self._settings.events.as_json else BAR_EVERY
        while self._left and self._error is None:
            with self._changed:
                self._changed.wait(TICK)
            self._settings.patience.check()
            self._settings.watch.look()
            if self._crew.look(self._settings.watch.received or self.copied, time.monotonic()):
                with self._changed:
                    self._changed.notify_all()
            if time.monotonic() - said >= every:
                said = time.monotonic()
                self._settings.events.progress(self.done, total, started)

    def _stop(self) -> None:
        """Ends what goes on; a thread that waits for a socket is left behind."""
        self._settings.patience.stop.set()
        self._settings.watch.close()
        self._stopping()
        with self._changed:
            self._changed.notify_all()
        until = time.monotonic() + DYING
        for thread in (thread for thread in self._threads if thread.ident):
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        buffer = bytearray()
        try:
            while job := self._next():
                buffer = buffer or bytearray(self._buffer)  # not before there is work for so many
                try:
                    job(buffer)
                finally:
                    with self._changed:
                        self._busy -= 1
                        self._changed.notify()
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()

    def _next(self) -> Job | None:
        with self._changed:
            while self._left and self._error is None and not self._settings.patience.stop.is_set():
                if self._busy < self._crew.allowed and (self._urgent or self._jobs):
                    self._busy += 1
                    return (self._urgent or self._jobs).popleft()
                self._changed.wait()
        return None
