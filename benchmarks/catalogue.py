"""Makes catalogues of any size: N models, each with one service, all locked with sizes and digests."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

HEAD = """\
apiVersion: modelyard.dev/v1alpha1
kind: ModelCatalog
platform:
  prefix: bench
  repository:
    url: https://git.example.com/platform/gitops.git
  images:
    prestage: registry.example.com/platform/modelyard-prestage:0.1.0
clusters:
  - name: hub
    provider: eks
caches:
  - name: s3
    type: s3
"""
FILES = ("config.json", "generation_config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json")


def write(folder: Path, size: int, *, changed: int | None = None) -> Path:
    """A catalogue of `size` models and its lock in `folder`; model number `changed` asks for another commit."""
    folder.mkdir(parents=True, exist_ok=True)
    catalogue = folder / "models.yaml"
    models = "".join(_model(i) for i in range(size))
    services = "".join(_service(i) for i in range(size))
    catalogue.write_text(f"{HEAD}models:\n{models}services:\n{services}", encoding="utf-8")
    entries = "".join(_lock_entry(i, i == changed) for i in range(size))
    lock = f"apiVersion: modelyard.dev/v1alpha1\nkind: ModelLock\nmodels:\n{entries}"
    (folder / "models.lock.yaml").write_text(lock, encoding="utf-8")
    return catalogue


def _model(i: int) -> str:
    return (
        f"  - name: model-{i:05d}\n    title: Model {i}\n    source:\n      huggingface: org/model-{i:05d}\n    cache: s3\n"
    )


def _service(i: int) -> str:
    return (
        f"  - name: service-{i:05d}\n    clusters: [hub]\n    applications:\n      - model: model-{i:05d}\n"
        f"        route: /generate\n        replicas:\n          min: 1\n          max: 2\n"
    )


def _digest(*parts: object) -> str:
    return sha256(repr(parts).encode()).hexdigest()


def _lock_entry(i: int, changed: bool) -> str:
    files = "".join(
        f"      sha256:{_digest(i, name)} {1000 + i if name != 'model.safetensors' else 2_000_000_000 + i} {name}\n"
        for name in FILES
    )
    total = 2_000_000_000 + i + (len(FILES) - 1) * (1000 + i)
    return (
        f"  model-{i:05d}:\n"
        f"    source:\n      huggingface: org/model-{i:05d}\n      revision: main\n"
        f'    commit: "{_digest(i, changed)[:40]}"\n    license: apache-2.0\n    gated: false\n    dtype: BF16\n'
        f"    parameters: 1000000000\n    contextLength: 2048\n    kv:\n      layers: 22\n      heads: 4\n      headDim: 64\n"
        f"    size: {total}\n    weights: {2_000_000_000 + i}\n    files: |\n{files}"
    )
