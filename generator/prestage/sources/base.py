"""What a source can do."""

from __future__ import annotations

from typing import Protocol

from generator.prestage.plan import File


class Source(Protocol):
    """Files at one commit. Its methods are called by several threads; they raise Transient and PrestageError."""

    @property
    def name(self) -> str:
        """For people: what is read, without any secret."""

    def files(self) -> tuple[File, ...]:
        """What is to be staged, with digests, sorted by path. Asks only where the plan has no list."""

    def close(self) -> None:
        """Ends what is kept open for the next read."""

    def read(self, file: File, start: int, view: memoryview) -> int:
        """Fills `view` from byte `start` on; returns how many bytes one try gave, which may be fewer."""
