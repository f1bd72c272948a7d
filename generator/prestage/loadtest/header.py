"""The header of a safetensors file, held against the format's own rules (safetensors 0.8.0, `Metadata::validate`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from generator.prestage.loadtest.base import Reader, few, parsed
from generator.safetensors import PREFIX, HeaderError, header_end, width

FIRST = 64 * 2**10  # bytes of the first read; most headers end in it
MAX_HEADER = 16 * 2**20  # bytes; about 150,000 tensors. Parsed, it is more than ten times as much


class TooLarge(Exception):
    """A header that is not read, as it would not fit into the memory of a Job."""


class Header(NamedTuple):
    """Bytes of data by tensor, and the number of values of all."""

    tensors: Mapping[str, int]
    values: int


class _Tensor(NamedTuple):
    name: str
    start: int
    end: int
    values: int


def read(reader: Reader, path: str) -> tuple[Header, list[str]]:
    """The header, as far as it is one, and what is wrong with it. Raises HeaderError and TooLarge."""
    size = reader.sizes[path]
    start = reader.read(path, 0, min(size, FIRST))
    end = header_end(bytes(start[:PREFIX]), size)
    if end > MAX_HEADER:
        raise TooLarge(f"its header of {end} bytes is not read")
    if end > len(start):
        start += reader.read(path, len(start), end - len(start))
    try:
        entries = parsed(start[PREFIX:end])
    except ValueError as error:
        raise HeaderError(f"its header cannot be read: {error}") from error
    tensors, faults = [], []
    metadata = entries.pop("__metadata__", None)
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        faults.append("__metadata__: holds other things than texts")
    for name, entry in entries.items():
        try:
            tensors.append(_tensor(name, entry))
        except (KeyError, TypeError, ValueError) as error:
            why = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            faults.append(f"{name}: {why}")
    gaps = [] if faults else list(_gaps(tensors, size - end))
    header = Header({tensor.name: tensor.end - tensor.start for tensor in tensors}, sum(t.values for t in tensors))
    return header, [few(found) for found in (faults, gaps) if found]


def _tensor(name: str, entry: Any) -> _Tensor:
    """Raises KeyError, TypeError and ValueError."""
    if not isinstance(entry, dict):
        raise TypeError("is no object")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    bits = width(dtype) if isinstance(dtype, str) else None
    if bits is None:
        raise ValueError(f"has an unknown type {dtype!r}")
    if not isinstance(shape, list) or not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"has shape {shape!r}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(at) is int for at in offsets):
        raise ValueError(f"has offsets {offsets!r}")
    start, end = offsets
    values = math.prod(shape)
    if (end - start) * 8 != values * bits:
        raise ValueError(f"takes {end - start} bytes, which {dtype} of shape {shape} does not")
    return _Tensor(name, start, end, values)


def _gaps(tensors: list[_Tensor], data: int) -> Iterator[str]:
    """Where the tensors do not fill the `data` bytes after the header, one behind the other."""
    reached = 0
    for tensor in sorted(tensors, key=lambda tensor: (tensor.start, tensor.end)):
        if tensor.start != reached:
            yield f"{tensor.name} begins at byte {tensor.start} of the data, where {reached} is due"
        reached = tensor.end
    if reached != data:
        yield f"its tensors take {reached} bytes, and {data} bytes follow the header"
