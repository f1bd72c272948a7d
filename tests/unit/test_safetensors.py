"""Headers of safetensors files."""

from __future__ import annotations

import json
import struct

import pytest

from generator.safetensors import MAX_HEADER, HeaderError, header_end, parameters, size, width
from tests.standins.weights import safetensors


def test_parameters_of_a_file() -> None:
    file = safetensors(padding=50)
    end = header_end(file, len(file))
    counts = parameters(file[8:end])
    assert counts == {"BF16": 192, "F32": 8}
    assert size(counts) == len(file) - end


@pytest.mark.parametrize("start", [b"", b"\0" * 7, struct.pack("<Q", MAX_HEADER + 1), struct.pack("<Q", 93)])
def test_a_header_that_cannot_be(start: bytes) -> None:
    with pytest.raises(HeaderError):
        header_end(start, 100)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"<html>",
        b"\xff",
        b'{"a":' * 100_000,
        b'{"a": 1}',
        b'{"a": {"dtype": "BF16"}}',
        b'{"a": {"shape": [1]}}',
        b'{"a": {"dtype": "PICKLE", "shape": [1]}}',
        b'{"a": {"dtype": "BF16", "shape": [-1]}}',
        b'{"a": {"dtype": "BF16", "shape": [1.5]}}',
        b'{"a": {"dtype": "BF16", "shape": 3}}',
    ],
    ids=lambda header: header[:30].decode(errors="replace"),
)
def test_a_header_that_cannot_be_read(header: bytes) -> None:
    with pytest.raises(HeaderError):
        parameters(header)


def test_a_scalar_is_one_value() -> None:
    assert parameters(json.dumps({"scale": {"dtype": "F32", "shape": []}}).encode()) == {"F32": 1}


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [
        ("BF16", 16),
        ("F8_E4M3", 8),
        ("F4", 4),
        ("I64", 64),
        ("U8", 8),
        ("BOOL", 8),
        ("X8", None),
        ("F7", None),
        ("", None),
    ],
)
def test_width(dtype: str, bits: int | None) -> None:
    assert width(dtype) == bits


def test_an_unknown_type_has_no_size() -> None:
    assert size({"BF16": 2, "F4": 2}) == 5
    assert size({"BF16": 2, "Q4": 2}) is None
