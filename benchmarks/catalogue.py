"""Makes catalogues of any size: N models, each with one service, all locked with sizes and digests."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from generator import lock, yamlio
from generator.lock import KvShape, Lock, LockedFile, LockedModel, ModelSource

PLATFORM = {
    "prefix": "bench",
    "repository": {"url": "https://git.example.com/platform/gitops.git"},
    "images": {"prestage": "registry.example.com/platform/modelyard-prestage:0.1.0"},
}
FILES = ("config.json", "generation_config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json")


def write(folder: Path, size: int, *, changed: int | None = None) -> Path:
    """A catalogue of `size` models and its lock in `folder`; model number `changed` asks for another commit."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {
        "apiVersion": "modelyard.dev/v1alpha1",
        "kind": "ModelCatalog",
        "platform": PLATFORM,
        "clusters": [{"name": "hub", "provider": "eks"}],
        "caches": [{"name": "s3", "type": "s3"}],
        "models": [_model(i) for i in range(size)],
        "services": [_service(i) for i in range(size)],
    }
    catalogue = folder / "models.yaml"
    catalogue.write_bytes(yamlio.dump(data))
    entries = {f"model-{i:05d}": _locked(i, i == changed) for i in range(size)}
    (folder / lock.FILE).write_bytes(lock.write(Lock(entries)))
    return catalogue


def _model(i: int) -> Mapping[str, Any]:
    source = {"huggingface": f"org/model-{i:05d}"}
    return {"name": f"model-{i:05d}", "title": f"Model {i}", "source": source, "cache": "s3"}


def _service(i: int) -> Mapping[str, Any]:
    application = {"model": f"model-{i:05d}", "route": "/generate", "replicas": {"min": 1, "max": 2}}
    return {"name": f"service-{i:05d}", "clusters": ["hub"], "applications": [application]}


def _locked(i: int, changed: bool) -> LockedModel:
    files = tuple(
        LockedFile(name, 2_000_000_000 + i if name == "model.safetensors" else 1000 + i, f"sha256:{_digest(i, name)}")
        for name in FILES
    )
    return LockedModel(
        source=ModelSource(f"org/model-{i:05d}"),
        commit=_digest(i, changed)[:40],
        license="apache-2.0",
        gated=False,
        dtype="BF16",
        parameters=1_000_000_000,
        context_length=2048,
        kv=KvShape(layers=22, heads=4, head_dim=64),
        size=sum(file.size for file in files),
        weights=2_000_000_000 + i,
        files=files,
    )


def _digest(*parts: object) -> str:
    return sha256(repr(parts).encode()).hexdigest()
