"""Reads of a source or a target that are taken up where a line broke, and digests of what was read."""

from __future__ import annotations

from collections.abc import Callable

from generator.prestage.digest import Digest, crc32
from generator.prestage.faults import Transient
from generator.prestage.patience import Patience

Read = Callable[[int, memoryview], int]
"""Fills a view from a byte on; returns how many bytes one try gave."""


def fill(read: Read, start: int, view: memoryview, patience: Patience, path: str) -> None:
    """All of `view` from byte `start` on."""
    done = 0

    def once() -> None:
        nonlocal done
        done += read(start + done, view[done:])
        if done < view.nbytes:
            raise Transient("the answer ends early")

    if view.nbytes:
        patience.call("read", once, path=path, progress=lambda: done)


def digested(digest: Digest, read: Read, end: int, buffer: bytearray, patience: Patience, path: str) -> int:
    """Feeds the first `end` bytes to `digest`, through `buffer`; returns their CRC-32."""
    crc = 0
    for start in range(0, end, len(buffer)):
        view = memoryview(buffer)[: min(len(buffer), end - start)]
        fill(read, start, view, patience, path)
        digest.update(view)
        crc = crc32(view, crc)
    return crc
