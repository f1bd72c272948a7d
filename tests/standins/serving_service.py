"""A Kubernetes Service on loopback: one address, several pods behind it, each connection to the next that is ready.

A pod is probed every few seconds, as KubeRay's readiness probe does; what fails gets no new connections from then on
and keeps those it has. Until the probe notices, connections to a dead pod fail, here as there.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Self

PERIOD = 5.0  # seconds between two probes of a pod
PROBE = 2.0  # seconds that the answer to a probe may take
CHUNK = 65536
_RESET = struct.pack("ii", 1, 0)

Address = tuple[str, int]


class Service:
    """Use as a context manager. `url` is where clients go."""

    def __init__(self, pods: Sequence[Address], probe: str = "/-/healthz") -> None:
        self._pods, self._probe = list(pods), probe
        self._ready = list(pods)
        self._turn = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="service", daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def ready(self) -> list[Address]:
        return list(self._ready)

    def replace(self, pods: Sequence[Address]) -> None:
        """Other pods stand behind the address from now on; the new ones get connections when a probe succeeded."""
        self._pods = list(pods)
        self._ready = [pod for pod in self._ready if pod in self._pods]

    async def _open(self) -> asyncio.Server:
        self._prober = asyncio.create_task(self._watch())
        return await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1024)

    async def _close(self) -> None:
        self._server.close()
        for task in (self._prober, *self._tasks):
            task.cancel()
        await asyncio.gather(self._prober, *self._tasks, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            pods = list(self._pods)
            ready = await asyncio.gather(*map(self._answers, pods))
            self._ready = [pod for pod, well in zip(pods, ready, strict=True) if well]
            await asyncio.sleep(PERIOD)

    async def _answers(self, pod: Address) -> bool:
        request = f"GET {self._probe} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n".encode()
        try:
            async with asyncio.timeout(PROBE):
                reader, writer = await asyncio.open_connection(*pod)
                try:
                    writer.write(request)
                    return (await reader.readline()).split()[1:2] == [b"200"]
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        with contextlib.suppress(asyncio.CancelledError):  # the Service ends, and nobody waits for this task
            await self._serve(reader, writer)
        self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = self.ready or self._pods
        pod = ready[next(self._turn) % len(ready)]
        try:
            inner = await asyncio.open_connection(*pod)
        except OSError:
            _reset(writer)
            return
        ways = [asyncio.create_task(_pump(reader, inner[1])), asyncio.create_task(_pump(inner[0], writer))]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
            if any(way.exception() for way in done):  # one side was reset, and the other is told
                _reset(writer)
                _reset(inner[1])
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for each in (writer, inner[1]):
                each.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with RST."""
    line = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
