"""What both servers share: a threaded HTTP/1.1 server that tells its address on stdout and ends with its parent."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is part of the measurement; anything else is worth a look."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Keep-alive, no log, headers in one packet."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def path_only(self) -> str:
        return urlsplit(self.path).path

    @property
    def query(self) -> dict[str, str]:
        found = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        return {key: values[-1] for key, values in found.items()}

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """`headers` with underscores for hyphens. The body is left out for HEAD."""
        self.head(status, **{"Content_Length": str(len(body)), **headers})
        if self.command != "HEAD":
            self.wfile.write(body)

    def head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a terminal would be the limit."""


def serve(servers: dict[str, Server]) -> None:
    """Until the parent is gone. One line of JSON on stdout says where."""
    for server in servers.values():
        threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(json.dumps({name: server.url for name, server in servers.items()}) + "\n")
    sys.stdout.flush()
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.2)
