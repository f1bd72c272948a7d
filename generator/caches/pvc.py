"""A PersistentVolumeClaim for each model and commit. A new commit is a new claim: no writer meets a reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from generator import naming
from generator.caches.base import CacheKind
from generator.plan import Cache, Claims, Model, Platform, Service
from generator.quantities import gibibytes


def claims(cache: Cache) -> Claims:
    """The cache as the kind that it is."""
    if not isinstance(cache, Claims):
        raise TypeError(f"{cache.name} is no cache of claims")
    return cache


def size(model: Model) -> str:
    """Size of the claim, a Kubernetes quantity; checks saw to it that the lock has one where models.yaml has none."""
    cache = claims(model.cache)
    return cache.size or gibibytes(int((model.size or 0) * 1.1))


def target(model: Model) -> Mapping[str, Any]:
    cache = claims(model.cache)
    return {
        "type": "pvc",
        "claim": naming.claim(model.name, model.commit),
        "size": size(model),
        "accessMode": cache.access_mode,
        "storageClass": cache.storage_class,
        **({"made": asdict(cache.made)} if cache.made else {}),
        "key": model.key,
    }


def read_by(service: Service) -> tuple[Model, ...]:
    """The models of the service, each once."""
    return tuple({model.name: model for application in service.applications for model in application.models}.values())


def mounts(service: Service) -> list[dict[str, Any]]:
    return [
        {
            "name": f"model-{index}",
            "claim": naming.claim(model.name, model.commit),
            "subPath": model.key,
            "mountPath": model.path,
        }
        for index, model in enumerate(read_by(service))
    ]


def labels(service: Service) -> Mapping[str, str]:
    return {naming.claim_label(naming.claim(model.name, model.commit)): "" for model in read_by(service)}


def volume(service: Service) -> Mapping[str, Any]:
    return {}


def addresses(platform: Platform, model: Model) -> tuple[str, ...]:
    return (f"pvc://{naming.claim(model.name, model.commit)}/{model.key}",)


KIND = CacheKind(
    type="pvc",
    target=target,
    mounts=mounts,
    volume=volume,
    addresses=addresses,
    labels=labels,
    runtimes=frozenset({"ray", "kserve"}),
)
