"""What a service that runs here says of itself, whichever runtime it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from generator.rehearse.fitting import Change

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Voice:
    """`say` hears what happens, `detail` what only -v shows."""

    say: Say
    detail: Say


@dataclass(frozen=True, slots=True)
class Answering:
    """An application that answers at `url`, which has no slash at its end. `kind` is its module: how it is asked."""

    name: str
    kind: str
    url: str


@dataclass(frozen=True, slots=True)
class Served:
    """`ray` and `running` are seconds until each was ready, None where there is no Ray; `alive` tells of now."""

    applications: tuple[Answering, ...]
    ray: float | None
    running: float
    changes: tuple[Change, ...]
    alive: Callable[[], bool]
