"""How many threads work at once: as many as make the copy faster, and no more.

Each one more holds a part in memory, competes for processor and link, and loses its part when the run is killed.
A link with long ways or slow connections wants many, one machine that serves itself wants few; so it is measured.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

FIRST = 6
WINDOW = 0.75  # seconds of a measurement
GAIN = 0.2  # the share of what more threads could bring at best that they have to bring
SETTLE = 0.25  # seconds after a change that are not measured
REST = 10.0  # seconds until it is tried again


@dataclass(slots=True)
class Crew:
    """`allowed` of `most` threads may take work. `moved` is the count of bytes so far."""

    most: int
    allowed: int = 0
    _since: float = field(default_factory=time.monotonic)
    _moved: int = 0
    _rests_until: float = 0.0
    _resting: bool = True
    _before: float = 0.0  # bytes per second of fewer
    _smaller: int = 0  # the number that was left for a trial; 0 while none is on

    def __post_init__(self) -> None:
        self.allowed = min(FIRST, self.most)

    def look(self, moved: int, now: float) -> bool:
        """Called several times a second; true when more threads may work than before."""
        if moved == 0 or now < self._rests_until:
            return False
        if self._resting:
            self._since, self._moved, self._resting = now, moved, False
        if now - self._since < WINDOW:
            return False
        rate = (moved - self._moved) / (now - self._since)
        self._since, self._moved = now, moved
        if self._smaller and rate < self._before * (1 + GAIN * (self.allowed / self._smaller - 1)):
            self.allowed, self._smaller = self._smaller, 0
            self._rest(now + REST)
            return False
        return self._try_more(rate, now)

    def _rest(self, until: float) -> None:
        """A measurement begins afresh, and not before `until`."""
        self._rests_until, self._resting = until, True

    def _try_more(self, rate: float, now: float) -> bool:
        if self.allowed == self.most:
            self._smaller = 0
            self._rest(now + REST)
            return False
        self._before, self._smaller = rate, self.allowed
        self.allowed = min(self.allowed * 2, self.most)
        self._rest(now + SETTLE)
        return True
