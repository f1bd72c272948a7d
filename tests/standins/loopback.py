"""A threaded HTTP server on 127.0.0.1 that answers from a function and remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

CHUNK = 2**20

Content = bytes | Path
"""What a body is made of; a Path is streamed, so a body may be larger than memory."""


@dataclass(frozen=True)
class Asked:
    """One request as it came in. Header names are lower case."""

    server: str
    method: str
    target: str  # as sent, percent-encoded
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> Mapping[str, str]:
        return {key: values[-1] for key, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def token(self) -> str | None:
        return self.headers.get("authorization", "").removeprefix("Bearer ") or None


@dataclass(frozen=True)
class Reply:
    """An answer. Its length is sent for HEAD too; with `cut`, the line drops after so many bytes."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Content = b""
    start: int = 0
    stop: int | None = None  # end of the part of `body` to send
    cut: int | None = None

    @property
    def length(self) -> int:
        size = len(self.body) if isinstance(self.body, bytes) else self.body.stat().st_size
        return (size if self.stop is None else self.stop) - self.start

    def chunks(self) -> Iterator[bytes]:
        left = self.length if self.cut is None else min(self.length, self.cut)
        if isinstance(self.body, bytes):
            yield self.body[self.start : self.start + left]
            return
        with self.body.open("rb") as file:
            file.seek(self.start)
            while left and (chunk := file.read(min(CHUNK, left))):
                left -= len(chunk)
                yield chunk


def part(asked: Asked, body: Content, size: int, headers: Mapping[str, str]) -> Reply:
    """The whole body, or the part that the Range header names: 206, or 416 beyond the end."""
    headers = {"Accept-Ranges": "bytes", **headers}
    wanted = asked.headers.get("range", "")
    if not wanted.startswith("bytes="):
        return Reply(200, headers, body)
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= size:
        return Reply(416, {**headers, "Content-Range": f"bytes */{size}"})
    return Reply(206, {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}, body, start, stop)


class Loopback:
    """The server; use as a context manager. `answer` is called in the thread of each connection."""

    def __init__(self, name: str, answer: Callable[[Asked], Reply], asked: list[Asked]) -> None:
        handler = type("Handler", (_Handler,), {"owner": self})
        self.name, self.answer, self.asked = name, answer, asked
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: Loopback
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        headers = {key.lower(): value for key, value in self.headers.items()}
        asked = Asked(self.owner.name, self.command, self.path, headers)
        with self.owner.lock:
            self.owner.asked.append(asked)
        reply = self.owner.answer(asked)
        self.send_response(reply.status)
        for key, value in {"Content-Length": str(reply.length), **reply.headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        try:
            for chunk in reply.chunks():
                self.wfile.write(chunk)
        except (BrokenPipeError, ConnectionResetError):  # the client had enough
            self.close_connection = True
        if reply.cut is not None:
            self.wfile.flush()
            self.close_connection = True

    do_GET = do_HEAD = _serve  # names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:
        """Requests are kept in `asked`, nothing goes to the terminal."""
