"""The crew finds how many threads are worth their cost; a transfer hashes parts in order, whenever they come."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from hashlib import sha256
from random import Random

import pytest

from generator.prestage.crew import FIRST, GAIN, REST, WINDOW, Crew
from generator.prestage.digest import Digest, crc32
from generator.prestage.faults import Stopped
from generator.prestage.manifest import Entry
from generator.prestage.plan import File
from generator.prestage.transfer import Transfer

TICK = 0.25


class Link:
    """A clock and a count of bytes, which grow by what so many threads bring on this link."""

    def __init__(self, most: int, rate: Callable[[int], float]) -> None:
        self.crew = Crew(most, _since=0.0)
        self.rate, self.now, self.moved = rate, 0.0, 0
        self.seen: list[int] = []

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds / TICK)):
            self.now += TICK
            self.moved += int(self.rate(self.crew.allowed) * TICK)
            before = self.crew.allowed
            assert self.crew.look(self.moved, self.now) is (self.crew.allowed > before)
            self.seen.append(self.crew.allowed)


@pytest.mark.parametrize("most", [1, 3, 4, 6, 12, 64])
def test_slow_connections_get_all_threads(most: int) -> None:
    link = Link(most, lambda threads: threads * 1e6)
    link.run(20 * WINDOW)
    assert link.crew.allowed == most and max(link.seen) <= most


@pytest.mark.parametrize("most", [1, 4, 12, 64])
def test_a_full_link_gets_no_more_than_at_first(most: int) -> None:
    link = Link(most, lambda threads: 1e8)
    link.run(10)
    assert link.crew.allowed == min(FIRST, most)
    link.run(4 * REST)
    assert link.seen.count(min(FIRST, most)) > 0.85 * len(link.seen)  # tried again now and then


def test_it_stays_where_more_is_not_enough() -> None:
    link = Link(64, lambda threads: min(threads, 2 * FIRST) * 1e6)
    link.run(10)
    assert link.crew.allowed == 2 * FIRST


@pytest.mark.parametrize(("gain", "stays"), [(1 + GAIN * 1.01, 2 * FIRST), (1 + GAIN * 0.99, FIRST)])
def test_twice_as_many_have_to_bring_enough(gain: float, stays: int) -> None:
    link = Link(2 * FIRST, lambda threads: 1e8 if threads == FIRST else gain * 1e8)
    link.run(5)
    assert link.crew.allowed == stays


def test_a_link_that_grows_is_noticed() -> None:
    rates = {"limit": FIRST}
    link = Link(16, lambda threads: min(threads, rates["limit"]) * 1e6)
    link.run(10)
    assert link.crew.allowed == FIRST
    rates["limit"] = 16
    link.run(2 * REST)
    assert link.crew.allowed == 16


def test_waiting_for_the_first_byte_is_no_measurement() -> None:
    link = Link(16, lambda threads: 0.0)
    link.run(60)
    assert link.crew.allowed == FIRST


class Kept:
    """An upload that keeps what it is told."""

    state = ""

    def __init__(self, done: int = 0, crc32: int = 0) -> None:
        self.done, self.crc32 = done, crc32
        self.written = bytearray()
        self.told: list[tuple[int, str | None, int]] = []

    def again(self, start: int, view: memoryview) -> int:
        raise NotImplementedError

    def ordered(self, view: memoryview) -> None:
        self.written += view

    def part(self, number: int, body: bytearray, length: int, crc32: int) -> None: ...

    def advanced(self, done: int, state: str | None, crc32: int) -> None:
        self.told.append((done, state, crc32))

    def complete(self, entry: Entry) -> None: ...
    def discard(self) -> None: ...


PART = 128
BODY = Random(1).randbytes(5 * PART + 7)
FILE = File("model.safetensors", len(BODY), f"sha256:{sha256(BODY).hexdigest()}")


def begun(upload: Kept) -> Transfer:
    digest = Digest(FILE.digest, FILE.size)
    digest.update(memoryview(bytearray(BODY[: upload.done * PART])))
    return Transfer(FILE, upload, PART, digest)


def move(transfer: Transfer, number: int) -> bool:
    start, length = transfer.place(number)
    view = memoryview(bytearray(BODY[start : start + length]))
    transfer.hash(number, view, crc32(view), transfer.upload.ordered)
    return transfer.stored(number)


@pytest.mark.parametrize("seed", range(5))
def test_parts_that_come_in_any_order_are_hashed_in_theirs(seed: int) -> None:
    upload = Kept()
    transfer, ended = begun(upload), []
    numbers = list(transfer.missing())
    Random(seed).shuffle(numbers)
    threads = [threading.Thread(target=lambda n=n: ended.append(move(transfer, n))) for n in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bytes(upload.written) == BODY and transfer.digest.right and transfer.crc32 == zlib.crc32(BODY)
    assert sorted(ended) == [False] * 5 + [True]
    assert [done for done, _, _ in upload.told] == sorted({done for done, _, _ in upload.told})
    for done, state, crc in upload.told:
        rest = Digest(FILE.digest, FILE.size, state or "", done * PART)
        rest.update(memoryview(bytearray(BODY[done * PART :])))
        assert rest.right and crc == zlib.crc32(BODY[: done * PART])


def test_only_leading_parts_are_noted() -> None:
    upload = Kept()
    transfer = begun(upload)
    for number in (1, 2, 3):
        start, length = transfer.place(number)
        transfer.hash(number, memoryview(bytearray(BODY[start : start + length])), 0, upload.ordered)
    assert not transfer.stored(3) and not transfer.stored(2) and upload.told == []
    assert not transfer.stored(1) and [done for done, _, _ in upload.told] == [3]


def test_a_transfer_goes_on_where_another_was() -> None:
    upload = Kept(done=4, crc32=zlib.crc32(BODY[: 4 * PART]))
    transfer = begun(upload)
    assert list(transfer.missing()) == [5, 6] and transfer.place(6) == (5 * PART, 7)
    assert [move(transfer, number) for number in (5, 6)] == [False, True]
    assert transfer.digest.right and transfer.crc32 == zlib.crc32(BODY)


def test_the_end_wakes_who_waits_for_a_turn() -> None:
    transfer, ended = begun(Kept()), []

    def waits() -> None:
        with pytest.raises(Stopped):
            move(transfer, 3)
        ended.append(True)

    thread = threading.Thread(target=waits)
    thread.start()
    transfer.end()
    thread.join(30)
    assert ended == [True]
