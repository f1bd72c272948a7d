"""An S3 prefix. Parts stream into multipart uploads; a note beside them makes a killed run's parts of use."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from typing import Any

from generator.prestage import manifest
from generator.prestage.digest import crc32, crc32_hex, resumable
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import Exists, PrestageError, Transient, UploadGone
from generator.prestage.limits import MIB
from generator.prestage.manifest import HELD, PATH, Entry, Manifest
from generator.prestage.place import S3Prefix
from generator.prestage.plan import File
from generator.prestage.s3client import Bucket, Part, Uploaded
from generator.prestage.settings import Settings
from generator.prestage.targets.base import Found, Held

OWN = ".modelyard/"
NOTE = f"{OWN}progress.json"
_NOTE_VERSION = 1
# Metadata of our objects: the digest of the plan, and the SHA-256, which a git blob id does not tell. Both are
# right whenever the object is visible, as it is completed after they were compared.
_DIGEST, _SHA256 = "modelyard-digest", "modelyard-sha256"
_NOTE_SHARE = 200  # a note after each 1/200 of the bytes, but
_NOTE_BYTES = 10 * MIB  # after no fewer than these


@dataclass(frozen=True, slots=True)
class Note:
    """How far one upload is: `done` leading parts of `part` bytes, the SHA-256 state after them, their CRC-32.

    `etags`, SHA-256 over the ETags of these parts, tells whether S3 still holds the very parts that were hashed.
    """

    upload: str
    digest: str
    part: int
    done: int
    state: str
    crc32: str
    etags: str


class S3Target:
    """`models/<model>/<commit12>/` of a bucket."""

    states_checksums = True

    def __init__(self, prefix: S3Prefix, settings: Settings) -> None:
        self.prefix, self.bucket = prefix, Bucket(prefix.bucket, settings)
        self._patience, self._events = settings.patience, settings.events
        self._sizes: Mapping[str, int] = {}
        self._uploads: dict[str, list[str]] = {}
        self._found: dict[str, Note] = {}
        self._notes: dict[str, Callable[[], Note]] = {}
        self._lock, self._saving = threading.Lock(), threading.Lock()
        self._unsaved, self._interval = 0, _NOTE_BYTES
        self._swept = False

    @property
    def name(self) -> str:
        return str(self.prefix)

    @contextmanager
    def held(self, where: str) -> Iterator[None]:
        """Nothing is locked: writes are conditional, and parts of two runs are the same bytes."""
        yield

    def manifest(self, path: str = PATH) -> Held | None:
        got = self._patience.call("read", lambda: self.bucket.get(self.key(path)), path=path)
        return Held(manifest.read(got.body, f"{self.prefix}/{path}"), got.version) if got else None

    def write_manifest(self, new: Manifest, replaces: str, path: str = PATH) -> bool:
        body = manifest.write(new)
        try:
            self.bucket.put(self.key(path), body, crc32(body), replaces=replaces)
        except Exists:
            return False
        return True

    def survey(self, needed: int) -> None:
        self._interval = max(_NOTE_BYTES, needed // _NOTE_SHARE)
        self._sizes = self._patience.call("list", self.sizes)
        for key, upload in self._patience.call("list uploads", self._begun):
            self._uploads.setdefault(key, []).append(upload)
        if NOTE in self._sizes:
            got = self._patience.call("read", lambda: self.bucket.get(self.key(NOTE)), path=NOTE)
            self._found = _notes(got.body) if got else {}
            # What is not begun again yet keeps its note.
            self._notes = {path: partial(_itself, note) for path, note in self._found.items()}

    def _begun(self) -> list[tuple[str, str]]:
        try:
            return self.bucket.uploads(self.key(""))
        except PrestageError as error:  # a role without the right to list them: nothing is adopted, all the same
            self._events.emit("warning", reason=error.reason)
            return []

    def listed(self, path: str) -> bool:
        return path in self._sizes

    def sizes(self) -> dict[str, int]:
        start = self.key("")
        return {key.removeprefix(start): size for key, size in self.bucket.sizes(start).items()}

    def find(self, file: File | Entry) -> Found | None:
        stat = self.bucket.stat(self.key(file.path))
        if stat is None:
            return None
        vouched = isinstance(file, File) and stat.metadata.get(_DIGEST) == file.digest and stat.crc32
        return Found(stat.size, stat.crc32, stat.metadata.get(_SHA256, "") if vouched else "", stat.version)

    def read(self, path: str, start: int, view: memoryview) -> int:
        got = self.bucket.read(self.key(path), start, view)
        if got is None:
            raise Transient(f"{self.prefix}/{path} is not there any more")
        return got

    def put(self, file: File, body: bytearray, length: int, entry: Entry, replaces: str) -> None:
        metadata = {_DIGEST: file.digest, _SHA256: entry.sha256}
        sent = _exactly(body, length)
        self.bucket.put(self.key(file.path), sent, int(entry.crc32, 16), metadata=metadata, replaces=replaces)

    def upload(self, file: File, part: int, replaces: str) -> S3Upload:
        key = self.key(file.path)
        note = self._found.get(file.path)
        if (
            note
            and resumable()
            and (note.digest, note.part) == (file.digest, part)
            and note.upload in self._uploads.get(key, ())
        ):
            try:
                if parts := _proved(note, self.bucket.parts(key, note.upload), file.size):
                    return S3Upload(self, file, part, replaces, note.upload, note, parts)
            except UploadGone:
                pass
        known = {_SHA256: file.digest.removeprefix("sha256:")} if file.digest.startswith("sha256:") else {}
        upload = self.bucket.create(key, {_DIGEST: file.digest, **known})
        return S3Upload(self, file, part, replaces, upload)

    def key(self, path: str) -> str:
        return self.prefix.key(path)

    def note(self, path: str, note: Callable[[], Note], grown: int) -> None:
        """`grown`: bytes since the last note of this file. Written when it is worth a request."""
        with self._lock:
            self._notes[path] = note
            self._unsaved += grown
            due = self._unsaved >= self._interval
        if due and self._saving.acquire(blocking=False):
            try:
                self._save()
            except (Transient, PrestageError) as error:
                self._events.emit("warning", reason=f"how far this run is could not be noted: {error.reason}")
            finally:
                self._saving.release()

    def forget(self, path: str) -> None:
        """The upload of `path` has ended."""
        with self._lock:
            self._notes.pop(path, None)
            self._found.pop(path, None)

    def save(self) -> None:
        with self._saving:
            if self._unsaved:
                self._save()

    def _save(self) -> None:
        if self._swept:
            return
        with self._lock:
            files = {path: asdict(note()) for path, note in sorted(self._notes.items())}
            self._unsaved = 0
        body = json.dumps({"version": _NOTE_VERSION, "files": files}).encode()
        self.bucket.put(self.key(NOTE), body, crc32(body), replaces=None)

    def sweep(self, *, holding: bool = False) -> None:
        with self._saving:  # a thread may still be writing the note that is to go
            self._swept = True
        try:
            for key, upload in self._patience.call("list uploads", self._begun):
                with suppress(UploadGone):
                    self._patience.call("abort", partial(self.bucket.abort, key, upload))
            own = self._patience.call("list", lambda: self.bucket.sizes(self.key(OWN)))
            for path in (NOTE,) if holding else (NOTE, HELD):
                if self.key(path) in own:
                    self._patience.call("delete", partial(self.bucket.delete, self.key(path)), path=path)
        except PrestageError as error:
            if error.exit is PrestageExit.INTERRUPTED:
                raise
            self._events.emit("warning", reason=f"the copy is complete, but leftovers stay: {error.reason}")


class S3Upload:
    """A multipart upload of ours, new or adopted."""

    def __init__(
        self,
        target: S3Target,
        file: File,
        size: int,
        replaces: str,
        upload: str,
        note: Note | None = None,
        parts: Mapping[int, Uploaded] | None = None,
    ) -> None:
        self._target, self._file, self._size, self._replaces, self._id = target, file, size, replaces, upload
        self._key = target.key(file.path)
        self._parts = dict(parts or {})
        self.done, self.state, self.crc32 = (note.done, note.state, int(note.crc32, 16)) if note else (0, "", 0)
        self._noted = self.done * size

    def again(self, start: int, view: memoryview) -> int:
        """Parts cannot be read before they are an object; their state is noted."""
        raise NotImplementedError

    def ordered(self, view: memoryview) -> None:
        """S3 takes parts in any order."""

    def part(self, number: int, body: bytearray, length: int, crc32: int) -> None:
        etag = self._target.bucket.part(self._key, self._id, number, _exactly(body, length), crc32)
        self._parts[number] = Uploaded(etag, crc32)

    def advanced(self, done: int, state: str | None, crc32: int) -> None:
        if state is not None:
            grown = min(done * self._size, self._file.size) - self._noted
            self._noted += grown
            self._target.note(self._file.path, partial(self._note, done, state, crc32_hex(crc32)), grown)

    def _note(self, done: int, state: str, crc32: str) -> Note:
        etags = _etags(self._parts[number].etag for number in range(1, done + 1))
        return Note(self._id, self._file.digest, self._size, done, state, crc32, etags)

    def complete(self, entry: Entry) -> None:
        self._target.bucket.complete(
            self._key, self._id, self._parts, int(entry.crc32, 16), entry.size, replaces=self._replaces
        )
        self._target.forget(self._file.path)

    def discard(self) -> None:
        self._target.forget(self._file.path)
        with suppress(UploadGone, Transient, PrestageError):  # the sweep after the manifest comes by again
            self._target.bucket.abort(self._key, self._id)


def _exactly(body: bytearray, length: int) -> bytes | bytearray:
    """The buffer itself where it is full: botocore sends a bytearray without copying it."""
    return body if length == len(body) else bytes(memoryview(body)[:length])


def _itself(note: Note) -> Note:
    return note


def _etags(etags: Iterable[str]) -> str:
    return sha256("\n".join(etags).encode()).hexdigest()


def _proved(note: Note, parts: Mapping[int, Part], size: int) -> dict[int, Uploaded] | None:
    """The note's parts, where S3 holds exactly those whose bytes were hashed."""
    if not 0 < note.done * note.part < size:
        return None
    proved = {number: parts[number] for number in range(1, note.done + 1) if number in parts}
    if len(proved) < note.done or any(part.size != note.part for part in proved.values()):
        return None
    if _etags(part.etag for part in proved.values()) != note.etags:
        return None
    return {number: Uploaded(part.etag, int(part.crc32, 16) if part.crc32 else None) for number, part in proved.items()}


def _notes(body: bytes) -> dict[str, Note]:
    """What a run before has noted; nothing where it cannot be read, as it only saves time."""
    try:
        data: Any = json.loads(body)
        if data["version"] != _NOTE_VERSION:
            return {}
        notes = {str(path): Note(**facts) for path, facts in data["files"].items()}
        return {path: note for path, note in notes.items() if _is_sound(note)}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def _is_sound(note: Note) -> bool:
    numbers = type(note.part) is int and type(note.done) is int and note.part > 0 and note.part % 64 == 0
    return (
        numbers and len(bytes.fromhex(note.state)) == 32 and len(bytes.fromhex(note.crc32)) == 4 and bool(note.upload)
    )
