"""The Hugging Face Hub as huggingface_hub 2.4.0 sees it: model_info, tree, resolve, a CDN of another origin.

with HubStandIn() as hub:
    commit = hub.add("owner/name", {"config.json": b"{}", "model.safetensors": Path("weights")})
    HfApi(endpoint=hub.url).model_info("owner/name", files_metadata=True)
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any, Self

from tests.standins.loopback import Asked, Content, Loopback, Reply, part

LFS_SUFFIXES = (".safetensors", ".bin", ".gguf", ".pt", ".pth", ".h5", ".onnx", ".model")
LFS_SIZE = 10 * 2**20  # text files above this are large files too

_INFO = re.compile(r"/api/models/(?P<repo>[^/]+(?:/[^/]+)?)(?:/revision/(?P<revision>.+))?")
_TREE = re.compile(r"/api/models/(?P<repo>[^/]+(?:/[^/]+)?)/tree/(?P<revision>[^/]+)(?:/.*)?")
_RESOLVE = re.compile(r"/(?P<repo>[^/]+(?:/[^/]+)?)/resolve/(?P<revision>[^/]+)/(?P<path>.+)", re.DOTALL)


@dataclass(frozen=True)
class Blob:
    """A file's content and the digests that the Hub states."""

    content: Content
    size: int
    sha256: str
    git: str
    lfs: bool


@dataclass
class Repository:
    """What one repository holds. `refs` maps branches and tags to commits."""

    commits: dict[str, Mapping[str, Blob]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)
    gated: str | bool = False  # files only with a token
    private: bool = False  # nothing without a token
    safetensors: Mapping[str, int] | None = None  # parameters by dtype
    name: str | None = None  # when it was renamed


def blob(path: str, content: Content) -> Blob:
    """Digests of `content`; a Path is read in pieces."""
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    large, small = sha256(), sha1(b"blob %d\0" % size, usedforsecurity=False)
    for chunk in Reply(body=content).chunks():
        large.update(chunk)
        small.update(chunk)
    return Blob(content, size, large.hexdigest(), small.hexdigest(), path.endswith(LFS_SUFFIXES) or size > LFS_SIZE)


class HubStandIn:
    """The Hub and its CDN. `asked` holds every request; `intercept` may answer one itself, to play faults."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.tokens: set[str] = set()
        self.asked: list[Asked] = []
        self.intercept: Callable[[Asked], Reply | None] = lambda asked: None
        self._blobs: dict[str, Blob] = {}
        self._hub = Loopback("hub", self._answer, self.asked)
        self._cdn = Loopback("cdn", self._answer, self.asked)
        self._stack = ExitStack()
        self.url, self.cdn_url = self._hub.url, self._cdn.url

    def __enter__(self) -> Self:
        self._stack.enter_context(self._hub)
        self._stack.enter_context(self._cdn)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, repo: str, files: Mapping[str, Content] | Path, *, revision: str = "main", **facts: Any) -> str:
        """Commits `files` (or a folder), points `revision` to it and returns the commit.

        `facts` are fields of Repository.
        """
        contents = _folder(files) if isinstance(files, Path) else files
        blobs = {path: blob(path, content) for path, content in contents.items()}
        listing = repr([(repo, path, b.git) for path, b in sorted(blobs.items())])
        commit = sha1(listing.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()
        repository = replace(self.repositories.get(repo, Repository()), **facts)
        repository.commits[commit] = blobs
        repository.refs[revision] = commit
        self.repositories[repo] = repository
        self._blobs |= {b.sha256: b for b in blobs.values()}
        return commit

    def paths(self, server: str = "hub") -> list[str]:
        """`METHOD /path` of every request, in order."""
        return [f"{asked.method} {asked.path}" for asked in self.asked if asked.server == server]

    def right(self, asked: Asked) -> Reply:
        """The answer of a Hub and a CDN that work, whatever `intercept` says."""
        return self._hub_answer(asked) if asked.server == "hub" else self._cdn_answer(asked)

    def _answer(self, asked: Asked) -> Reply:
        return self.intercept(asked) or self.right(asked)

    def _hub_answer(self, asked: Asked) -> Reply:
        routes = ((_INFO, self._info), (_TREE, self._tree), (_RESOLVE, self._resolve))
        for pattern, route in routes:
            if found := pattern.fullmatch(asked.path):
                return self._routed(asked, route, found.groupdict())
        return _refused(404, "RepoNotFound")

    def _routed(self, asked: Asked, route: Callable[..., Reply], names: Mapping[str, str | None]) -> Reply:
        repository = self.repositories.get(names["repo"] or "")
        if repository is None or (repository.private and asked.token not in self.tokens):
            return _refused(401 if asked.token is None else 404, "RepoNotFound")
        revision = names["revision"] or "main"
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            return _refused(404, "RevisionNotFound")
        return route(asked, names, repository, commit)

    def _info(self, asked: Asked, names: Mapping[str, str], repository: Repository, commit: str) -> Reply:
        blobs = asked.query.get("blobs", "").lower() == "true"
        info: dict[str, Any] = {
            "id": repository.name or names["repo"],
            "sha": commit,
            "gated": repository.gated,
            "private": repository.private,
            "cardData": repository.card,
            "siblings": [_sibling(path, b, blobs) for path, b in repository.commits[commit].items()],
        }
        if repository.safetensors:
            info["safetensors"] = {
                "parameters": repository.safetensors,
                "total": sum(repository.safetensors.values()),
            }
        return _json(info)

    def _tree(self, asked: Asked, names: Mapping[str, str], repository: Repository, commit: str) -> Reply:
        return _json([_entry(path, b) for path, b in repository.commits[commit].items()])

    def _resolve(self, asked: Asked, names: Mapping[str, str], repository: Repository, commit: str) -> Reply:
        if repository.gated and asked.token not in self.tokens:
            return _refused(401 if asked.token is None else 403, "GatedRepo", {"X-Repo-Commit": commit})
        found = repository.commits[commit].get(names["path"])
        if found is None:
            return _refused(404, "EntryNotFound", {"X-Repo-Commit": commit})
        if not found.lfs:
            return part(asked, found.content, found.size, {"X-Repo-Commit": commit, "ETag": f'"{found.git}"'})
        linked = {"X-Linked-Etag": f'"{found.sha256}"', "X-Linked-Size": str(found.size)}
        return Reply(302, {"X-Repo-Commit": commit, "Location": f"{self.cdn_url}/{found.sha256}", **linked})

    def _cdn_answer(self, asked: Asked) -> Reply:
        found = self._blobs.get(asked.path.removeprefix("/"))
        return part(asked, found.content, found.size, {"ETag": f'"{found.sha256}"'}) if found else Reply(404)


def _folder(root: Path) -> dict[str, Content]:
    return {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()}


def _sibling(path: str, found: Blob, blobs: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"rfilename": path}
    if blobs:
        entry |= {"size": found.size, "blobId": found.git}
    if blobs and found.lfs:
        entry["lfs"] = {"sha256": found.sha256, "size": found.size, "pointerSize": 134}
    return entry


def _entry(path: str, found: Blob) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": found.size, "oid": found.git}
    if found.lfs:
        entry["lfs"] = {"oid": found.sha256, "size": found.size, "pointerSize": 134}
    return entry


def _json(value: object) -> Reply:
    return Reply(200, {"Content-Type": "application/json"}, json.dumps(value).encode())


def _refused(status: int, code: str, headers: Mapping[str, str] | None = None) -> Reply:
    body = json.dumps({"error": code}).encode()
    return Reply(status, {"X-Error-Code": code, "X-Error-Message": code, **(headers or {})}, body)
