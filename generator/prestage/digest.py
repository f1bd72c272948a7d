"""Digests of a stream: SHA-256 that can be continued in another process, git blob ids, CRC-32 of joined parts.

A multipart upload that a killed run left behind holds bytes that nobody can read before it is completed. To
prove the whole file's SHA-256 without fetching these bytes again, the state of the hash after them is kept
(docs/decisions.md D21). hashlib does not give its state away; OpenSSL's SHA256_CTX is a plain structure.
"""

from __future__ import annotations

import ctypes
import hashlib
import struct
from functools import cache
from typing import Protocol

from zlib_ng.zlib_ng import crc32, crc32_combine

BLOCK = 64  # bytes; a state exists between blocks


class Sha256(Protocol):
    """A running SHA-256."""

    def update(self, data: memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


class ResumableSha256:
    """SHA-256 over libcrypto's SHA256_CTX (openssl/sha.h, 1.1 to 3.x): eight words, length, a block, its fill."""

    def __init__(self, state: str = "", length: int = 0) -> None:
        self._lib = _libcrypto()
        self._context = ctypes.create_string_buffer(_CONTEXT.size)
        self._lib.SHA256_Init(self._context)
        self._length = length
        if length:
            words = struct.unpack("=8I", bytes.fromhex(state))
            bits = length * 8
            _CONTEXT.pack_into(self._context, 0, *words, bits & 0xFFFFFFFF, bits >> 32, b"", 0, 32)

    def update(self, data: memoryview, /) -> None:
        """`data` is writable: a view of a bytearray."""
        if data.nbytes:
            self._lib.SHA256_Update(self._context, (ctypes.c_char * data.nbytes).from_buffer(data), data.nbytes)
            self._length += data.nbytes

    def state(self) -> str:
        """The eight words as hexadecimal. Raises ValueError inside a block."""
        if self._length % BLOCK:
            raise ValueError(f"no state after {self._length} bytes")
        return self._context.raw[:32].hex()

    def hexdigest(self) -> str:
        ended, out = ctypes.create_string_buffer(self._context.raw, _CONTEXT.size), ctypes.create_string_buffer(32)
        self._lib.SHA256_Final(out, ended)
        return out.raw.hex()


_CONTEXT = struct.Struct("=8I II 64s II")


@cache
def _libcrypto() -> ctypes.CDLL:
    """The library that Python's own `ssl` is linked to. Raises OSError where there is none of its own."""
    for name in ("libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.3.dylib"):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.SHA256_Update.argtypes = (ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
        return library
    raise OSError("no libcrypto")


@cache
def resumable() -> bool:
    """Whether a hash can be continued here: libcrypto is there, and agrees with hashlib after a round trip."""
    try:
        data = bytearray(range(256)) * 5
        first = ResumableSha256()
        first.update(memoryview(data)[: 2 * BLOCK])
        second = ResumableSha256(first.state(), 2 * BLOCK)
        second.update(memoryview(data)[2 * BLOCK :])
        return second.hexdigest() == hashlib.sha256(data).hexdigest()
    except (OSError, AttributeError, ValueError):
        return False


class Digest:
    """Hashes one file in order, and says whether it is the one that the plan means."""

    def __init__(self, digest: str, size: int, state: str = "", length: int = 0) -> None:
        self._kind, _, self._expected = digest.partition(":")
        self._resumable = ResumableSha256(state, length) if self._kind == "sha256" and resumable() else None
        if length and self._resumable is None:
            raise ValueError("this hash cannot be continued")
        self._sha256: Sha256 = self._resumable or hashlib.sha256()
        self._git = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False) if self._kind == "git" else None

    def update(self, data: memoryview) -> None:
        self._sha256.update(data)
        if self._git:
            self._git.update(data)

    def state(self) -> str | None:
        """What continues this hash elsewhere; None where nothing does."""
        return self._resumable.state() if self._resumable else None

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def found(self) -> str:
        """In the form of the plan: `sha256:<hex>` or `git:<hex>`."""
        return f"{self._kind}:{self._git.hexdigest() if self._git else self.sha256}"

    @property
    def right(self) -> bool:
        return self.found == f"{self._kind}:{self._expected}"


def crc32_hex(value: int) -> str:
    return f"{value:08x}"


__all__ = ["Digest", "ResumableSha256", "crc32", "crc32_combine", "crc32_hex", "resumable"]
