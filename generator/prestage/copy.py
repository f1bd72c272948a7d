"""Copies files. One becomes visible at the target after its digest was right, never before."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import partial

from generator.prestage import content
from generator.prestage.desk import Desk
from generator.prestage.digest import Digest, crc32, crc32_hex
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import Exists, PrestageError, Stopped, Transient, UploadGone, mismatch
from generator.prestage.limits import BUFFERS
from generator.prestage.manifest import Entry
from generator.prestage.patience import backoff
from generator.prestage.plan import File
from generator.prestage.reading import digested, fill
from generator.prestage.settings import Settings, part_size
from generator.prestage.sources.base import Source
from generator.prestage.targets.base import Target
from generator.prestage.transfer import Transfer

TRIES = 3  # of a file whose bytes are wrong
OTHER_BYTES = "the Hub, a mirror or a proxy gives other bytes than it states: do not use them"
TURNS = 8  # of a file that other runs get in the way of


class Copy:
    """One use: `Copy(...).run()`. `paths`: all files of the model, where `files` are just some of them."""

    def __init__(
        self, source: Source, target: Target, files: Sequence[File], paths: Collection[str], settings: Settings
    ) -> None:
        self._source, self._target, self._files, self._paths = source, target, files, frozenset(paths)
        self._patience, self._events = settings.patience, settings.events
        self._part = part_size(max((file.size for file in files), default=0), settings.part)
        self._desk = Desk(settings, max(1, min(settings.workers, BUFFERS // self._part)), self._part, self._wake)
        self._lock = threading.Lock()
        self._transfers: set[Transfer] = set()
        self._looked: set[str] = set()  # files that may be there although the survey did not see them
        self._tries, self._turns = Counter[str](), Counter[str]()
        self._began: dict[str, float] = {}
        self._entries: dict[str, Entry] = {}

    @property
    def copied(self) -> int:
        """Bytes that came from the source."""
        return self._desk.copied

    def run(self) -> dict[str, Entry]:
        """Every file at the target, by path. Raises PrestageError; what was copied so far is kept for another run."""
        for file in self._files:
            self._desk.add(partial(self._guarded, file, None, partial(self._begin, file)))
        try:
            self._desk.run(len(self._files), sum(file.size for file in self._files))
        except BaseException:
            self._note()
            raise
        return self._entries

    def _wake(self) -> None:
        for transfer in list(self._transfers):
            transfer.end()

    def _note(self) -> None:
        try:
            self._target.save()
        except (Transient, PrestageError) as error:
            self._events.emit("warning", reason=f"how far this run is could not be noted: {error.reason}")

    def _guarded(
        self, file: File, transfer: Transfer | None, job: Callable[[bytearray], None], buffer: bytearray
    ) -> None:
        """Does the job; where another run got in the way, what is there now decides."""
        try:
            job(buffer)
        except Stopped:
            pass
        except (UploadGone, Exists) as error:
            self._turned(file, transfer, str(error))

    def _begin(self, file: File, buffer: bytearray) -> None:
        self._began.setdefault(file.path, time.monotonic())
        replaces = ""
        if file.path in self._looked or self._target.listed(file.path):
            entry, replaces = self._there(file, buffer)
            if entry:
                self._events.emit("kept", path=file.path, size=file.size)
                self._finished(entry)
                self._desk.count(file.size)
                return
        if file.size <= self._part:
            self._whole(file, replaces, buffer)
        else:
            self._in_parts(file, replaces, buffer)

    def _there(self, file: File, buffer: bytearray) -> tuple[Entry | None, str]:
        """The file that stands under the final name if it is right, else the version that is to be replaced."""
        found = self._patience.call("look at", partial(self._target.find, file), path=file.path)
        if found is None:
            return None, ""
        if found.sha256 and found.size == file.size:
            return Entry(file.path, file.size, found.sha256, found.crc32), ""
        # Put there by other means: its bytes decide.
        if found.size == file.size:
            digest, crc = self._read_back(file, buffer)
            if digest.right:
                return Entry(file.path, file.size, digest.sha256, crc32_hex(crc)), ""
        self._events.emit("damaged", path=file.path, reason="stands there with another content and is replaced")
        return None, found.version

    def _read_back(self, file: File, buffer: bytearray) -> tuple[Digest, int]:
        """Digest and CRC-32 of the file as it stands at the target."""
        digest = Digest(file.digest, file.size)
        read = partial(self._target.read, file.path)
        return digest, digested(digest, read, file.size, buffer, self._patience, file.path)

    def _fetch(self, file: File, start: int, view: memoryview) -> None:
        fill(partial(self._source.read, file), start, view, self._patience, file.path)
        self._desk.count(view.nbytes, view.nbytes)

    def _whole(self, file: File, replaces: str, buffer: bytearray) -> None:
        """A file that is one part."""
        view = memoryview(buffer)[: file.size]
        self._fetch(file, 0, view)
        digest = Digest(file.digest, file.size)
        digest.update(view)
        if not digest.right:
            self._wrong(file, _difference(file, digest))
            return
        if fault := content.start_fault(file, view):
            raise PrestageError(PrestageExit.INTEGRITY, f"{file.path}: {fault}", "choose another revision")
        if content.is_index(file):
            content.check_index(file, view, self._paths)
        entry = Entry(file.path, file.size, digest.sha256, crc32_hex(crc32(view)))
        put = partial(self._target.put, file, buffer, file.size, entry, replaces)
        self._patience.call("write", put, path=file.path)
        self._confirm(file, entry, buffer)

    def _in_parts(self, file: File, replaces: str, buffer: bytearray) -> None:
        if content.is_index(file):
            self._check_large_index(file)
        begin = partial(self._target.upload, file, self._part, replaces)
        upload = self._patience.call("begin", begin, path=file.path)
        there = upload.done * self._part
        if there:
            self._events.emit("resumed", path=file.path, bytes=there)
        digest = Digest(file.digest, file.size, upload.state, there if upload.state else 0)
        if there and not upload.state:
            upload.crc32 = digested(digest, upload.again, there, buffer, self._patience, file.path)
        transfer = Transfer(file, upload, self._part, digest)
        with self._lock:
            self._transfers.add(transfer)
        self._desk.count(there)
        self._desk.add_urgent(
            partial(self._guarded, file, transfer, partial(self._move, transfer, number))
            for number in transfer.missing()
        )

    def _check_large_index(self, file: File) -> None:
        """Reads it once more, as no part of it says whether it is sound."""
        if file.size > content.MAX_INDEX:
            raise PrestageError(PrestageExit.INTEGRITY, f"{file.path} has {file.size} bytes", "choose another revision")
        view = memoryview(bytearray(file.size))
        fill(partial(self._source.read, file), 0, view, self._patience, file.path)
        content.check_index(file, view, self._paths)

    def _move(self, transfer: Transfer, number: int, buffer: bytearray) -> None:
        """One part: fetched, hashed in its turn, stored."""
        if transfer.over:
            return
        file, upload = transfer.file, transfer.upload
        start, length = transfer.place(number)
        view = memoryview(buffer)[:length]
        self._fetch(file, start, view)
        if number == 1 and (fault := content.start_fault(file, view)):
            self._rejected(transfer, fault, "choose another revision")
            return
        crc = crc32(view)
        transfer.hash(
            number, view, crc, lambda view: self._patience.call("write", partial(upload.ordered, view), path=file.path)
        )
        self._patience.call("write", partial(upload.part, number, buffer, length, crc), path=file.path)
        if transfer.stored(number):
            self._complete(transfer, buffer)

    def _complete(self, transfer: Transfer, buffer: bytearray) -> None:
        file, digest = transfer.file, transfer.digest
        if not digest.right:
            self._rejected(transfer, _difference(file, digest))
            return
        entry = Entry(file.path, file.size, digest.sha256, crc32_hex(transfer.crc32))
        self._patience.call("complete", partial(transfer.upload.complete, entry), path=file.path)
        self._over(transfer)
        self._confirm(file, entry, buffer)

    def _confirm(self, file: File, entry: Entry, buffer: bytearray) -> None:
        """What the target says it holds is what was sent."""
        self._patience.call("look at", partial(self._agrees, file, entry, buffer), path=file.path)
        seconds = max(time.monotonic() - self._began[file.path], 1e-3)
        speed = round(file.size / seconds)
        self._events.emit("file", path=file.path, size=file.size, seconds=round(seconds, 3), bytes_per_second=speed)
        self._finished(entry)

    def _agrees(self, file: File, entry: Entry, buffer: bytearray) -> None:
        found = self._target.find(file)
        if found is None or found.size != entry.size:
            raise mismatch(f"{self._target.name} holds {found.size if found else 'no'} bytes of {file.path}")
        if found.crc32 and found.crc32 != entry.crc32:
            reason = f"{self._target.name} states CRC-32 {found.crc32} for {file.path}, {entry.crc32} was sent"
            raise mismatch(reason)
        if self._target.states_checksums and not found.crc32 and not self._read_back(file, buffer)[0].right:
            raise mismatch(f"{self._target.name} holds other bytes of {file.path} than were sent")

    def _rejected(self, transfer: Transfer, reason: str, hint: str = OTHER_BYTES) -> None:
        self._over(transfer)
        transfer.upload.discard()
        self._wrong(transfer.file, reason, hint)

    def _wrong(self, file: File, reason: str, hint: str = OTHER_BYTES) -> None:
        """Wrong bytes: the file is fetched again, a few times."""
        with self._lock:
            self._tries[file.path] += 1
            tries = self._tries[file.path]
        if tries >= TRIES:
            raise PrestageError(PrestageExit.INTEGRITY, f"{file.path}: {reason} ({tries} tries)", hint)
        self._wait(file, reason, tries, backoff(tries, self._patience.first_wait))
        self._desk.add(partial(self._guarded, file, None, partial(self._begin, file)))

    def _turned(self, file: File, transfer: Transfer | None, reason: str) -> None:
        """Another run has ended this upload or written this file: what is there now decides."""
        with self._lock:
            if transfer is not None:
                if transfer not in self._transfers:
                    return  # another part of it was here first
                self._transfers.discard(transfer)
            self._turns[file.path] += 1
            turns = self._turns[file.path]
            self._looked.add(file.path)
        if transfer is not None:
            transfer.end()
            transfer.upload.discard()
        if turns >= TURNS:
            raise PrestageError(PrestageExit.TRANSIENT, f"{file.path}: {reason} ({turns} times)", "run again")
        # The first time another run has probably finished it.
        self._wait(file, reason, turns, backoff(turns - 1, self._patience.first_wait) if turns > 1 else 0.0)
        self._desk.add(partial(self._guarded, file, None, partial(self._begin, file)))

    def _wait(self, file: File, reason: str, attempt: int, wait: float) -> None:
        self._events.emit("retry", what="file", path=file.path, reason=reason, attempt=attempt, wait=round(wait, 2))
        self._patience.stop.wait(wait)

    def _over(self, transfer: Transfer) -> None:
        transfer.end()
        with self._lock:
            self._transfers.discard(transfer)

    def _finished(self, entry: Entry) -> None:
        self._entries[entry.path] = entry
        self._desk.count(0, ended=1)


def _difference(file: File, digest: Digest) -> str:
    return f"its digest is {digest.found}, the plan says {file.digest}"
