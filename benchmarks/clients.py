"""Clients of a server that generates text: so many at a time, each asks again as soon as it has its answer.

A process of its own, `python -m benchmarks.clients`: reads a Load as JSON from stdin and prints what came back. HTTP by
hand over asyncio's streams, one connection a client, so that clients cost next to nothing: they share the cores.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

LIMIT = 2**24  # bytes of one line of an answer


@dataclass(frozen=True, slots=True)
class Load:
    """`bodies` are asked in turn by `clients`, `patience` seconds each. `kind`: how answers are read, see READ."""

    host: str
    port: int
    path: str
    kind: str
    clients: int
    patience: float
    bodies: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its number, seconds since the run began, and what it brought. `tokens` is what the server says."""

    number: int
    sent: float
    first: float
    done: float
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Run:
    """`seconds` from the first request to the last answer; CPU seconds of the clients meanwhile, and of the process."""

    seconds: float
    cpu: float
    process: float
    asked: Sequence[Asked]


def plain(answer: Any) -> tuple[str, int]:
    """Of the hand-written applications, and of ours on its own route."""
    return answer["text"], answer["usage"]["completion_tokens"]


def completion(answer: Any) -> tuple[str, int]:
    """Of OpenAI's /v1/completions, whole or a piece of a stream; pieces have no count but the last one."""
    text = "".join(choice["text"] for choice in answer["choices"])
    return text, (answer.get("usage") or {}).get("completion_tokens", 0)


READ = {"plain": plain, "completion": completion}


class Connection:
    """One request at a time over HTTP/1.1. A server that closes is asked anew."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, body: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """The pieces of the answer's body as they come. Raises RuntimeError unless the status is 200."""
        load, data = self._load, json.dumps(body).encode()
        if self._streams is None:
            self._streams = await asyncio.open_connection(load.host, load.port, limit=LIMIT)
        reader, writer = self._streams
        head = f"POST {load.path} HTTP/1.1\r\nHost: {load.host}:{load.port}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        status, headers = parsed(await reader.readuntil(b"\r\n\r\n"))
        async for piece in _body(reader, headers):
            if status != 200:
                raise RuntimeError(f"{load.path} answered {status}: {piece.decode(errors='replace')[:500]}")
            yield piece
        if headers.get("connection", "").lower() == "close":
            self.close()

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
        self._streams = None


def parsed(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer, names in lower case."""
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        yield await reader.readexactly(int(headers["content-length"]))
        return
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")


def events(buffer: bytes) -> tuple[list[Any], bytes]:
    """The JSON of the complete server-sent events at the start of `buffer`, and the rest. `[DONE]` is left out."""
    *whole, rest = buffer.split(b"\n\n")
    found = (line[5:].strip() for event in whole for line in event.splitlines() if line.startswith(b"data:"))
    return [json.loads(data) for data in found if data != b"[DONE]"], rest


async def one(connection: Connection, load: Load, number: int, begun: float) -> Asked:
    """One answer, read to its end."""
    body, read = load.bodies[number], READ[load.kind]
    sent, first = time.perf_counter() - begun, 0.0
    texts: list[str] = []
    tokens, rest = 0, b""
    async for piece in connection.ask(body):
        rest += piece
        if not body.get("stream"):
            continue
        pieces, rest = events(rest)
        for text, count in map(read, pieces):
            first = first or (time.perf_counter() - begun if text else 0.0)
            texts.append(text)
            tokens = max(tokens, count)
    done = time.perf_counter() - begun
    if not body.get("stream"):
        text, tokens = read(json.loads(rest))
        texts, first = [text], done
    return Asked(number, sent, first, done, "".join(texts), tokens)


async def run(load: Load) -> Run:
    """All requests. The first one that fails ends the run: RuntimeError, OSError, TimeoutError, ValueError."""
    numbers = iter(range(len(load.bodies)))
    cpu, begun = time.process_time(), time.perf_counter()

    async def client(numbers: Iterator[int]) -> list[Asked]:
        connection, found = Connection(load), []
        try:
            for number in numbers:
                async with asyncio.timeout(load.patience):
                    found.append(await one(connection, load, number, begun))
        finally:
            connection.close()
        return found

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client(numbers)) for _ in range(load.clients)]
    asked = [each for task in tasks for each in task.result()]
    seconds = max(each.done for each in asked) - min(each.sent for each in asked)
    return Run(seconds, time.process_time() - cpu, time.process_time(), sorted(asked, key=lambda each: each.number))


def main() -> None:
    found = asyncio.run(run(Load(**json.load(sys.stdin))))
    json.dump(asdict(found), sys.stdout)


if __name__ == "__main__":
    main()
