"""HTTP over plain sockets: cheap enough for a flood, and able to do what no client library does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.faults.serving_load import HANG, Outcome, kind_of

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def head(host: str, path: str, length: int, method: str = "POST", kind: str = "application/json") -> bytes:
    lines = (f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Type: {kind}", f"Content-Length: {length}")
    return "\r\n".join((*lines, "Connection: close", "", "")).encode()


def message(url: str, body: bytes, method: str = "POST", kind: str = "application/json") -> bytes:
    parts = urlsplit(url)
    return head(parts.netloc, parts.path or "/", len(body), method, kind) + body


@asynccontextmanager
async def line(url: str, *, receive: int | None = None) -> AsyncIterator[Line]:
    """A connection; `receive` are the bytes that may be under way to a reader who does not read."""
    parts = urlsplit(url)
    plain = socket.socket()
    if receive is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    plain.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(plain, (parts.hostname, parts.port))
    except BaseException:
        plain.close()
        raise
    reader, writer = await asyncio.open_connection(sock=plain, limit=receive or 65536)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def reply(reader: asyncio.StreamReader) -> tuple[int, Mapping[str, str]]:
    """Status and headers, names in lower case. Raises OSError for what is no answer."""
    first = (await reader.readline()).split()
    if len(first) < 2:
        raise ConnectionResetError("the line ended without an answer")
    headers: dict[str, str] = {}
    while (text := (await reader.readline()).decode("latin-1").strip()) != "":
        name, _, value = text.partition(":")
        headers[name.lower()] = value.strip()
    return int(first[1]), headers


async def ask(url: str, body: bytes, deadline: float, *, method: str = "POST", began: float | None = None) -> Outcome:
    """One request on a connection of its own; its time counts from `began`."""
    began = time.monotonic() if began is None else began
    detail = ""
    try:
        async with asyncio.timeout(deadline), line(url) as (reader, writer):
            writer.write(message(url, body, method))
            status, headers = await reply(reader)
            content = await reader.read()
            whole = "content-length" not in headers or int(headers["content-length"]) == len(content)
            kind = kind_of(status, headers) if whole else "cut midway"
            detail = "" if status < 400 else f"{status} {content[:200]!r}"
    except TimeoutError:
        kind = HANG
    except ConnectionRefusedError:
        kind = "refused"
    except OSError as error:
        kind, detail = "reset", repr(error)
    return Outcome(kind, began, time.monotonic() - began, (kind,), detail=detail)


def prompt(text: str, tokens: int, **more: object) -> bytes:
    """The body of a completion."""
    return json.dumps({"prompt": text, "max_tokens": tokens, **more}).encode()


def drop(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with RST."""
    plain = writer.get_extra_info("socket")
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
