"""A folder on a mounted volume: one writer at a time, a temporary name until the digest was right, then a rename."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from generator.prestage import manifest
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError, Transient
from generator.prestage.manifest import HELD, PATH, Entry, Manifest
from generator.prestage.plan import File
from generator.prestage.settings import Settings
from generator.prestage.targets.base import Found, Held

OWN = ".modelyard"
LOCK, PARTIAL = f"{OWN}/lock", f"{OWN}/partial"
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_DENIED = frozenset((errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP))
_LOCK_WAIT = 1.0  # seconds between two looks at a lock that another run holds


class VolumeTarget:
    """`<mount>/models/<model>/<commit12>/`. Survives a killed process; a lost node may lose what was not synced yet."""

    states_checksums = False

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root, self._settings = root, settings

    @property
    def name(self) -> str:
        return str(self.root)

    @contextmanager
    def held(self, where: str) -> Iterator[None]:
        """Waits while another run writes here; a lock of a dead process or pod is gone with it."""
        with self.explained():
            (self.root / OWN).mkdir(parents=True, exist_ok=True)
            self._confined(Path(OWN))
            descriptor = os.open(self.root / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            self._wait(descriptor, where)
            yield
        finally:
            os.close(descriptor)

    def _wait(self, descriptor: int, where: str) -> None:
        waiting = False
        while True:
            self._settings.patience.check()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if not waiting:
                    self._settings.events.emit("waiting", reason=f"another run is writing {where}")
                waiting = True
                self._settings.patience.stop.wait(_LOCK_WAIT)

    def manifest(self, path: str = PATH) -> Held | None:
        with self.explained():
            try:
                body = (self.root / path).read_bytes()
            except FileNotFoundError:
                return None
        return Held(manifest.read(body, str(self.root / path)), sha256(body).hexdigest())

    def write_manifest(self, new: Manifest, replaces: str, path: str = PATH) -> bool:
        now = self.manifest(path)
        if (now.version if now else "") != replaces:
            return False
        with self.explained():
            self._write(path, memoryview(bytearray(manifest.write(new))))
        return True

    def survey(self, needed: int) -> None:
        """Raises PrestageError where `needed` bytes do not fit, before any is copied."""
        with self.explained():
            state = os.statvfs(self.root)
            partial = sum(path.stat().st_size for path in (self.root / PARTIAL).glob("*"))
        there = sum(self.sizes().values())
        free = state.f_bavail * state.f_frsize
        if needed - partial - there > free:
            reason = f"{self.root} has {free} bytes free, {needed - partial - there} more are needed"
            raise PrestageError(PrestageExit.STORAGE, reason, "enlarge the volume, or clear it")

    def listed(self, path: str) -> bool:
        with self.explained():
            return (self.root / path).exists()

    def sizes(self) -> dict[str, int]:
        with self.explained():
            found = ((path, path.relative_to(self.root).as_posix()) for path in self.root.rglob("*") if path.is_file())
            return {name: path.stat().st_size for path, name in found if not name.startswith(f"{OWN}/")}

    def find(self, file: File | Entry) -> Found | None:
        with self.explained():
            try:
                size = (self.root / file.path).stat().st_size
            except FileNotFoundError:
                return None
        return Found(size, "", "", "any")

    def read(self, path: str, start: int, view: memoryview) -> int:
        with self.explained(), (self.root / path).open("rb", buffering=0) as file:
            file.seek(start)
            return file.readinto(view) or 0

    def put(self, file: File, body: bytearray, length: int, entry: Entry, replaces: str) -> None:
        with self.explained():
            self._write(file.path, memoryview(body)[:length])

    def upload(self, file: File, part: int, replaces: str) -> VolumeUpload:
        with self.explained():
            (self.root / PARTIAL).mkdir(exist_ok=True)
            self._confined(Path(PARTIAL))
            return VolumeUpload(self, file, part)

    def save(self) -> None:
        """The length of a partial file says how far it is."""

    def sweep(self, *, holding: bool = False) -> None:
        with self.explained():
            if not holding:
                (self.root / HELD).unlink(missing_ok=True)
            if (self.root / PARTIAL).is_dir():
                shutil.rmtree(self.root / PARTIAL)

    def _write(self, path: str, view: memoryview) -> None:
        """Atomic: a reader sees the old content or the new, never a part."""
        (self.root / PARTIAL).mkdir(parents=True, exist_ok=True)
        self._confined(Path(PARTIAL))
        beside = self.root / PARTIAL / _partial_name(path)
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            written(descriptor, view, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.renamed(beside, path)

    def renamed(self, beside: Path, path: str) -> None:
        final = self.root / path
        final.parent.mkdir(parents=True, exist_ok=True)
        self._confined(Path(path).parent)
        beside.replace(final)
        descriptor = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _confined(self, folder: Path) -> None:
        """No symbolic link on the way leads out of the target."""
        if not (self.root / folder).resolve().is_relative_to(self.root.resolve()):
            reason = f"{self.root / folder} is a link that leads out of {self.root}"
            raise PrestageError(PrestageExit.STORAGE, reason, "remove the link")

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turns what the file system raises into what the run does about it."""
        try:
            yield
        except OSError as error:
            said = f"{error.filename or self.root}: {error.strerror or error}"
            if error.errno in _FULL:
                raise PrestageError(PrestageExit.STORAGE, said, "enlarge the volume, or clear it") from error
            if error.errno in _DENIED:
                hint = f"user {os.getuid()} has to own the folder or be in its group: check fsGroup and readOnly"
                raise PrestageError(PrestageExit.STORAGE, said, hint) from error
            raise Transient(said) from error


class VolumeUpload:
    """A partial file that only ever grows in order, so that its length says how far it is."""

    def __init__(self, target: VolumeTarget, file: File, part: int) -> None:
        self._target, self._file = target, file
        self._beside = target.root / PARTIAL / _partial_name(file.path)
        self._descriptor = os.open(self._beside, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        whole = min(os.fstat(self._descriptor).st_size, max(file.size - 1, 0)) // part
        os.ftruncate(self._descriptor, whole * part)
        self._length = whole * part
        self.done, self.state, self.crc32 = whole, "", 0

    def ordered(self, view: memoryview) -> None:
        with self._target.explained():
            written(self._descriptor, view, self._length)
            self._length += view.nbytes

    def again(self, start: int, view: memoryview) -> int:
        """The bytes that a run before has left here, to be hashed."""
        with self._target.explained():
            return os.preadv(self._descriptor, [view], start)

    def part(self, number: int, body: bytearray, length: int, crc32: int) -> None:
        """Written in order already."""

    def advanced(self, done: int, state: str | None, crc32: int) -> None:
        """Its length says it."""

    def complete(self, entry: Entry) -> None:
        with self._target.explained():
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._target.renamed(self._beside, self._file.path)

    def discard(self) -> None:
        with self._target.explained():
            os.close(self._descriptor)
            self._beside.unlink(missing_ok=True)


def written(descriptor: int, view: memoryview, start: int) -> None:
    done = 0
    while done < view.nbytes:
        done += os.pwritev(descriptor, [view[done:]], start + done)


def _partial_name(path: str) -> str:
    return sha256(path.encode()).hexdigest()
