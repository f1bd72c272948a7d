"""Digests agree with hashlib, zlib and git however the bytes are cut, and go on from a kept state."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import zlib
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.prestage import digest
from generator.prestage.digest import Digest, ResumableSha256, crc32, crc32_combine, crc32_hex

DATA = bytes(range(256)) * 5
CUTS = st.tuples(st.binary(max_size=700), st.lists(st.integers(0, 700), max_size=8))


def view(data: bytes) -> memoryview:
    return memoryview(bytearray(data))


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@given(CUTS)
def test_any_cut_gives_the_digest_of_hashlib(case: tuple[bytes, list[int]]) -> None:
    data, cuts = case
    ours, checked = ResumableSha256(), Digest(f"sha256:{sha256(data)}", len(data))
    for piece in pieces(data, cuts):
        ours.update(view(piece))
        checked.update(view(piece))
        assert ours.hexdigest() == checked.sha256  # asking does not end it
    assert ours.hexdigest() == sha256(data) and checked.right and checked.found == f"sha256:{sha256(data)}"


@given(CUTS)
def test_joined_checksums_are_those_of_zlib(case: tuple[bytes, list[int]]) -> None:
    data, cuts = case
    joined = 0
    for piece in pieces(data, cuts):
        joined = crc32_combine(joined, crc32(view(piece)), len(piece))
    assert joined == crc32(view(data)) == zlib.crc32(data)
    assert crc32_hex(joined) == f"{joined:08x}" and len(crc32_hex(0)) == 8


@pytest.mark.parametrize("blocks", range(len(DATA) // 64 + 1))
def test_a_state_goes_on_elsewhere(blocks: int) -> None:
    place = blocks * 64
    first = Digest(f"sha256:{sha256(DATA)}", len(DATA))
    first.update(view(DATA[:place]))
    state = first.state()
    assert state is not None
    second = Digest(f"sha256:{sha256(DATA)}", len(DATA), state, place)
    second.update(view(DATA[place:]))
    assert second.right


def test_a_state_goes_on_beyond_four_gigabits() -> None:
    """The length of SHA256_CTX is kept in two words; 2**32 bits are 512 MiB."""
    chunk, whole, first = view(bytes(2**24)), hashlib.sha256(), ResumableSha256()
    for _ in range(33):
        whole.update(chunk)
        first.update(chunk)
    second = ResumableSha256(first.state(), 33 * 2**24)
    second.update(view(DATA))
    whole.update(DATA)
    assert second.hexdigest() == whole.hexdigest()


def test_there_is_no_state_inside_a_block() -> None:
    ours = ResumableSha256()
    ours.update(view(bytes(65)))
    with pytest.raises(ValueError, match="no state after 65 bytes"):
        ours.state()


def test_another_state_gives_another_digest() -> None:
    checked = Digest(f"sha256:{sha256(DATA)}", len(DATA), sha256(b"another"), 64)
    checked.update(view(DATA[64:]))
    assert not checked.right


@pytest.mark.parametrize("size", [0, 1, 63, 64, 10_000])
def test_blob_ids_are_those_of_git(size: int) -> None:
    data = (DATA * 8)[:size]
    command = ["git", "hash-object", "--stdin"]
    name = subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode().strip()
    checked = Digest(f"git:{name}", size)
    for piece in pieces(data, [size // 3]):
        checked.update(view(piece))
    assert checked.right and checked.found == f"git:{name}" and checked.sha256 == sha256(data)
    assert not Digest(f"git:{name}", size + 1).right  # the size is part of the id


@pytest.fixture
def without_libcrypto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def missing(name: str) -> ctypes.CDLL:
        raise OSError(name)

    caches = (digest._libcrypto, digest.resumable)
    for cache in caches:
        cache.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", missing)
    yield
    for cache in caches:
        cache.cache_clear()


def test_without_libcrypto_a_hash_starts_at_the_start(without_libcrypto: None) -> None:
    assert not digest.resumable()
    checked = Digest(f"sha256:{sha256(DATA)}", len(DATA))
    checked.update(view(DATA))
    assert checked.right and checked.state() is None
    with pytest.raises(ValueError, match="cannot be continued"):
        Digest(f"sha256:{sha256(DATA)}", len(DATA), sha256(b""), 64)


def test_a_libcrypto_that_disagrees_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another layout of SHA256_CTX would give states that do not go on."""
    digest.resumable.cache_clear()
    monkeypatch.setattr(ResumableSha256, "state", lambda self: "00" * 32)
    assert not digest.resumable()
    digest.resumable.cache_clear()
