"""Small safetensors files, made without torch, and the repository of a tiny model."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from math import prod

from generator.safetensors import width

Tensors = Mapping[str, tuple[str, tuple[int, ...]]]
"""Name to dtype and shape."""

TENSORS: Tensors = {"embed": ("BF16", (16, 8)), "layer.0": ("BF16", (8, 8)), "norm": ("F32", (8,))}
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 8,
    "max_position_embeddings": 2048,
    "num_attention_heads": 4,
    "num_hidden_layers": 1,
    "num_key_value_heads": 2,
}


def safetensors(tensors: Tensors = TENSORS, *, padding: int = 0) -> bytes:
    """A file whose values are zero; `padding` spaces lengthen its header, as the format allows."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (dtype, shape) in tensors.items():
        end = offset + prod(shape) * (width(dtype) or 0) // 8
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    header = json.dumps(entries).encode() + b" " * padding
    return struct.pack("<Q", len(header)) + header + bytes(offset)


def tiny_model() -> dict[str, bytes]:
    """What a small causal language model has on the Hub, and what none should take from it."""
    return {
        ".gitattributes": b"*.safetensors filter=lfs\n",
        "README.md": b"# tiny\n",
        "config.json": json.dumps(CONFIG).encode(),
        "model.safetensors": safetensors(),
        "pytorch_model.bin": b"\x80\x04}.",
        "tokenizer.json": b"{}",
    }


def sharded_model() -> dict[str, bytes]:
    """The same model in two shards with their index."""
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    parts = {first: dict(list(TENSORS.items())[:1]), second: dict(list(TENSORS.items())[1:])}
    index = {
        "metadata": {},
        "weight_map": {name: part for part, tensors in parts.items() for name in tensors},
    }
    return {
        "config.json": json.dumps(CONFIG).encode(),
        "model.safetensors.index.json": json.dumps(index).encode(),
        **{part: safetensors(tensors) for part, tensors in parts.items()},
    }
