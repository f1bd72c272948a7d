"""The rehearsal's HTTP server with a memory of what it was asked, and with faults to play."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from generator.rehearse import loopback
from generator.rehearse.loopback import CHUNK, Asked, Content

__all__ = ["CHUNK", "Asked", "Content", "Loopback", "Reply", "Server", "drop_hard", "part"]


@dataclass(frozen=True)
class Reply(loopback.Reply):
    """An answer.

    With `cut`, the line drops after so many bytes of the body: at once, or after `hang` seconds of silence. With
    `reset` it drops hard (RST), without a single byte of an answer where `cut` is None. `drip` are the seconds
    between two bytes of the body, `wait` those before anything is sent. A Content-Length of its own in `headers`
    that does not fit drops the line, too.
    """

    cut: int | None = None
    reset: bool = False
    hang: float = 0.0
    drip: float = 0.0
    wait: float = 0.0

    @property
    def to_send(self) -> int:
        return self.length if self.cut is None else min(self.length, self.cut)


def part(asked: Asked, body: Content, size: int, headers: Mapping[str, str]) -> Reply:
    """The whole body, or the part that the Range header names: 206, or 416 beyond the end."""
    return Reply.part(asked, body, size, headers)


class Server(loopback.Server):
    """A connection that `drop_hard` marked ends with RST instead of FIN."""

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        if isinstance(request, socket.socket) and request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
            self.close_request(request)
        else:
            super().shutdown_request(request)


def drop_hard(connection: socket.socket) -> None:
    """Whoever reads or writes the other end after the close gets ECONNRESET."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class _Handler(loopback.Handler):
    owner: Loopback

    def send(self, reply: loopback.Reply) -> None:
        assert isinstance(reply, Reply)
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


class Loopback(loopback.Loopback):
    """`asked` gets every request; what waits or hangs ends with the server."""

    server = Server
    handler = _Handler

    def __init__(self, name: str, answer: Callable[[Asked], Reply], asked: list[Asked]) -> None:
        self.asked = asked
        self.lock = threading.Lock()
        self.closing = threading.Event()
        super().__init__(name, answer)

    def answered(self, asked: Asked) -> loopback.Reply:
        with self.lock:
            self.asked.append(asked)
        return super().answered(asked)

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        super().__exit__(*error)


def _drops(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for index in range(len(chunk)):
            yield chunk[index : index + 1]
