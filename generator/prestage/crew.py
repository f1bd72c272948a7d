"""How many threads work at once: as many as make the copy faster, and no more.

Each one more holds a part in memory, competes for processor and link, and loses its part when the run is killed.
A link with long ways or slow connections wants many, one machine that serves itself wants few; so it is measured.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

FIRST = 4
WINDOW = 0.75  # seconds of a measurement
GAIN = 1.2  # what twice as many have to bring to stay
REST = 30.0  # seconds until it is tried again


@dataclass(slots=True)
class Crew:
    """`allowed` of `most` threads may take work. `moved` is the count of bytes so far."""

    most: int
    allowed: int = 0
    _since: float = field(default_factory=time.monotonic)
    _moved: int = 0
    _before: float = 0.0  # bytes per second of half as many
    _smaller: int = 0  # the number that was left for a trial; 0 while none is on

    def __post_init__(self) -> None:
        self.allowed = min(FIRST, self.most)

    def look(self, moved: int, now: float) -> bool:
        """Called several times a second; true when more threads may work than before."""
        if moved == 0 or now < self._since:
            self._since, self._moved = max(now, self._since), moved
            return False
        if now - self._since < WINDOW:
            return False
        rate = (moved - self._moved) / (now - self._since)
        self._since, self._moved = now, moved
        if self._smaller and rate < self._before * GAIN:
            self.allowed, self._smaller, self._since = self._smaller, 0, now + REST
            return False
        return self._try_more(rate)

    def _try_more(self, rate: float) -> bool:
        if self.allowed == self.most:
            self._smaller, self._since = 0, self._since + REST
            return False
        self._before, self._smaller = rate, self.allowed
        self.allowed = min(self.allowed * 2, self.most)
        return True
