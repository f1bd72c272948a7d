"""Counts of parameters from the headers of safetensors files.

Format (safetensors README): 8 bytes, little endian, the length N of the header; N bytes of JSON, tensor name
to `{dtype, shape, data_offsets}`, and `__metadata__`; then the data.
"""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from collections.abc import Mapping
from typing import Any

PREFIX = 8
MAX_HEADER = 100_000_000  # the format's own limit (safetensors README, "Format")
_BITS = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BF16": 16, "C64": 64}


class HeaderError(ValueError):
    """Not a safetensors header; the text says why."""


def header_end(start: bytes, file_size: int) -> int:
    """Offset of the first data byte, from the first 8 bytes of a file of `file_size` bytes."""
    if len(start) < PREFIX:
        raise HeaderError("it is shorter than 8 bytes")
    length: int = struct.unpack("<Q", start[:PREFIX])[0]
    if length > MAX_HEADER or PREFIX + length > file_size:
        raise HeaderError(f"its header claims {length} bytes")
    return PREFIX + length


def parameters(header: bytes) -> Counter[str]:
    """Number of values by dtype."""
    try:
        tensors = json.loads(header)
        counts: Counter[str] = Counter()
        for name, tensor in tensors.items():
            if name != "__metadata__":
                counts[_dtype(tensor)] += _values(tensor["shape"])
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise HeaderError(f"its header cannot be read ({type(error).__name__})") from error
    return counts


def _dtype(tensor: Mapping[str, Any]) -> str:
    dtype = tensor["dtype"]
    if not isinstance(dtype, str) or width(dtype) is None:
        raise ValueError(dtype)
    return dtype


def _values(shape: list[int]) -> int:
    if not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(shape)
    return math.prod(shape)


def width(dtype: str) -> int | None:
    """Bits of one value: `F8_E4M3` 8, `I64` 64; None for an unknown type."""
    if dtype in _BITS:
        return _BITS[dtype]
    digits = dtype[1:].partition("_")[0]
    return int(digits) if dtype[:1] in "FIU" and digits in ("8", "16", "32", "64") else None


def size(counts: Mapping[str, int]) -> int | None:
    """Bytes of data that these parameters take; None with an unknown type among them."""
    widths = {dtype: width(dtype) for dtype in counts}
    bits = [counts[dtype] * bits for dtype, bits in widths.items() if bits is not None]
    return sum(bits) // 8 if len(bits) == len(counts) else None
