"""Looks at a copy that says it is complete: by sizes, by checksums, or by every byte."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from generator.prestage.digest import Digest
from generator.prestage.limits import Verify
from generator.prestage.manifest import Entry, Manifest
from generator.prestage.reading import digested
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
    parallel = LOOKS if settings.verify is Verify.CHECKSUM else min(settings.workers, 4)
    with ThreadPoolExecutor(parallel) as pool:
        found |= {
            entry.path: why
            for entry, why in zip(rest, pool.map(partial(_fault, target, settings), rest), strict=True)
            if why
        }
    return found


def _size_fault(entry: Entry, size: int | None) -> str:
    if size is None:
        return "is not there"
    return "" if size == entry.size else f"has {size} bytes, the manifest says {entry.size}"


def _fault(target: Target, settings: Settings, entry: Entry) -> str:
    if settings.verify is Verify.CHECKSUM:
        found = settings.patience.call("look at", lambda: target.find(entry), path=entry.path)
        if found is None:
            return "is not there"
        if found.crc32 and entry.crc32:
            return "" if found.crc32 == entry.crc32 else f"has CRC-32 {found.crc32}, the manifest says {entry.crc32}"
    digest = Digest(f"sha256:{entry.sha256}", entry.size)
    buffer = bytearray(max(1, min(settings.part, entry.size)))
    digested(digest, partial(target.read, entry.path), entry.size, buffer, settings.patience, entry.path)
    return "" if digest.right else f"has {digest.found}, the manifest says sha256:{entry.sha256}"
