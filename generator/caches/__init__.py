"""The kinds of cache: a module and a row each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from generator.caches import image, pvc, s3
from generator.caches.base import CacheKind

CACHES: Mapping[str, CacheKind] = MappingProxyType({kind.type: kind for kind in (s3.KIND, pvc.KIND, image.KIND)})

__all__ = ["CACHES", "CacheKind"]
