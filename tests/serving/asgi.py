"""Calls an ASGI application without a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Answer:
    """Status, headers in lower case, and what was sent, piece by piece."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    sent: list[bytes] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return b"".join(self.sent)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    app: Any,
    method: str,
    path: str,
    body: object = None,
    *,
    raw: Iterable[bytes] = (),
    headers: Mapping[str, str] | None = None,
    root: str = "",
    leave_after: int | None = None,
) -> Answer:
    """`raw` are the chunks of a body that is no JSON. `leave_after`: the caller goes when it has so many pieces."""
    chunks = [json.dumps(body).encode()] if body is not None else list(raw) or [b""]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "method": method,
        "path": root + path,
        "root_path": root,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")]
        if headers is None
        else [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    answer, left = Answer(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        if chunks:
            return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        elif message["body"]:
            answer.sent.append(message["body"])
            if leave_after is not None and len(answer.sent) >= leave_after:
                left.set()
        await asyncio.sleep(0)

    await app(scope, receive, send)
    return answer


def ask(app: Any, method: str, path: str, body: object = None, **options: Any) -> Answer:
    return asyncio.run(call(app, method, path, body, **options))


def events(answer: Answer) -> list[Any]:
    """The data of server-sent events, parsed but for the last word."""
    lines = answer.body.decode().split("\n\n")
    assert lines.pop() == ""
    data = [line.removeprefix("data: ") for line in lines]
    return [each if each == "[DONE]" else json.loads(each) for each in data]
