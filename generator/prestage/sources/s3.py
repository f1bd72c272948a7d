"""Another S3 prefix that modelyard has written: replication between buckets and regions, without the Hub."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from generator.prestage import manifest
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError, Stopped, mismatch
from generator.prestage.patience import backoff
from generator.prestage.place import S3Prefix
from generator.prestage.plan import File, Plan
from generator.prestage.s3client import Bucket
from generator.prestage.settings import Settings


class _NotYet(Exception):
    """The source is not complete: why, and what mends it where nobody is at work on it."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.reason, self.hint = reason, hint


class S3Source:
    """What the manifest of the prefix lists; with a list in the plan, that."""

    def __init__(self, plan: Plan, prefix: S3Prefix, settings: Settings) -> None:
        self._plan, self._prefix, self._settings = plan, prefix, settings
        self._bucket = Bucket(prefix.bucket, settings)

    @property
    def name(self) -> str:
        return str(self._prefix)

    def files(self) -> tuple[File, ...]:
        """Waits for them as long as the settings say."""
        patience, until = self._settings.patience, time.monotonic() + self._settings.wait
        looks = 0
        while True:
            try:
                return self._listed()
            except _NotYet as missing:
                if not self._settings.wait:
                    raise PrestageError(PrestageExit.NOT_FOUND, missing.reason, missing.hint) from missing
                left = until - time.monotonic()
                if left <= 0:
                    reason = f"{missing.reason}, after {self._settings.wait:g} s"
                    raise PrestageError(
                        PrestageExit.TRANSIENT, reason, "see how the run that fills it goes"
                    ) from missing
                looks += 1
                if looks == 1:
                    self._settings.events.emit("waiting", reason=f"{missing.reason}: waiting, {left:.0f} s at most")
            if patience.stop.wait(min(left, backoff(looks, patience.first_wait))):
                raise Stopped
            patience.check()

    def _listed(self) -> tuple[File, ...]:
        where = f"{self._prefix}/{manifest.PATH}"
        with self._as_source():
            found = self._settings.patience.call("read", lambda: self._bucket.get(self._prefix.key(manifest.PATH)))
        if found is None:
            raise _NotYet(f"{where} is not there", "stage it there first; its manifest comes last")
        there = manifest.read(found.body, where)
        if there.commit != self._plan.commit:
            reason = f"{self._prefix} holds commit {there.commit}, not {self._plan.commit}"
            raise PrestageError(PrestageExit.NOT_FOUND, reason, "check --source")
        listed = tuple(File(entry.path, entry.size, f"sha256:{entry.sha256}") for entry in there.files)
        if self._plan.files is None:
            return listed
        if lost := manifest.missing(there, self._plan.files):
            raise _NotYet(f"{self._prefix} lacks {lost[0].path}", "check --source")
        wanted = {file.path for file in self._plan.files}
        return tuple(file for file in listed if file.path in wanted)

    @contextmanager
    def _as_source(self) -> Iterator[None]:
        """What is wrong with a bucket that is read is not a fault of the target."""
        try:
            yield
        except PrestageError as error:
            if error.exit is not PrestageExit.STORAGE:
                raise
            code = PrestageExit.NOT_FOUND if "NoSuchBucket" in error.reason else PrestageExit.FORBIDDEN
            raise PrestageError(code, error.reason, "check --source, and who may read it") from error

    def close(self) -> None:
        """Connections are botocore's."""

    def read(self, file: File, start: int, view: memoryview) -> int:
        with self._as_source():
            got = self._bucket.read(self._prefix.key(file.path), start, view)
        if got is None:
            raise mismatch(f"{self._prefix} lacks {file.path}, which its manifest lists")
        return got
