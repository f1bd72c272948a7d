"""Ranged GETs into a buffer over HTTP/1.1: one connection per thread and origin, every answer checked.

http.client, because a response is read straight into the buffer of a part: no copy, no allocation.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import cache
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from generator.prestage.faults import Transient, mismatch

CHUNK = 2**18  # bytes; a connection that needs more than STALL for so many is given up
STALL = 30.0  # seconds
MAX_REDIRECTS = 5
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_PASSING = frozenset((408, 425, 429, 500, 502, 503, 504, 509, 520, 521, 522, 523, 524))
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


class Refused(Exception):
    """An answer that says no: its status."""

    def __init__(self, status: int, host: str) -> None:
        super().__init__(f"{host} answers {status}")
        self.status, self.host = status, host


class Origin(NamedTuple):
    """What a credential is bound to."""

    scheme: str
    host: str
    port: int


def origin(url: str) -> Origin:
    """Raises Transient where `url`, which a server sent us, is none of HTTP."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        return Origin(parts.scheme, parts.hostname or "", port)
    except (ValueError, KeyError) as error:
        raise Transient(f"sent to an address that is none of HTTP: {url[:80]!r}") from error


class Watch:
    """Ends connections that make no progress, or all of them when the run stops."""

    def __init__(self, stall: float = STALL) -> None:
        self.stall = stall
        self._lock = threading.Lock()
        self._moved: dict[socket.socket, float] = {}
        self._closed = False
        self.received = 0  # bytes; threads count together without a lock, so it may be a little low

    def moved(self, connection: socket.socket, received: int = 0) -> None:
        """The connection is in use, and so many bytes came on it."""
        self._moved[connection] = time.monotonic()
        self.received += received
        if self._closed:
            _shut(connection)

    def rests(self, connection: socket.socket) -> None:
        """The connection is not waited for."""
        self._moved.pop(connection, None)

    def look(self) -> None:
        """Called about once a second: gives up what stalls."""
        late = time.monotonic() - self.stall
        for connection, moved in list(self._moved.items()):
            if moved < late:
                self.rests(connection)
                _shut(connection)

    def close(self) -> None:
        """No thread waits for a connection any longer."""
        self._closed = True
        for connection in list(self._moved):
            _shut(connection)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # it was closed already
        connection.shutdown(socket.SHUT_RDWR)


class _Answer(NamedTuple):
    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse
    line: socket.socket


class _Proxy(NamedTuple):
    place: Origin
    headers: dict[str, str]


class Ranges:
    """GETs a range of a URL into a buffer. Shared by threads; each has its own connections."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._own = threading.local()
        self._lock = threading.Lock()
        self._made_so_far: list[http.client.HTTPConnection] = []

    def read(self, url: str, headers: Mapping[str, str], start: int, view: memoryview, size: int) -> int:
        """Fills `view` with the bytes from `start` of a body of `size` bytes; returns how many one answer gave.

        `headers` go to the origin of `url` alone. Raises Transient, or Refused with a status that is not ours to mend.
        """
        first = origin(url)
        wanted = {"Accept-Encoding": "identity", "Range": f"bytes={start}-{start + view.nbytes - 1}"}
        for _ in range(MAX_REDIRECTS):
            own = headers if origin(url) == first else {}
            answer = self._ask(url, {**own, **wanted})
            if answer.response.status not in _REDIRECTS:
                return self._received(answer, start, view, size)
            url = urljoin(url, answer.response.headers.get("Location", ""))
            self._watch.rests(answer.line)
            self._drop(answer.connection)
        raise Transient(f"{first.host} redirects more than {MAX_REDIRECTS} times")

    def _ask(self, url: str, headers: Mapping[str, str]) -> _Answer:
        parts = urlsplit(url)
        while True:
            connection, used = self._connection(origin(url))
            try:
                if connection.sock is None:
                    connection.connect()
                line = connection.sock  # http.client forgets it where the answer is the last one on it
                self._watch.moved(line)
                target, more = _request_line(parts)
                connection.request("GET", target, headers={**headers, **more})
                return _Answer(connection, connection.getresponse(), line)
            except (OSError, http.client.HTTPException) as error:
                self._drop(connection)
                if not used:  # a kept connection may have been closed meanwhile; a new one tells the truth
                    raise _passing(parts.hostname, error) from error

    def _received(self, answer: _Answer, start: int, view: memoryview, size: int) -> int:
        done, connection = 0, answer.connection
        try:
            _check(answer.response, connection.host, start, view.nbytes, size)
            done = self._body(answer, view)
        except (OSError, http.client.HTTPException) as error:
            raise _passing(connection.host, error) from error
        finally:
            self._watch.rests(answer.line)
            if done < view.nbytes or not answer.response.isclosed():
                self._drop(connection)
        return done

    def _body(self, answer: _Answer, view: memoryview) -> int:
        done = 0
        while done < view.nbytes:
            try:
                got = answer.response.readinto(view[done : done + CHUNK])
            except (OSError, http.client.HTTPException):
                if done:
                    return done  # the rest is asked for again, not all of it
                raise
            if not got:
                break
            done += got
            self._watch.moved(answer.line, got)
        return done

    def close(self) -> None:
        """Ends the connections of all threads; none of them may be reading."""
        with self._lock:
            connections, self._made_so_far = self._made_so_far, []
        for connection in connections:
            connection.close()

    def _connection(self, place: Origin) -> tuple[http.client.HTTPConnection, bool]:
        """This thread's connection, and whether it was used before."""
        kept: dict[Origin, http.client.HTTPConnection] = self._own.__dict__.setdefault("kept", {})
        used = place in kept
        if not used:
            kept[place] = self._made(place)
        return kept[place], used

    def _made(self, place: Origin) -> http.client.HTTPConnection:
        proxy = _proxy(place)
        near = proxy.place if proxy else place
        made: http.client.HTTPConnection
        if place.scheme == "http":
            made = http.client.HTTPConnection(near.host, near.port, timeout=self._watch.stall)
        else:
            made = http.client.HTTPSConnection(near.host, near.port, timeout=self._watch.stall, context=_tls())
            if proxy:
                made.set_tunnel(place.host, place.port, headers=proxy.headers)
        with self._lock:
            self._made_so_far.append(made)
        return made

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        if connection.sock:
            self._watch.rests(connection.sock)
        connection.close()
        with self._lock, suppress(ValueError):
            self._made_so_far.remove(connection)
        kept: dict[Origin, http.client.HTTPConnection] = self._own.kept
        for place in [place for place, other in kept.items() if other is connection]:
            del kept[place]


def _proxy(place: Origin) -> _Proxy | None:
    """The proxy that the environment names for `place`: http_proxy, https_proxy, no_proxy."""
    address = "" if proxy_bypass(place.host) else getproxies().get(place.scheme, "")
    if not address:
        return None
    parts = urlsplit(address if "://" in address else f"http://{address}")
    headers = {}
    if parts.username:
        word = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {b64encode(word.encode()).decode()}"
    return _Proxy(origin(parts.geturl()), headers)


def _request_line(parts: SplitResult) -> tuple[str, Mapping[str, str]]:
    """Path and query; the whole address, and the proxy's own headers, where a proxy is asked for plain HTTP."""
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    proxy = _proxy(origin(parts.geturl())) if parts.scheme == "http" else None
    return (f"http://{parts.netloc}{path}", proxy.headers) if proxy else (path, {})


def _passing(host: str | None, error: Exception) -> Transient:
    said = str(error) or type(error).__name__
    return Transient(f"{host}: {said}")


def _check(response: http.client.HTTPResponse, host: str, start: int, length: int, size: int) -> None:
    """Raises unless the answer is exactly the range that was asked for."""
    status = response.status
    if status in _PASSING:
        raise Transient(f"{host} answers {status}", after=retry_after(response.headers.get("Retry-After")))
    if status == 416:
        raise mismatch(f"{host} has no byte {start}, where {size} bytes are expected")
    if status not in (200, 206):
        raise Refused(status, host)
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise mismatch(f"{host} sends {response.headers['Content-Encoding']}, which was not asked for")
    if status == 206:
        _check_range(response.headers.get("Content-Range", ""), host, start, length, size)
    elif start or length != size:
        raise Transient(f"{host} answers 200 to a range")
    if response.length is not None and response.length != length:
        raise mismatch(f"{host} sends {response.length} bytes where {length} are expected")


def _check_range(stated: str, host: str, start: int, length: int, size: int) -> None:
    found = _CONTENT_RANGE.fullmatch(stated)
    if found is None or (int(found[1]), int(found[2])) != (start, start + length - 1):
        raise mismatch(f"{host} sends {stated or 'no Content-Range'} where {start}-{start + length - 1} was asked for")
    if found[3] not in ("*", str(size)):
        raise mismatch(f"{host} has {found[3]} bytes where {size} are expected")


def retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After asks for, in either of its forms (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


__all__ = ["Origin", "Ranges", "Refused", "Watch", "origin", "retry_after"]
