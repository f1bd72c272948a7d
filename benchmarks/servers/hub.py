"""A Hub of one repository and its CDN, which sends files with sendfile, and can be slow on purpose.

    python -m benchmarks.servers.hub --root FOLDER [--latency 0.05] [--rate 20e6] [--link 200e6]

`latency`: seconds before each answer; `rate`: bytes per second of a connection; `link`: of all together. GET /_served
tells the bytes that were sent so far, of each file too. Calls as huggingface_hub 2.4.0 makes them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from benchmarks.servers.common import Handler, Server, serve

REPO = "bench/model"
LFS = ".safetensors"
PACE = 2**18  # bytes between two looks at the clock
CHUNK = 2**22
DIGESTS = ".digests.json"


@dataclass(frozen=True, slots=True)
class Blob:
    path: Path
    size: int
    sha256: str
    git: str

    @property
    def lfs(self) -> bool:
        return self.path.suffix == LFS


def blobs(root: Path) -> dict[str, Blob]:
    """The files of `root` with their digests, which are kept beside them: 20 GiB take a while."""
    kept = root / DIGESTS
    known: dict[str, list[Any]] = json.loads(kept.read_text()) if kept.exists() else {}
    found = {}
    for path in sorted(root.iterdir()):
        if path.name == DIGESTS:
            continue
        stamp = [path.stat().st_size, path.stat().st_mtime_ns]
        if known.get(path.name, [None])[0] != stamp:
            known[path.name] = [stamp, *_digests(path)]
        found[path.name] = Blob(path, stamp[0], *known[path.name][1:])
    kept.write_text(json.dumps(known))
    return found


def _digests(path: Path) -> tuple[str, str]:
    large, small = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            large.update(chunk)
            if path.suffix != LFS:
                small.update(chunk)
    return large.hexdigest(), small.hexdigest()


def commit_of(files: dict[str, Blob]) -> str:
    listing = repr([(name, blob.sha256) for name, blob in sorted(files.items())])
    return hashlib.sha1(listing.encode(), usedforsecurity=False).hexdigest()


@dataclass
class State:
    """What both origins share."""

    files: dict[str, Blob]
    commit: str
    latency: float = 0.0
    rate: float = 0.0
    link: float = 0.0
    cdn: str = ""
    requests: int = 0
    served: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    free_at: float = 0.0

    def wait_for_link(self, size: int) -> None:
        """Reserves the time that `size` bytes take on the shared link."""
        with self.lock:
            begin = max(time.monotonic(), self.free_at)
            self.free_at = begin + size / self.link
            until = self.free_at
        time.sleep(max(0.0, until - time.monotonic()))


class _Origin(Handler):
    @property
    def state(self) -> State:
        return cast("_Server", self.server).state

    def _send(self, blob: Blob, **headers: str) -> None:
        start, stop, status = 0, blob.size, 200
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, stop, status = int(asked[1]), min(int(asked[2] or blob.size) + 1, blob.size), 206
            headers["Content_Range"] = f"bytes {start}-{stop - 1}/{blob.size}"
        self.head(status, Content_Length=str(stop - start), Accept_Ranges="bytes", **headers)
        if self.command == "GET":
            self._body(blob, start, stop)

    def _body(self, blob: Blob, start: int, stop: int) -> None:
        state, at, began = self.state, start, time.monotonic()
        with blob.path.open("rb") as file:
            try:
                while at < stop:
                    size = min(stop - at, PACE if state.rate or state.link else CHUNK)
                    sent = os.sendfile(self.connection.fileno(), file.fileno(), at, size)
                    at += sent
                    with state.lock:  # at once: who kills a client at a certain byte asks meanwhile
                        state.served[blob.path.name] += sent
                    if state.link:
                        state.wait_for_link(sent)
                    if state.rate:
                        time.sleep(max(0.0, began + (at - start) / state.rate - time.monotonic()))
            except OSError:  # the client had enough
                self.close_connection = True


class Hub(_Origin):
    """Listing and addresses."""

    def do_GET(self) -> None:
        state, path = self.state, self.path_only
        if path == "/_served":
            with state.lock:
                told = {"bytes": state.served.total(), "requests": state.requests, "files": dict(state.served)}
            self._json(told)
            return
        time.sleep(state.latency)
        with state.lock:
            state.requests += 1
        if path.startswith(f"/api/models/{REPO}/tree/"):
            self._json([_entry(name, blob) for name, blob in state.files.items()])
        elif path.startswith(f"/api/models/{REPO}"):
            siblings = [_sibling(name, blob) for name, blob in state.files.items()]
            self._json({"id": REPO, "sha": state.commit, "siblings": siblings, "gated": False, "private": False})
        elif blob := state.files.get(path.rpartition("/")[2]):
            self._resolve(blob)
        else:
            self.answer(404, b"{}", X_Error_Code="EntryNotFound")

    do_HEAD = do_GET

    def _resolve(self, blob: Blob) -> None:
        if blob.lfs:
            place = f"{self.state.cdn}/{blob.path.name}"
            etag, size = f'"{blob.sha256}"', str(blob.size)
            self.answer(302, Location=place, X_Repo_Commit=self.state.commit, X_Linked_Etag=etag, X_Linked_Size=size)
        else:
            self._send(blob, X_Repo_Commit=self.state.commit, ETag=f'"{blob.git}"')

    def _json(self, value: object) -> None:
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json")


class Cdn(_Origin):
    """The large files."""

    def do_GET(self) -> None:
        time.sleep(self.state.latency)
        self._send(self.state.files[self.path_only.removeprefix("/")])

    do_HEAD = do_GET


class _Server(Server):
    def __init__(self, handler: type[_Origin], state: State) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.state = state


def _sibling(name: str, blob: Blob) -> dict[str, Any]:
    lfs = {"lfs": {"sha256": blob.sha256, "size": blob.size, "pointerSize": 134}} if blob.lfs else {}
    return {"rfilename": name, "size": blob.size, "blobId": blob.git, **lfs}


def _entry(name: str, blob: Blob) -> dict[str, Any]:
    lfs = {"lfs": {"oid": blob.sha256, "size": blob.size, "pointerSize": 134}} if blob.lfs else {}
    return {"type": "file", "path": name, "size": blob.size, "oid": blob.git, **lfs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    for name in ("latency", "rate", "link"):
        parser.add_argument(f"--{name}", type=float, default=0.0)
    asked = parser.parse_args()
    files = blobs(asked.root)
    state = State(files, commit_of(files), asked.latency, asked.rate, asked.link)
    hub, cdn = _Server(Hub, state), _Server(Cdn, state)
    state.cdn = cdn.url
    serve({"hub": hub, "cdn": cdn})


if __name__ == "__main__":
    main()
