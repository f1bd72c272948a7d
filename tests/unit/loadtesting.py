"""Models for the load test, sound and damaged, made on the spot, and copies of them that wait for it."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from generator.prestage import manifest
from generator.prestage.manifest import Entry
from generator.prestage.plan import Plan
from tests.standins import weights
from tests.standins.vocabularies import vocabulary
from tests.unit import prestaging

INDEX = "model.safetensors.index.json"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
TOKENIZER = vocabulary()
CONFIG = {**weights.CONFIG, "vocab_size": 512}


def model(**changes: bytes | None) -> dict[str, bytes]:
    """A sound model in two shards; `changes` by path, None takes a file away."""
    files: dict[str, bytes | None] = {
        **weights.sharded_model(),
        "config.json": text(CONFIG),
        INDEX: index(),
        "tokenizer.json": TOKENIZER,
        **changes,
    }
    return {path: body for path, body in files.items() if body is not None}


def text(content: object) -> bytes:
    return json.dumps(content).encode()


def index(**changes: Any) -> bytes:
    """The index of the model; `changes` replace its keys."""
    found = json.loads(weights.sharded_model()[INDEX])
    found["metadata"] = {"total_size": 16 * 8 * 2 + 8 * 8 * 2 + 8 * 4}
    return text({**found, **changes})


def header(tensors: object, data: int = 0) -> bytes:
    """A safetensors file with any header."""
    head = tensors if isinstance(tensors, bytes) else text(tensors)
    return struct.pack("<Q", len(head)) + head + bytes(data)


def tensor(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def held(root: Path, files: Mapping[str, bytes], name: str = manifest.HELD) -> Plan:
    """`root` holds these files as a run with --hold leaves them; returns the plan of that run."""
    prestaging.folder(root, files)
    plan = prestaging.plan(files)
    entries = (Entry(path, len(body), sha256(body).hexdigest(), "") for path, body in files.items())
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(manifest.write(manifest.of(plan, entries)))
    return plan
