"""One file on its way in parts: fetched and stored in any order, hashed in theirs."""

from __future__ import annotations

import threading
from collections.abc import Callable

from generator.prestage.digest import Digest, crc32_combine
from generator.prestage.faults import Stopped
from generator.prestage.plan import File
from generator.prestage.targets.base import Upload


class Transfer:
    """Counts parts from 1. A part's buffer is held until it is hashed and stored, which bounds the memory."""

    def __init__(self, file: File, upload: Upload, part: int, digest: Digest) -> None:
        self.file, self.upload, self.part, self.digest = file, upload, part, digest
        self.parts = -(-file.size // part)
        self.crc32 = upload.crc32
        self.over = False
        self._hashed = self._stored = upload.done
        self._states: dict[int, tuple[str | None, int]] = {}
        self._waiting: set[int] = set()
        self._turn = threading.Condition()

    def missing(self) -> range:
        """The numbers of the parts that are to be fetched."""
        return range(self.upload.done + 1, self.parts + 1)

    def place(self, number: int) -> tuple[int, int]:
        """Start and length of a part, in bytes."""
        start = (number - 1) * self.part
        return start, min(self.part, self.file.size - start)

    def hash(self, number: int, view: memoryview, crc32: int, write: Callable[[memoryview], None]) -> None:
        """Waits for the part's turn. `write` is called in turn too. Raises Stopped when the transfer is over."""
        with self._turn:
            while self._hashed != number - 1 and not self.over:
                self._turn.wait()
            if self.over:
                raise Stopped
        # Nobody else is at this turn, so the lock need not be held while hashing.
        self.digest.update(view)
        write(view)
        self.crc32 = crc32_combine(self.crc32, crc32, view.nbytes)
        state = self.digest.state() if number < self.parts else None
        with self._turn:
            self._states[number] = (state, self.crc32)
            self._hashed = number
            self._turn.notify_all()

    def stored(self, number: int) -> bool:
        """The part is at the target. True for the last of all."""
        with self._turn:
            self._waiting.add(number)
            before = self._stored
            while self._stored + 1 in self._waiting:
                self._stored += 1
                self._waiting.remove(self._stored)
                state, crc32 = self._states.pop(self._stored)
            done, last = self._stored, self._stored == self.parts
        if before < done < self.parts:
            self.upload.advanced(done, state, crc32)
        return last

    def end(self) -> None:
        """Wakes whoever waits for a turn that will not come."""
        with self._turn:
            self.over = True
            self._turn.notify_all()
