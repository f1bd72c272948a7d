"""Looks at a copy that says it is complete: by sizes, by checksums, or by every byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from generator.prestage.digest import Digest
from generator.prestage.faults import Transient
from generator.prestage.limits import Verify
from generator.prestage.manifest import Entry, Manifest
from generator.prestage.plan import File
from generator.prestage.settings import Settings
from generator.prestage.targets.base import Target

LOOKS = 16  # HEAD requests at once


def faults(target: Target, manifest: Manifest, settings: Settings) -> dict[str, str]:
    """What is wrong, by path; empty where the copy is what its manifest says.

    `checksum` compares the CRC-32 that the target states, and reads the file where it states none.
    """
    sizes = settings.patience.call("list", target.sizes)
    found = {entry.path: why for entry in manifest.files if (why := _size_fault(entry, sizes.get(entry.path)))}
    rest = [entry for entry in manifest.files if entry.path not in found]
    if settings.verify is Verify.SIZE or (settings.verify is Verify.CHECKSUM and not target.states_checksums):
        return found
    looks: Callable[[Entry], str] = lambda entry: _fault(target, entry, settings)  # noqa: E731
    parallel = LOOKS if settings.verify is Verify.CHECKSUM else min(settings.workers, 4)
    with ThreadPoolExecutor(parallel) as pool:
        found |= {entry.path: why for entry, why in zip(rest, pool.map(looks, rest), strict=True) if why}
    return found


def _size_fault(entry: Entry, size: int | None) -> str:
    if size is None:
        return "is not there"
    return "" if size == entry.size else f"has {size} bytes, the manifest says {entry.size}"


def _fault(target: Target, entry: Entry, settings: Settings) -> str:
    if settings.verify is Verify.CHECKSUM:
        found = settings.patience.call("look at", lambda: target.find(entry), path=entry.path)
        if found is None:
            return "is not there"
        if found.crc32 and entry.crc32:
            return "" if found.crc32 == entry.crc32 else f"has CRC-32 {found.crc32}, the manifest says {entry.crc32}"
    digest = Digest(f"sha256:{entry.sha256}", entry.size)
    for view in read_back(target, entry, settings):
        digest.update(view)
    return "" if digest.right else f"has {digest.found}, the manifest says sha256:{entry.sha256}"


def read_back(target: Target, file: File | Entry, settings: Settings) -> Iterator[memoryview]:
    """The file as it stands at the target, in pieces of one buffer."""
    buffer = bytearray(min(settings.part, max(file.size, 1)))
    for start in range(0, file.size, len(buffer)):
        view = memoryview(buffer)[: min(len(buffer), file.size - start)]
        fill(lambda at, rest: target.read(file.path, at, rest), file.path, start, view, settings)
        yield view


def fill(read: Callable[[int, memoryview], int], path: str, start: int, view: memoryview, settings: Settings) -> None:
    """All of `view` from byte `start` on; a line that breaks is taken up where it did."""
    done = 0

    def once() -> None:
        nonlocal done
        done += read(start + done, view[done:])
        if done < view.nbytes:
            raise Transient("the answer ends early")

    if view.nbytes:
        settings.patience.call("read", once, path=path, progress=lambda: done)
