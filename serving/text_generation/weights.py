"""Weights out of a folder: each file read once, from its beginning to its end.

A bucket that is mounted as a folder answers one long read fast and many small ones slowly, and mapping a file into
memory makes small ones. Format: https://github.com/huggingface/safetensors, 0.8.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

import torch
from common.errors import StartRefused

AT_ONCE = 16 * 2**20  # bytes a read

DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


def read(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor by its name; the tensors of a file share its memory. Raises StartRefused, naming the file."""
    tensors: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            tensors |= _file(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise StartRefused(f"{path} is no safetensors file that can be read: {error!r}") from error
    return tensors


def _file(path: Path) -> dict[str, torch.Tensor]:
    with path.open("rb", buffering=0) as file:
        length = int.from_bytes(file.read(8), "little")
        size = path.stat().st_size - 8 - length
        if size < 0:
            raise ValueError(f"its header would have {length} bytes")
        header = json.loads(_exactly(file, length).numpy().tobytes())
        data = _exactly(file, size)
    header.pop("__metadata__", None)
    return {name: _tensor(entry, data) for name, entry in header.items()}


def _exactly(file: FileIO, size: int) -> torch.Tensor:
    buffer = torch.empty(size, dtype=torch.uint8)
    view, at = memoryview(buffer.numpy().data), 0
    while at < size:
        read = file.readinto(view[at : at + AT_ONCE])
        if not read:
            raise ValueError(f"it ends {size - at} bytes early")
        at += read
    return buffer


def _tensor(entry: Mapping[str, Any], data: torch.Tensor) -> torch.Tensor:
    dtype, (start, end) = DTYPES[entry["dtype"]], entry["data_offsets"]
    if not 0 <= start <= end <= len(data):
        raise ValueError(f"a tensor lies from {start} to {end} of {len(data)} bytes")
    part = data[start:end]
    aligned = part if start % dtype.itemsize == 0 else part.clone()
    return aligned.view(dtype).view(entry["shape"])
