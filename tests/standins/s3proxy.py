"""A proxy before a real S3 server that plays faults: refusals, broken lines, silence, bytes changed on their way.

with S3Proxy(server.url, S3Faults(FaultPlan("seed 1", rate=0.2))) as proxy:
    boto3.client("s3", endpoint_url=proxy.url, ...)

The Host header goes on as the client sent it, because the signature covers it; the server only compares.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.standins.loopback import Server, drop_hard

CHUNK = 2**18
PATIENCE = 30.0  # seconds for the real server
_HOP = frozenset(("connection", "keep-alive", "transfer-encoding", "expect"))


@dataclass(frozen=True, slots=True)
class S3Request:
    """One request as it came in. Header names are lower case."""

    operation: str
    method: str
    target: str
    key: str
    headers: Mapping[str, str]
    at: float = field(default_factory=time.monotonic, compare=False)

    @property
    def query(self) -> Mapping[str, str]:
        return _query(self.target)

    @property
    def thing(self) -> str:
        """What it is for."""
        part = self.query.get("partNumber")
        return f"{self.operation} {self.key}{f' part {part}' if part else ''}"


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to a request instead of, or on top of, being passed on.

    `refusal`: status, headers and body, and the server never sees the request. `early`: it is sent before the
    body was read. `drop`: the line is reset "before" the server was asked or "after" it answered. `cut`: the
    answer ends halfway. `stall`: seconds of silence before the line ends. `flip`: the bit of the request's
    body to turn, by number.
    """

    refusal: tuple[int, Mapping[str, str], bytes] | None = None
    early: bool = False
    drop: str = ""
    cut: bool = False
    stall: float = 0.0
    flip: int | None = None


def operation(method: str, target: str, headers: Mapping[str, str]) -> str:
    """The name of the S3 operation (path style); `Other` where it is none that is known here."""
    _, key = bucket_and_key(target)
    query = _query(target)
    copied = "Copy" if "x-amz-copy-source" in headers else ""
    match method, bool(key):
        case "PUT", True:
            return f"UploadPart{copied}" if "uploadId" in query else "CopyObject" if copied else "PutObject"
        case "POST", True if "uploads" in query:
            return "CreateMultipartUpload"
        case "POST", True if "uploadId" in query:
            return "CompleteMultipartUpload"
        case "DELETE", True:
            return "AbortMultipartUpload" if "uploadId" in query else "DeleteObject"
        case "GET", True:
            return "ListParts" if "uploadId" in query else "GetObject"
        case "HEAD", True:
            return "HeadObject"
        case "POST", False if "delete" in query:
            return "DeleteObjects"
        case "GET", False if "uploads" in query:
            return "ListMultipartUploads"
        case "GET", False if "list-type" in query:
            return "ListObjectsV2"
    return "Other"


def bucket_and_key(target: str) -> tuple[str, str]:
    bucket, _, key = unquote(urlsplit(target).path).removeprefix("/").partition("/")
    return bucket, key


def _query(target: str) -> Mapping[str, str]:
    return {key: values[-1] for key, values in parse_qs(urlsplit(target).query, keep_blank_values=True).items()}


def refusal(status: int, code: str, headers: Mapping[str, str] | None = None) -> Change:
    """An error as S3 words it."""
    return Change(refusal=(status, headers or {}, error_body(code)))


def error_body(code: str) -> bytes:
    text = f"<Error><Code>{code}</Code><Message>made up</Message><RequestId>0</RequestId></Error>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()


class S3Proxy:
    """Passes requests on to `upstream`; `change` says what is to go wrong. `asked` holds every request."""

    def __init__(self, upstream: str, change: Callable[[S3Request, int], Change | None]) -> None:
        handler = type("Handler", (_Handler,), {"owner": self})
        self.change, self.asked = change, list[S3Request]()
        self.upstream = urlsplit(upstream).netloc
        self.lock, self.closing = threading.Lock(), threading.Event()
        self._server = Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Gone(Exception):
    """The line to the client is of no use any more."""


class _Handler(BaseHTTPRequestHandler):
    owner: S3Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    _left = 0

    def _serve(self) -> None:
        headers = {key.lower(): value for key, value in self.headers.items()}
        key = bucket_and_key(self.path)[1]
        name = operation(self.command, self.path, headers)
        asked = S3Request(name, self.command, self.path, key, headers)
        with self.owner.lock:
            self.owner.asked.append(asked)
        self._left = int(headers.get("content-length", 0))
        try:
            self._meet(self.owner.change(asked, self._left) or Change())
        except (_Gone, ConnectionError):
            self.close_connection = True
            drop_hard(self.connection)

    def _meet(self, change: Change) -> None:
        if change.refusal and change.early:
            self.close_connection = True
        elif change.refusal or change.stall:
            self._drained()
        if change.stall:
            self.owner.closing.wait(change.stall)
        if change.stall or change.drop == "before":
            raise _Gone
        if change.refusal:
            self._answer(*change.refusal)
        else:
            self._pass_on(change)

    def _pass_on(self, change: Change) -> None:
        upstream = http.client.HTTPConnection(self.owner.upstream, timeout=PATIENCE)
        try:
            response = self._asked_upstream(upstream, change)
            if change.drop == "after":
                response.read()
                raise _Gone
            self._give_back(response, change)
        except http.client.HTTPException as error:
            raise _Gone from error
        finally:
            upstream.close()

    def _asked_upstream(self, upstream: http.client.HTTPConnection, change: Change) -> http.client.HTTPResponse:
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP:
                upstream.putheader(name, value)
        upstream.putheader("Connection", "close")
        upstream.endheaders()
        try:
            for chunk in _flipped(self._body(), change.flip):
                upstream.send(chunk)
        except (BrokenPipeError, ConnectionResetError):
            self._drained()  # the server has answered already
        return upstream.getresponse()

    def _body(self) -> Iterator[bytes]:
        """What is left of the request's body."""
        while self._left:
            chunk = self.rfile.read1(min(CHUNK, self._left))
            if not chunk:
                raise _Gone
            self._left -= len(chunk)
            yield chunk

    def _drained(self) -> None:
        for _ in self._body():
            pass

    def _give_back(self, response: http.client.HTTPResponse, change: Change) -> None:
        headers = {name: value for name, value in response.getheaders() if name.lower() not in _HOP}
        if change.cut or response.length is None:
            self._answer(response.status, headers, response.read(), cut=change.cut)
            return
        self._head(response.status, headers)
        while self.command != "HEAD" and (chunk := response.read(CHUNK)):
            self.wfile.write(chunk)

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes, *, cut: bool = False) -> None:
        """With `cut`, half of the body, or half of the head where there is no body."""
        kept = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        own = headers if self.command == "HEAD" and "Content-Length" in headers else {"Content-Length": str(len(body))}
        if not cut:
            self._head(status, {**kept, **own})
            self.wfile.write(b"" if self.command == "HEAD" else body)
            return
        self.close_connection = True
        if body and self.command != "HEAD":
            self._head(status, {**kept, **own})
            self.wfile.write(body[: len(body) // 2])
        else:
            self.wfile.write(f"HTTP/1.1 {status} OK\r\nX-Amz-Req".encode())

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:
        """Requests are kept in `asked`, nothing goes to the terminal."""


def _flipped(chunks: Iterator[bytes], bit: int | None) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        index = -1 if bit is None else bit // 8 - done
        done += len(chunk)
        if bit is not None and 0 <= index < len(chunk):
            changed = bytearray(chunk)
            changed[index] ^= 1 << bit % 8
            yield bytes(changed)
        else:
            yield chunk
