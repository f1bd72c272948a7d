"""A real Git repository with a lock that changes, each commit an hour after the one before."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from generator import lock
from generator.lock import Lock, LockedFile, LockedModel, ModelSource

START = datetime(2026, 1, 1, tzinfo=UTC)
TINY = ModelSource("example/tiny")
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")


def sha(digit: str) -> str:
    """A commit of the Hub, told by its digit: `sha("a")`."""
    return digit * 40


def entry(digit: str, source: ModelSource = TINY, *, size: int = 1000, license: str = "mit") -> LockedModel:
    """A model of one file at the commit `sha(digit)`."""
    files = (LockedFile("model.safetensors", size, f"sha256:{digit * 64}"),)
    return LockedModel(source, sha(digit), license=license, size=size, weights=size, files=files)


class LockRepository:
    """`commit` writes and commits; the path of the lock may change on the way."""

    def __init__(self, top: Path) -> None:
        self.top, self.path = top, top / lock.FILE
        self.hours = 0
        top.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        date = (START + timedelta(hours=self.hours)).isoformat()
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date, "GIT_CONFIG_GLOBAL": os.devnull}
        command = ["git", *IDENTITY, *words]
        done = subprocess.run(command, cwd=self.top, env=os.environ | dates, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, **models: LockedModel) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(lock.write(Lock(models)))

    def commit(self, message: str = "lock") -> str:
        """Everything as it is now; the short hash."""
        self.hours += 1
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        return self.git("rev-parse", "HEAD")[:7]

    def locked(self, **models: LockedModel) -> str:
        self.write(**models)
        return self.commit()

    def merge(self, branch: str, *words: str) -> str:
        self.hours += 1
        self.git("merge", "-q", "--no-ff", "-m", f"merge {branch}", *words, branch)
        return self.git("rev-parse", "HEAD")[:7]

    def now(self) -> Mapping[str, LockedModel]:
        return lock.load(self.path).models
