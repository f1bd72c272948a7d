"""How a run is done, as far as its result does not depend on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from generator.prestage.events import Events
from generator.prestage.limits import MAX_PARTS, MIB, PART, WORKERS, Verify
from generator.prestage.patience import Patience
from generator.prestage.transport import Watch


@dataclass(frozen=True, slots=True)
class Settings:
    """`part` in bytes."""

    events: Events
    patience: Patience
    watch: Watch = field(default_factory=Watch)
    workers: int = WORKERS
    part: int = PART
    verify: Verify = Verify.CHECKSUM
    wait: float = 0.0  # seconds for a source that is not complete yet
    token: str | None = None
    token_secret: str = ""  # name of the Secret that it came from, for hints
    endpoint_url: str | None = None


def part_size(largest: int, wanted: int) -> int:
    """Bytes of a part such that a file of `largest` bytes needs no more than 10,000: whole MiB."""
    needed = -(-largest // MAX_PARTS)
    return max(wanted, -(-needed // MIB) * MIB)
