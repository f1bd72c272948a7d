"""A threaded HTTP server on 127.0.0.1 that answers from a function."""

from __future__ import annotations

import sys
import threading
import time
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
    at: float = field(default_factory=time.monotonic, compare=False)

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
    """An answer. Its length is sent for HEAD too."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Content = b""
    start: int = 0
    stop: int | None = None  # end of the part of `body` to send

    @classmethod
    def part(cls, asked: Asked, body: Content, size: int, headers: Mapping[str, str]) -> Self:
        """The whole body, or the part that the Range header names: 206, or 416 beyond the end."""
        headers = {"Accept-Ranges": "bytes", **headers}
        wanted = asked.headers.get("range", "")
        if not wanted.startswith("bytes="):
            return cls(200, headers, body)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(size - int(last), 0)
        stop = min(int(last) + 1, size) if first and last else size
        if start >= size:
            return cls(416, {**headers, "Content-Range": f"bytes */{size}"})
        return cls(206, {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}, body, start, stop)

    @property
    def length(self) -> int:
        size = len(self.body) if isinstance(self.body, bytes) else self.body.stat().st_size
        return (size if self.stop is None else self.stop) - self.start

    @property
    def to_send(self) -> int:
        """Bytes of the body that are sent."""
        return self.length

    def chunks(self) -> Iterator[bytes]:
        left = self.to_send
        if isinstance(self.body, bytes):
            yield self.body[self.start : self.start + left]
            return
        with self.body.open("rb") as file:
            file.seek(self.start)
            while left and (chunk := file.read(min(CHUNK, left))):
                left -= len(chunk)
                yield chunk


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is gone is nothing to speak of."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    """Hands each request to its owner's `answer`."""

    owner: Loopback
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def serve(self) -> None:
        headers = {key.lower(): value for key, value in self.headers.items()}
        reply = self.owner.answered(Asked(self.owner.name, self.command, self.path, headers))
        try:
            self.send(reply)
        except (BrokenPipeError, ConnectionResetError):  # the client had enough
            self.close_connection = True

    def send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for key, value in {"Content-Length": str(reply.length), **reply.headers}.items():
            self.send_header(key, value)
        self.end_headers()
        for piece in reply.chunks() if self.command != "HEAD" else ():
            self.wfile.write(piece)

    do_GET = do_HEAD = serve  # names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:
        """Nothing goes to the terminal."""


class Loopback:
    """The server; use as a context manager. `answer` is called in the thread of each connection."""

    server: type[Server] = Server
    handler: type[Handler] = Handler

    def __init__(self, name: str, answer: Callable[[Asked], Reply]) -> None:
        self.name, self.answer = name, answer
        self._server = self.server(("127.0.0.1", 0), type("Bound", (self.handler,), {"owner": self}))
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def answered(self, asked: Asked) -> Reply:
        return self.answer(asked)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
