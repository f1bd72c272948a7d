"""An S3 bucket that the prestage program writes and the Mountpoint CSI driver mounts (v2.7.0)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from generator import naming
from generator.caches.base import CacheKind
from generator.plan import Bucket, Cache, Model, Platform, S3Server, Service


def bucket(cache: Cache) -> Bucket:
    """The cache as the kind that it is."""
    if not isinstance(cache, Bucket):
        raise TypeError(f"{cache.name} is no S3 bucket")
    return cache


def target(model: Model) -> Mapping[str, Any]:
    cache = bucket(model.cache)
    return {"type": "s3", "bucket": cache.bucket or "", **_regions(cache), **_server(cache), "key": model.key}


def mounts(service: Service) -> list[dict[str, Any]]:
    return [{"name": "models", "claim": naming.models_claim(service.name), "mountPath": naming.MODELS_MOUNT}]


def volume(service: Service) -> Mapping[str, Any]:
    cache = bucket(service.cache)
    return {
        "type": "s3",
        "bucket": cache.bucket or "",
        **_regions(cache),
        **_server(cache),
        "prefix": f"{naming.MODELS_PREFIX}/",
        "mountPath": naming.MODELS_MOUNT,
        "capacity": service.capacity,
        "credentials": cache.credentials,
    }


def addresses(platform: Platform, model: Model) -> tuple[str, ...]:
    cache = bucket(model.cache)
    names = tuple(region.bucket for region in cache.regions) or (
        cache.bucket or f"{platform.prefix}-ray-models-<account>",
    )
    return tuple(f"s3://{name}/{model.key}/" for name in names)


def _regions(cache: Bucket) -> Mapping[str, Any]:
    return {"regions": [asdict(region) for region in cache.regions]} if cache.regions else {}


def _server(cache: Bucket) -> Mapping[str, Any]:
    return {"server": asdict(cache.server)} if cache.server else {}


def port(server: S3Server) -> int:
    """TCP port of the server's endpoint."""
    address = urlsplit(server.endpoint)
    return address.port or (443 if address.scheme == "https" else 80)


def namespace(server: S3Server) -> str | None:
    """Namespace of a Service of the cluster itself, by its DNS name; None for a server elsewhere."""
    return naming.namespace_of(urlsplit(server.endpoint).hostname or "")


KIND = CacheKind(type="s3", target=target, mounts=mounts, volume=volume, addresses=addresses, graph=True)
