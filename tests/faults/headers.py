"""Headers of safetensors, good and damaged: the load test and safetensors itself must judge each alike.

python -m tests.faults.headers [--seed 1] [--count 4000]
"""

from __future__ import annotations

import argparse
import json
import random
import struct
import sys
from collections.abc import Iterator
from typing import Any

import safetensors

from generator.prestage.loadtest import header
from generator.prestage.loadtest.base import Reader
from generator.safetensors import HeaderError
from tests.standins.weights import safetensors as made

NAME = "model.safetensors"
VALUES: tuple[Any, ...] = (None, -1, 0, 1, 2**40, 1.5, "", "F32", "F99", [], [0], [0, 4], [4, 0], {}, True, "x" * 50)


class InMemory(Reader):
    """One file, as the load test reads files."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.sizes = {NAME: len(content)}

    def read(self, path: str, start: int, length: int) -> bytearray:
        return bytearray(self.content[start : start + length])


def ours(content: bytes) -> bool:
    """Whether the load test takes the file."""
    try:
        _, faults = header.read(InMemory(content), NAME)
    except (HeaderError, header.TooLarge):
        return False
    return not faults


def theirs(content: bytes) -> bool:
    try:
        safetensors.deserialize(content)  # type: ignore[no-untyped-call]
    except Exception:
        return False
    return True


def files(seed: int, count: int) -> Iterator[bytes]:
    """Small files; one part of each header is taken out, replaced, or a byte of it changed."""
    chance = random.Random(seed)
    for number in range(count):
        tensors = {f"t{i}": ("F32", (chance.randrange(4), chance.randrange(4))) for i in range(chance.randrange(1, 4))}
        whole = made(tensors)
        yield whole if number % 10 == 0 else _bytes(whole, chance) if number % 3 == 0 else _entry(whole, chance)


def _entry(whole: bytes, chance: random.Random) -> bytes:
    (length,) = struct.unpack("<Q", whole[:8])
    entries = json.loads(whole[8 : 8 + length])
    name = chance.choice(list(entries))
    key = chance.choice(list(entries[name]))
    way = chance.randrange(4)
    if way == 0:
        del entries[name][key]
    elif way == 1:
        entries[name][key] = chance.choice(VALUES)
    elif way == 2:
        entries[name] = chance.choice(VALUES)
    else:
        entries[chance.choice(("again", "__metadata__", ""))] = entries[name]
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + whole[8 + length :]


def _bytes(whole: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(whole))
    changed = bytes([chance.randrange(256)])
    return chance.choice((whole[:at], whole[:at] + changed + whole[at + 1 :], whole + changed))


def different(seed: int, count: int) -> Iterator[str]:
    """The headers that the two judge differently."""
    for content in files(seed, count):
        if ours(content) != theirs(content):
            yield f"ours {ours(content)}, safetensors {theirs(content)}: {content[:300]!r}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=4000)
    asked = parser.parse_args()
    taken = sum(map(ours, files(asked.seed, asked.count)))
    found = list(different(asked.seed, asked.count))
    print(*found, sep="\n", end="\n" if found else "")
    print(f"headers: seed {asked.seed}, count {asked.count}, {taken} taken, judged differently {len(found)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
