"""Text generation as a program of its own, where no Ray runs: `python -m text_generation.server --port 8080`.

The same routes, engine and environment (README.md), at the root and under `--route`; `/metrics` for Prometheus. The
port opens when the model answers. SIGTERM closes it, and ends the program when the answers in work are given.
Imports from inside of the zip: no module here reads a file beside itself.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from collections.abc import Sequence
from functools import partial

import uvicorn
from common.errors import StartRefused
from common.prometheus import CONTENT_TYPE, PrometheusMetrics, exposition
from prometheus_client import CollectorRegistry
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from text_generation.api import create
from text_generation.replica import Replica

EVERYWHERE = "0.0.0.0"  # noqa: S104  every address of the pod
KEPT = 75  # seconds that an idle connection stays open; longer than proxies keep theirs


def application(backend: Replica, registry: CollectorRegistry, route: str) -> ASGIApp:
    """The routes of text generation at the root and under `route`, and `/metrics`."""
    inner = create(lambda: backend)
    prefix = route.rstrip("/")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/metrics":
            await Response(exposition(registry), media_type=CONTENT_TYPE)(scope, receive, send)
        elif prefix and (scope["path"] == prefix or scope["path"].startswith(f"{prefix}/")):
            await attended(inner, {**scope, "root_path": prefix}, receive, send)
        else:
            await attended(inner, scope, receive, send)

    return app


async def attended(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """`app`, cancelled when the caller leaves: nobody would read the answer, and it holds a slot.

    uvicorn tells that somebody left to those who ask, and what awaits a whole answer does not.
    """
    come: asyncio.Queue[Message] = asyncio.Queue(1)
    answered = False

    async def listen() -> None:
        message: Message = {"type": ""}
        while message["type"] != "http.disconnect":
            message = await receive()
            if not answered and message["type"] == "http.disconnect":
                work.cancel()
            await come.put(message)

    async def tell(message: Message) -> None:
        nonlocal answered
        answered = message["type"] == "http.response.body" and not message.get("more_body", False)
        await send(message)

    work = asyncio.ensure_future(app(scope, come.get, tell))
    listening = asyncio.ensure_future(listen())
    try:
        await asyncio.wait({work})
    finally:
        work.cancel()
        listening.cancel()
    if not work.cancelled():
        work.result()


def serve(port: int, route: str, drain: int, host: str = EVERYWHERE) -> None:
    """Returns when SIGTERM or SIGINT has come and the answers are given, or `drain` seconds later.

    Raises StartRefused where the model cannot be served.
    """
    registry = CollectorRegistry()
    replica = Replica(partial(PrometheusMetrics, registry=registry))
    config = uvicorn.Config(
        application(replica, registry, route),
        host=host,
        port=port,
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=KEPT,
        timeout_graceful_shutdown=drain,
    )
    try:
        uvicorn.Server(config).run()
    finally:
        replica.close()


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m text_generation.server", description="Serve one model.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--host", default=EVERYWHERE, help="address to listen on")
    parser.add_argument("--route", default="/", help="path prefix under which it answers, too")
    parser.add_argument("--drain", type=int, default=20, help="seconds for the answers in work, at the end")
    given = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # As process 1 of a container nothing else would hear it; uvicorn takes over, and raises it again at its end.
    signal.signal(signal.SIGTERM, _leave)
    try:
        serve(given.port, given.route, given.drain, given.host)
    except StartRefused as error:
        raise SystemExit(f"the service does not start: {error}") from error


def _leave(number: int, frame: object) -> None:
    """To be asked to go is no failure."""
    raise SystemExit(0)


if __name__ == "__main__":
    main()
