"""Time of `modelyard versions` on a long history, beside `git log -p` of the same file.

    python -m benchmarks.versions [--commits 4200] [--locks 200] [--models 1000]

A repository is made in a temporary folder: most commits touch another file, every so many change the lock.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import catalogue
from benchmarks.render import measure

IDENTITY = b"bench <bench@example.com> 1700000000 +0000"


def history(folder: Path, commits: int, locks: int, models: int) -> None:
    """Fills a new repository by `git fast-import`, which takes seconds where `git commit` takes minutes."""
    _git(folder, "init", "-q", "-b", "main")
    stream = b"".join(_stream(folder, commits, locks, models))
    subprocess.run(["git", "-C", str(folder), "fast-import", "--quiet"], input=stream, check=True)
    _git(folder, "reset", "-q", "--hard", "main")


def _stream(folder: Path, commits: int, locks: int, models: int) -> Iterator[bytes]:
    every = max(1, commits // locks)
    for number in range(commits):
        changes = _file("notes.txt", str(number).encode())
        if number % every == 0:
            made = catalogue.write(folder / "made", models, changed=number // every % models)
            for path in (made, made.with_name("models.lock.yaml")):
                changes += _file(path.name, path.read_bytes())
        yield b"commit refs/heads/main\ncommitter %s\ndata 1\nx\n%s\n" % (IDENTITY, changes)


def _file(name: str, content: bytes) -> bytes:
    return b"M 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(content), content)


def _git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), *words], check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--commits", type=int, default=4200)
    parser.add_argument("--locks", type=int, default=200)
    parser.add_argument("--models", type=int, default=1000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="modelyard-versions-") as scratch:
        folder = Path(scratch)
        history(folder, asked.commits, asked.locks, asked.models)
        catalogue_path = str(folder / "models.yaml")
        ours = measure([sys.executable, "-m", "generator.cli", "versions", "model-00001", "-f", catalogue_path])
        git = measure(["git", "-C", str(folder), "log", "-p", "--", "models.lock.yaml"])
    print(f"{asked.commits:,} commits, {asked.locks} of them with a lock of {asked.models:,} models")
    print(f"  modelyard versions   {ours.cpu:6.2f} s of CPU, at most {ours.memory:.0f} MiB")
    print(f"  git log -p           {git.cpu:6.2f} s of CPU, at most {git.memory:.0f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
