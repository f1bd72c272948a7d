"""An S3 bucket that the prestage program writes and the Mountpoint CSI driver mounts (v2.7.0)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator import naming
from generator.caches.base import CacheKind
from generator.plan import Cache, Model


def target(cache: Cache, model: Model) -> Mapping[str, Any]:
    return {"type": "s3", "bucket": cache.bucket or "", "key": model.key}


def volume(cache: Cache, capacity: str) -> Mapping[str, Any]:
    return {
        "type": "s3",
        "bucket": cache.bucket or "",
        "prefix": f"{naming.MODELS_PREFIX}/",
        "mountPath": naming.MODELS_MOUNT,
        "capacity": capacity,
        "credentials": cache.credentials,
    }


KIND = CacheKind(type="s3", target=target, volume=volume, needs_addon="mountpoint-s3-csi-driver")
