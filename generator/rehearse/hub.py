"""The Hugging Face Hub as huggingface_hub 2.4.0 sees it: model_info, tree, resolve, a CDN of another origin.

with Hub() as hub:
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

from generator.rehearse.loopback import Asked, Content, Loopback, Reply

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

    @property
    def digest(self) -> str:
        """As plan.json writes it."""
        return f"sha256:{self.sha256}" if self.lfs else f"git:{self.git}"


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


def blobs(files: Mapping[str, Content | Blob] | Path) -> dict[str, Blob]:
    """Every file of a folder, or of a mapping, by path; what is a blob already stays one."""
    found: Mapping[str, Content | Blob] = _folder(files) if isinstance(files, Path) else files
    return {path: item if isinstance(item, Blob) else blob(path, item) for path, item in found.items()}


class Hub:
    """The Hub and its CDN; use as a context manager. It knows no users: whoever asks gets everything."""

    reply: type[Reply] = Reply

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self._blobs: dict[str, Blob] = {}
        self._hub, self._cdn = self.served("hub"), self.served("cdn")
        self._stack = ExitStack()
        self.url, self.cdn_url = self._hub.url, self._cdn.url

    def __enter__(self) -> Self:
        self._stack.enter_context(self._hub)
        self._stack.enter_context(self._cdn)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(
        self,
        repo: str,
        files: Mapping[str, Content | Blob] | Path,
        *,
        revision: str = "main",
        commit: str | None = None,
        **facts: Any,
    ) -> str:
        """Commits `files` (or a folder), points `revision` to it and returns the commit.

        `commit` is made of the content unless it is given; `facts` are fields of Repository.
        """
        made = blobs(files)
        listing = repr([(repo, path, b.git) for path, b in sorted(made.items())])
        commit = commit or sha1(listing.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()
        repository = replace(self.repositories.get(repo, Repository()), **facts)
        repository.commits[commit] = made
        repository.refs[revision] = commit
        self.repositories[repo] = repository
        self._blobs |= {b.sha256: b for b in made.values()}
        return commit

    def served(self, name: str) -> Loopback:
        """One of the two servers."""
        return Loopback(name, self.answer)

    def answer(self, asked: Asked) -> Reply:
        """The answer of a Hub and a CDN that work."""
        return self._hub_answer(asked) if asked.server == "hub" else self._cdn_answer(asked)

    def may_see(self, asked: Asked, repository: Repository) -> bool:
        """Whether the repository exists for the one who asks."""
        return True

    def may_read(self, asked: Asked, repository: Repository) -> bool:
        """Whether the one who asks gets its files."""
        return True

    def _hub_answer(self, asked: Asked) -> Reply:
        routes = ((_INFO, self._info), (_TREE, self._tree), (_RESOLVE, self._resolve))
        for pattern, route in routes:
            if found := pattern.fullmatch(asked.path):
                return self._routed(asked, route, found.groupdict())
        return self._refused(404, "RepoNotFound")

    def _routed(self, asked: Asked, route: Callable[..., Reply], names: Mapping[str, str | None]) -> Reply:
        repository = self.repositories.get(names["repo"] or "")
        if repository is None or not self.may_see(asked, repository):
            return self._refused(401 if asked.token is None else 404, "RepoNotFound")
        revision = names["revision"] or "main"
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            return self._refused(404, "RevisionNotFound")
        return route(asked, names, repository, commit)

    def _info(self, asked: Asked, names: Mapping[str, str], repository: Repository, commit: str) -> Reply:
        wanted = asked.query.get("blobs", "").lower() == "true"
        info: dict[str, Any] = {
            "id": repository.name or names["repo"],
            "sha": commit,
            "gated": repository.gated,
            "private": repository.private,
            "cardData": repository.card,
            "siblings": [_sibling(path, b, wanted) for path, b in repository.commits[commit].items()],
        }
        if repository.safetensors:
            info["safetensors"] = {
                "parameters": repository.safetensors,
                "total": sum(repository.safetensors.values()),
            }
        return self._json(info)

    def _tree(self, asked: Asked, names: Mapping[str, str], repository: Repository, commit: str) -> Reply:
        return self._json([_entry(path, b) for path, b in repository.commits[commit].items()])

    def _resolve(self, asked: Asked, names: Mapping[str, str], repository: Repository, commit: str) -> Reply:
        if not self.may_read(asked, repository):
            return self._refused(401 if asked.token is None else 403, "GatedRepo", {"X-Repo-Commit": commit})
        found = repository.commits[commit].get(names["path"])
        if found is None:
            return self._refused(404, "EntryNotFound", {"X-Repo-Commit": commit})
        if not found.lfs:
            headers = {"X-Repo-Commit": commit, "ETag": f'"{found.git}"'}
            return self.reply.part(asked, found.content, found.size, headers)
        linked = {"X-Linked-Etag": f'"{found.sha256}"', "X-Linked-Size": str(found.size)}
        return self.reply(302, {"X-Repo-Commit": commit, "Location": f"{self.cdn_url}/{found.sha256}", **linked})

    def _cdn_answer(self, asked: Asked) -> Reply:
        found = self._blobs.get(asked.path.removeprefix("/"))
        if found is None:
            return self.reply(404)
        return self.reply.part(asked, found.content, found.size, {"ETag": f'"{found.sha256}"'})

    def _json(self, value: object) -> Reply:
        return self.reply(200, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _refused(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> Reply:
        body = json.dumps({"error": code}).encode()
        return self.reply(status, {"X-Error-Code": code, "X-Error-Message": code, **(headers or {})}, body)


def _folder(root: Path) -> dict[str, Content | Blob]:
    return {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()}


def _sibling(path: str, found: Blob, wanted: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"rfilename": path}
    if wanted:
        entry |= {"size": found.size, "blobId": found.git}
    if wanted and found.lfs:
        entry["lfs"] = {"sha256": found.sha256, "size": found.size, "pointerSize": 134}
    return entry


def _entry(path: str, found: Blob) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": found.size, "oid": found.git}
    if found.lfs:
        entry["lfs"] = {"oid": found.sha256, "size": found.size, "pointerSize": 134}
    return entry
