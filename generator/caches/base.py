"""What a cache row says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from generator.plan import Model, Platform, Service


def _none(service: Service) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class CacheKind:
    """A kind of cache.

    `target` makes the values that tell the prestage chart where a model goes. `mounts` says how pods of a service see
    their models: items of `{name, claim, subPath, mountPath}`, none where the image has them. `volume` makes the values
    of the PersistentVolume that a service brings, none where it brings none. All are data for static templates; what
    only the cluster knows (bucket, region) is filled in there. `addresses` are those that people read. `labels` are
    those of pods with these mounts, so that the Job which fills a volume finds them.

    `staged`: whether clusters stage it; `bucket`: whether its objects have s3:// addresses; `graph`: whether kro's
    ModelService can mount it; `runtimes`: rows of generator.runtimes that read it.
    """

    type: str
    target: Callable[[Model], Mapping[str, Any]]
    mounts: Callable[[Service], list[dict[str, Any]]]
    volume: Callable[[Service], Mapping[str, Any]]
    addresses: Callable[[Platform, Model], tuple[str, ...]]
    staged: bool = True
    graph: bool = False
    labels: Callable[[Service], Mapping[str, str]] = _none
    runtimes: frozenset[str] = frozenset({"ray"})
