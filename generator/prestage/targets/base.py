"""What a target can do. Nothing stands under its final name before its digest was right."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from generator.prestage.manifest import PATH, Entry, Manifest
from generator.prestage.plan import File


class Held(NamedTuple):
    """A manifest as it was found; `version` names these very bytes."""

    manifest: Manifest
    version: str


class Found(NamedTuple):
    """A file under its final name. `sha256` is empty where nobody vouches for it, so that it has to be read."""

    size: int
    crc32: str
    sha256: str
    version: str


class Upload(Protocol):
    """One file on its way in parts, numbered from 1. `ordered` is called in their order, `part` in any."""

    done: int
    """Leading parts that a run before has left here."""
    state: str
    """The hash after them."""
    crc32: int
    """CRC-32 of them all."""

    def again(self, start: int, view: memoryview) -> int:
        """Reads what a run before has left, where there is no state to go on from."""

    def ordered(self, view: memoryview) -> None: ...
    def part(self, number: int, body: bytearray, length: int, crc32: int) -> None: ...
    def advanced(self, done: int, state: str | None, crc32: int) -> None: ...
    def complete(self, entry: Entry) -> None: ...
    def discard(self) -> None: ...


class Target(Protocol):
    """Methods raise Transient, UploadGone, s3faults.Exists and PrestageError; threads share a target."""

    states_checksums: bool
    """Whether `find` tells the CRC-32 of what is stored, so that it need not be read to be confirmed."""

    @property
    def name(self) -> str: ...

    def held(self, where: str) -> AbstractContextManager[None]:
        """Whatever keeps two runs apart, for the time of a run; `where` is for people."""

    def manifest(self, path: str = PATH) -> Held | None:
        """What stands under one of the two names of a manifest."""

    def write_manifest(self, new: Manifest, replaces: str, path: str = PATH) -> bool:
        """False where another run wrote one since; `replaces` is empty or a version."""

    def survey(self, needed: int) -> None:
        """Looks once at what is there, before a run that copies `needed` bytes or fewer."""

    def listed(self, path: str) -> bool:
        """Whether the survey saw the file under its final name."""

    def sizes(self) -> dict[str, int]:
        """Bytes by path, of what stands under a final name now."""

    def find(self, file: File | Entry) -> Found | None: ...

    def read(self, path: str, start: int, view: memoryview) -> int: ...

    def put(self, file: File, body: bytearray, length: int, entry: Entry, replaces: str) -> None:
        """A file that is one part."""

    def upload(self, file: File, part: int, replaces: str) -> Upload: ...

    def save(self) -> None:
        """Notes now how far the uploads are."""

    def sweep(self, *, holding: bool = False) -> None:
        """After the manifest: takes away what runs, also dead ones, have left beside the copy.

        That is also the manifest of a held copy, unless it is still `holding`.
        """
