"""A threaded HTTP server on 127.0.0.1 that answers from a function and remembers what it was asked."""

from __future__ import annotations

import socket
import struct
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
    """An answer. Its length is sent for HEAD too.

    With `cut`, the line drops after so many bytes of the body: at once, or after `hang` seconds of silence. With
    `reset` it drops hard (RST), without a single byte of an answer where `cut` is None. `drip` are the seconds
    between two bytes of the body, `wait` those before anything is sent. A Content-Length of its own in `headers`
    that does not fit drops the line, too.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Content = b""
    start: int = 0
    stop: int | None = None  # end of the part of `body` to send
    cut: int | None = None
    reset: bool = False
    hang: float = 0.0
    drip: float = 0.0
    wait: float = 0.0

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


class Server(ThreadingHTTPServer):
    """A thread for each connection; one that `drop_hard` marked ends with RST instead of FIN."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is gone is nothing to speak of."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        if isinstance(request, socket.socket) and request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
            self.close_request(request)
        else:
            super().shutdown_request(request)


def drop_hard(connection: socket.socket) -> None:
    """Whoever reads or writes the other end after the close gets ECONNRESET."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Loopback:
    """The server; use as a context manager. `answer` is called in the thread of each connection."""

    def __init__(self, name: str, answer: Callable[[Asked], Reply], asked: list[Asked]) -> None:
        handler = type("Handler", (_Handler,), {"owner": self})
        self.name, self.answer, self.asked = name, answer, asked
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self._server = Server(("127.0.0.1", 0), handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: Loopback
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        headers = {key.lower(): value for key, value in self.headers.items()}
        asked = Asked(self.owner.name, self.command, self.path, headers)
        with self.owner.lock:
            self.owner.asked.append(asked)
        reply = self.owner.answer(asked)
        if reply.wait:
            self.owner.closing.wait(reply.wait)
        try:
            if not reply.reset or reply.cut is not None:
                self._answer(reply)
        except (BrokenPipeError, ConnectionResetError):  # the client had enough
            self.close_connection = True
        if reply.reset:
            self.close_connection = True
            drop_hard(self.connection)

    def _answer(self, reply: Reply) -> None:
        headers = {"Content-Length": str(reply.length), **reply.headers}
        unfit = headers["Content-Length"] != str(reply.length)
        self.close_connection = self.close_connection or unfit or reply.cut is not None
        self.send_response(reply.status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        for piece in _drops(reply.chunks()) if reply.drip else reply.chunks():
            self.wfile.write(piece)
            if reply.drip and self.owner.closing.wait(reply.drip):
                return
        if reply.hang:
            self.owner.closing.wait(reply.hang)

    do_GET = do_HEAD = _serve  # names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:
        """Requests are kept in `asked`, nothing goes to the terminal."""


def _drops(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for index in range(len(chunk)):
            yield chunk[index : index + 1]
