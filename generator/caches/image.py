"""The image of a service holds its models: pods mount nothing, clusters stage nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator import naming
from generator.caches.base import CacheKind
from generator.plan import Baked, Cache, Model, Platform, Service


def baked(cache: Cache) -> Baked:
    """The cache as the kind that it is."""
    if not isinstance(cache, Baked):
        raise TypeError(f"{cache.name} is no cache of images")
    return cache


def target(model: Model) -> Mapping[str, Any]:
    raise TypeError(f"{model.name} is staged by the build of an image")


def mounts(service: Service) -> list[dict[str, Any]]:
    return []


def volume(service: Service) -> Mapping[str, Any]:
    return {}


def addresses(platform: Platform, model: Model) -> tuple[str, ...]:
    return (f"{naming.image_repository(baked(model.cache).repository, '<service>')}, {model.path}",)


KIND = CacheKind(type="image", target=target, mounts=mounts, volume=volume, addresses=addresses, staged=False)
