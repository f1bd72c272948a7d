"""Pull requests of one repository on GitHub, for the real `gh`: REST over a Unix socket, branches in a bare repository.

with GitHub(folder, bare) as github:
    subprocess.run(["gh", "api", "repos/owner/name/pulls"], env=os.environ | github.environment())
"""

from __future__ import annotations

import json
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

REPOSITORY = "owner/name"
TOKEN = "a-token"


@dataclass
class Pull:
    """A request; `sha` is the last commit that its branch had while it was open."""

    number: int
    head: str
    base: str
    title: str
    body: str
    sha: str
    state: str = "open"
    edits: list[str] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "state": self.state,
            "title": self.title,
            "body": self.body,
            "head": {"ref": self.head, "sha": self.sha},
            "base": {"ref": self.base},
        }


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


class GitHub:
    """`pulls` holds every request there ever was; `may_create` is the repository's setting."""

    def __init__(self, folder: Path, bare: Path) -> None:
        self.folder, self.bare = folder, bare
        self.pulls: list[Pull] = []
        self.may_create = True
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"null")
                granted = self.headers.get("Authorization") == f"token {TOKEN}"
                status, data = owner.answer(self.command, self.path, body) if granted else (401, {"message": "no"})
                content = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = handle_any

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        folder.mkdir(parents=True)
        self._server = _Server(str(folder / "socket"), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        (self.folder / "config.yml").write_text(f"http_unix_socket: {self.folder / 'socket'}\n")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def environment(self) -> dict[str, str]:
        """What makes `gh` come here, and what a runner sets."""
        return {
            "GH_CONFIG_DIR": str(self.folder),
            "GH_TOKEN": TOKEN,
            "GH_NO_UPDATE_NOTIFIER": "1",
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": REPOSITORY,
        }

    def open_pulls(self) -> list[Pull]:
        self._follow()
        return [pull for pull in self.pulls if pull.state == "open"]

    def answer(self, method: str, target: str, body: Any) -> tuple[int, Any]:
        self._follow()
        url, top = urlsplit(target), f"/repos/{REPOSITORY}/pulls"
        if method == "GET" and url.path == top:
            return 200, self._listed({key: values[0] for key, values in parse_qs(url.query).items()})
        if method == "POST" and url.path == top:
            return self._created(body)
        if method == "PATCH" and url.path.startswith(f"{top}/"):
            pull = self.pulls[int(url.path.rpartition("/")[2]) - 1]
            pull.title, pull.body = body["title"], body["body"]
            pull.edits.append(pull.sha)
            return 200, pull.data()
        return 404, {"message": "Not Found"}

    def _listed(self, query: dict[str, str]) -> list[dict[str, Any]]:
        owner = REPOSITORY.partition("/")[0]
        found = [
            pull.data()
            for pull in reversed(self.pulls)
            if query["state"] in ("all", pull.state)
            and query["head"] == f"{owner}:{pull.head}"
            and query["base"] == pull.base
        ]
        return found

    def _created(self, body: Any) -> tuple[int, Any]:
        if not self.may_create:
            return 403, {"message": "GitHub Actions is not permitted to create or approve pull requests."}
        if any(pull.head == body["head"] and pull.state == "open" for pull in self.pulls):
            return 422, {"message": "Validation Failed", "errors": [{"message": "A pull request already exists"}]}
        sha = self._tip(body["head"])
        if not sha:
            return 422, {"message": "Validation Failed", "errors": [{"field": "head", "code": "invalid"}]}
        pull = Pull(len(self.pulls) + 1, body["head"], body["base"], body["title"], body["body"], sha)
        self.pulls.append(pull)
        return 201, pull.data()

    def _follow(self) -> None:
        """An open request goes with its branch, and is closed when that is deleted."""
        for pull in self.pulls:
            if pull.state == "open":
                tip = self._tip(pull.head)
                pull.sha, pull.state = (tip, "open") if tip else (pull.sha, "closed")

    def _tip(self, branch: str) -> str:
        command = ["git", "-C", str(self.bare), "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
