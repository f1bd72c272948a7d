"""Copies files with a few threads. A file becomes visible at the target after its digest was right, never before."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from functools import partial

from generator.prestage import content
from generator.prestage.crew import Crew
from generator.prestage.digest import Digest, crc32, crc32_hex
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import Exists, PrestageError, Stopped, Transient, UploadGone, mismatch
from generator.prestage.limits import BUFFERS
from generator.prestage.manifest import Entry
from generator.prestage.patience import backoff
from generator.prestage.plan import File
from generator.prestage.settings import Settings, part_size
from generator.prestage.sources.base import Source
from generator.prestage.targets.base import Target, Upload
from generator.prestage.transfer import Transfer

TICK = 0.25  # seconds between two looks of the main thread
BAR_EVERY, LINE_EVERY = 0.5, 15.0  # seconds between two words on progress, to people and to machines
TRIES = 3  # of a file whose bytes are wrong
TURNS = 8  # of a file that other runs get in the way of
DYING = 3.0  # seconds that threads have to notice the end


class Copy:
    """One use: `Copy(...).run(files)`."""

    def __init__(self, source: Source, target: Target, settings: Settings, paths: Collection[str] = ()) -> None:
        """`paths`: all files of the model, where `run` is given just some of them."""
        self._all = paths
        self._source, self._target, self._settings = source, target, settings
        self._patience, self._events = settings.patience, settings.events
        self._changed = threading.Condition()
        self._files: deque[File] = deque()
        self._parts: deque[tuple[Transfer, int]] = deque()
        self._transfers: set[Transfer] = set()
        self._looked: set[str] = set()  # files that may be there although the survey did not see them
        self._tries, self._turns = Counter[str](), Counter[str]()
        self._began: dict[str, float] = {}
        self._entries: dict[str, Entry] = {}
        self._open = self._busy = 0
        self._error: BaseException | None = None
        self.copied = 0
        self.done = 0  # bytes, with those that were there

    def run(self, files: Sequence[File]) -> dict[str, Entry]:
        """Every file at the target, by path. Raises PrestageError; what was copied so far is kept for another run."""
        self._part = part_size(max((file.size for file in files), default=0), self._settings.part)
        self._files.extend(files)
        self._paths = frozenset(self._all or (file.path for file in files))
        self._open = len(files)
        count = max(1, min(self._settings.workers, BUFFERS // self._part))
        self._crew = Crew(count)
        threads = [threading.Thread(target=self._work, name=f"part-{i}", daemon=True) for i in range(count)]
        try:
            for thread in threads:
                thread.start()
            self._wait(threads, sum(file.size for file in files))
        finally:
            self._events.end_of_progress()
            self._stop(threads)
        if self._error:
            raise self._error
        return self._entries

    def _wait(self, threads: Sequence[threading.Thread], total: int) -> None:
        started = said = time.monotonic()
        while self._open and self._error is None and any(thread.is_alive() for thread in threads):
            with self._changed:
                self._changed.wait(TICK)
            self._settings.watch.look()
            if self._crew.look(self.copied, time.monotonic()):
                with self._changed:
                    self._changed.notify_all()
            self._patience.check()
            if time.monotonic() - said >= (LINE_EVERY if self._events.as_json else BAR_EVERY):
                said = time.monotonic()
                self._events.progress(self.done, total, started)

    def _stop(self, threads: Sequence[threading.Thread]) -> None:
        """After a failure: ends what goes on, and notes how far it was."""
        if not self._open:
            return
        self._patience.stop.set()
        self._settings.watch.close()
        with self._changed:
            self._changed.notify_all()
            transfers = list(self._transfers)
        for transfer in transfers:
            transfer.end()
        until = time.monotonic() + DYING
        for thread in (thread for thread in threads if thread.ident):
            thread.join(max(0.0, until - time.monotonic()))
        try:
            self._target.save()
        except (Transient, PrestageError) as error:
            self._events.emit("warning", reason=f"how far this run is could not be noted: {error.reason}")

    def _work(self) -> None:
        buffer = bytearray()
        try:
            while (job := self._next()) is not None:
                buffer = buffer or bytearray(self._part)  # not before there is work for so many
                if isinstance(job, File):
                    self._guarded(job, None, partial(self._begin, job, buffer))
                else:
                    transfer, number = job
                    self._guarded(transfer.file, transfer, partial(self._move, transfer, number, buffer))
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()

    def _next(self) -> File | tuple[Transfer, int] | None:
        with self._changed:
            while self._open and self._error is None and not self._patience.stop.is_set():
                if self._busy < self._crew.allowed and (self._parts or self._files):
                    self._busy += 1
                    return self._parts.popleft() if self._parts else self._files.popleft()
                self._changed.wait()
        return None

    def _guarded(self, file: File, transfer: Transfer | None, job: Callable[[], None]) -> None:
        """Runs `job`; where another run got in the way, the file is looked at again."""
        try:
            job()
        except Stopped:
            pass
        except (UploadGone, Exists) as error:
            self._turn(file, transfer, str(error))
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify()

    def _begin(self, file: File, buffer: bytearray) -> None:
        self._began.setdefault(file.path, time.monotonic())
        replaces = ""
        if file.path in self._looked or self._target.listed(file.path):
            entry, replaces = self._there(file, buffer)
            if entry:
                self._events.emit("kept", path=file.path, size=file.size)
                self._finished(file, entry)
                return
        if file.size <= self._part:
            self._whole(file, buffer, replaces)
        else:
            self._in_parts(file, buffer, replaces)

    def _there(self, file: File, buffer: bytearray) -> tuple[Entry | None, str]:
        """The file that stands under the final name if it is right, else the version that is to be replaced."""
        found = self._patience.call("look at", lambda: self._target.find(file), path=file.path)
        if found is None:
            return None, ""
        if found.sha256 and found.size == file.size:
            return Entry(file.path, file.size, found.sha256, found.crc32), ""
        # Put there by other means: its bytes decide.
        if found.size == file.size:
            digest, crc = self.digest_at_target(file, buffer)
            if digest.right:
                return Entry(file.path, file.size, digest.sha256, crc32_hex(crc)), ""
        self._events.emit("damaged", path=file.path, reason="stands there with another content and is replaced")
        return None, found.version

    def digest_at_target(self, file: File, buffer: bytearray) -> tuple[Digest, int]:
        """Reads the file back: its digest and CRC-32."""
        return self._hashed(Digest(file.digest, file.size), file, self._read_target, file.size, buffer)

    def _hashed(
        self,
        digest: Digest,
        file: File,
        read: Callable[[File, int, memoryview], int],
        end: int,
        buffer: bytearray,
    ) -> tuple[Digest, int]:
        crc = 0
        for start in range(0, end, len(buffer)):
            view = memoryview(buffer)[: min(len(buffer), end - start)]
            self._fill(file, start, view, read)
            digest.update(view)
            crc = crc32(view, crc)
        return digest, crc

    def _read_target(self, file: File, start: int, view: memoryview) -> int:
        return self._target.read(file.path, start, view)

    def _whole(self, file: File, buffer: bytearray, replaces: str) -> None:
        view = memoryview(buffer)[: file.size]
        self._fetch(file, 0, view)
        digest = Digest(file.digest, file.size)
        digest.update(view)
        if not digest.right:
            self._wrong(file, _difference(file, digest))
            return
        self._check(file, view)
        entry = Entry(file.path, file.size, digest.sha256, crc32_hex(crc32(view)))
        self._patience.call("write", lambda: self._target.put(file, buffer, file.size, entry, replaces), path=file.path)
        self._confirm(file, entry, buffer)

    def _check(self, file: File, view: memoryview) -> None:
        if fault := content.start_fault(file, view):
            raise PrestageError(PrestageExit.INTEGRITY, f"{file.path}: {fault}", "choose another revision")
        if content.is_index(file):
            content.check_index(file, view, self._paths)

    def _in_parts(self, file: File, buffer: bytearray, replaces: str) -> None:
        if content.is_index(file):
            self._check_large_index(file)
        upload = self._patience.call("begin", lambda: self._target.upload(file, self._part, replaces), path=file.path)
        there = upload.done * self._part
        if there:
            self._events.emit("resumed", path=file.path, bytes=there)
        digest = Digest(file.digest, file.size, upload.state, there if upload.state else 0)
        if there and not upload.state:
            _, upload.crc32 = self._hashed(digest, file, _left_by(upload), there, buffer)
        transfer = Transfer(file, upload, self._part, digest)
        with self._changed:
            self.done += there
            self._transfers.add(transfer)
            self._parts.extend((transfer, number) for number in transfer.missing())
            self._changed.notify_all()

    def _check_large_index(self, file: File) -> None:
        """Reads it once more, as no part of it says whether it is sound."""
        if file.size > content.MAX_INDEX:
            raise PrestageError(PrestageExit.INTEGRITY, f"{file.path} has {file.size} bytes", "choose another revision")
        view = memoryview(bytearray(file.size))
        self._fill(file, 0, view, self._source.read)
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
            self._rejected(transfer, fault)
            return
        crc = crc32(view)
        transfer.hash(
            number, view, crc, lambda view: self._patience.call("write", lambda: upload.ordered(view), path=file.path)
        )
        self._patience.call("write", lambda: upload.part(number, buffer, length, crc), path=file.path)
        if transfer.stored(number):
            self._complete(transfer, buffer)

    def _complete(self, transfer: Transfer, buffer: bytearray) -> None:
        file, digest = transfer.file, transfer.digest
        if not digest.right:
            self._rejected(transfer, _difference(file, digest))
            return
        entry = Entry(file.path, file.size, digest.sha256, crc32_hex(transfer.crc32))
        self._patience.call("complete", lambda: transfer.upload.complete(entry), path=file.path)
        self._over(transfer)
        self._confirm(file, entry, buffer)

    def _confirm(self, file: File, entry: Entry, buffer: bytearray) -> None:
        """What the target says it holds is what was sent."""
        self._patience.call("look at", lambda: self._agrees(file, entry, buffer), path=file.path)
        seconds = max(time.monotonic() - self._began[file.path], 1e-3)
        self._events.emit(
            "file",
            path=file.path,
            size=file.size,
            seconds=round(seconds, 3),
            bytes_per_second=round(file.size / seconds),
        )
        self._finished(file, entry, counted=True)

    def _agrees(self, file: File, entry: Entry, buffer: bytearray) -> None:
        found = self._target.find(file)
        if found is None or found.size != entry.size:
            raise mismatch(f"{self._target.name} holds {found.size if found else 'no'} bytes of {file.path}")
        if found.crc32 and found.crc32 != entry.crc32:
            reason = f"{self._target.name} states CRC-32 {found.crc32} for {file.path}, {entry.crc32} was sent"
            raise mismatch(reason)
        if self._target.states_checksums and not found.crc32 and not self.digest_at_target(file, buffer)[0].right:
            raise mismatch(f"{self._target.name} holds other bytes of {file.path} than were sent")

    def _fetch(self, file: File, start: int, view: memoryview) -> None:
        self._fill(file, start, view, self._source.read)
        with self._changed:
            self.copied += view.nbytes
            self.done += view.nbytes

    def _fill(self, file: File, start: int, view: memoryview, read: Callable[[File, int, memoryview], int]) -> None:
        """All of `view`; a line that breaks is taken up where it did."""
        done = 0

        def once() -> None:
            nonlocal done
            done += read(file, start + done, view[done:])
            if done < view.nbytes:
                raise Transient("the answer ends early")

        if view.nbytes:
            self._patience.call("read", once, path=file.path, progress=lambda: done)

    def _rejected(self, transfer: Transfer, reason: str) -> None:
        self._over(transfer)
        transfer.upload.discard()
        self._wrong(transfer.file, reason)

    def _wrong(self, file: File, reason: str) -> None:
        """Wrong bytes: the file is fetched again, a few times."""
        with self._changed:
            self._tries[file.path] += 1
            tries = self._tries[file.path]
        if tries >= TRIES:
            hint = "the Hub, a mirror or a proxy gives other bytes than it states: do not use this copy"
            raise PrestageError(PrestageExit.INTEGRITY, f"{file.path}: {reason} ({tries} tries)", hint)
        wait = backoff(tries, self._patience.first_wait)
        self._events.emit("retry", what="file", path=file.path, reason=reason, attempt=tries, wait=round(wait, 2))
        self._patience.stop.wait(wait)
        self._queue(file)

    def _turn(self, file: File, transfer: Transfer | None, reason: str) -> None:
        """Another run has ended this upload or written this file: what is there now decides."""
        with self._changed:
            if transfer is not None and transfer not in self._transfers:
                return  # another part of it was here first
            if transfer is not None:
                self._transfers.discard(transfer)
            self._turns[file.path] += 1
            turns = self._turns[file.path]
        if transfer is not None:
            transfer.end()
            transfer.upload.discard()
        if turns >= TURNS:
            raise PrestageError(PrestageExit.TRANSIENT, f"{file.path}: {reason} ({turns} times)", "run again")
        self._looked.add(file.path)
        self._queue(file)

    def _queue(self, file: File) -> None:
        with self._changed:
            self._files.append(file)
            self._changed.notify_all()

    def _over(self, transfer: Transfer) -> None:
        transfer.end()
        with self._changed:
            self._transfers.discard(transfer)

    def _finished(self, file: File, entry: Entry, *, counted: bool = False) -> None:
        with self._changed:
            self._entries[file.path] = entry
            self._open -= 1
            self.done += 0 if counted else file.size
            self._changed.notify_all()


def _difference(file: File, digest: Digest) -> str:
    return f"its digest is {digest.found}, the plan says {file.digest}"


def _left_by(upload: Upload) -> Callable[[File, int, memoryview], int]:
    return lambda file, start, view: upload.again(start, view)
