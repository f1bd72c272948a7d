"""An HTTP server on 127.0.0.1 that takes what is sent to it, keeps it, and answers as it is told.

with Receiver() as taker:
    ...; taker.url; taker.received
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass(frozen=True)
class Received:
    """One request with its body. Header names are lower case."""

    method: str
    path: str  # as sent
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What every request gets. With `silent` it gets nothing until the receiver closes."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    silent: bool = False


class Receiver:
    """The server; use as a context manager."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer = answer or Answer()
        self.received: list[Received] = []
        self.closing = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
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
    owner: Receiver

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.owner.received.append(Received(self.command, self.path, headers, body))
        answer = self.owner.answer
        if answer.silent:
            self.owner.closing.wait()
            self.close_connection = True
            return
        self.send_response(answer.status)
        for key, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_DELETE = _take  # names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:
        """Requests are kept in `received`, nothing goes to the terminal."""
