"""What a cache row says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from generator.plan import Cache, Model


@dataclass(frozen=True, slots=True)
class CacheKind:
    """A kind of cache.

    `target` makes the values that tell the prestage chart where a model goes, `volume` those that tell the service
    charts and the RGD how pods see it. Both are data for static templates; what only the cluster knows (bucket,
    region) is filled in there.
    """

    type: str
    target: Callable[[Cache, Model], Mapping[str, Any]]
    volume: Callable[[Cache, str], Mapping[str, Any]]  # (cache, capacity)
    needs_addon: str  # cluster software without which nothing mounts
