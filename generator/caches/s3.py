"""An S3 bucket that the prestage program writes and the Mountpoint CSI driver mounts (v2.7.0)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from generator import naming
from generator.caches.base import CacheKind
from generator.plan import Cache, Model


def target(cache: Cache, model: Model) -> Mapping[str, Any]:
    return {"type": "s3", "bucket": cache.bucket or "", **_regions(cache), "key": model.key}


def volume(cache: Cache, capacity: str) -> Mapping[str, Any]:
    return {
        "type": "s3",
        "bucket": cache.bucket or "",
        **_regions(cache),
        "prefix": f"{naming.MODELS_PREFIX}/",
        "mountPath": naming.MODELS_MOUNT,
        "capacity": capacity,
        "credentials": cache.credentials,
    }


def _regions(cache: Cache) -> Mapping[str, Any]:
    return {"regions": [asdict(region) for region in cache.regions]} if cache.regions else {}


KIND = CacheKind(type="s3", target=target, volume=volume, needs_addon="mountpoint-s3-csi-driver")
