"""An HTTP server on loopback that takes what it is sent, and remembers it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass(frozen=True)
class Got:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    """Use as a context manager; `status` and `body` are what it answers with."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.status, self.body = 200, b""
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: Receiver

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.owner.got.append(Got(self.command, self.path, headers, body))
        self.send_response(self.owner.status)
        if 300 <= self.owner.status < 400:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(self.owner.body)))
        self.end_headers()
        self.wfile.write(self.owner.body)

    do_GET = do_POST = do_PUT = _take  # names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:
        """Kept in `got`."""
