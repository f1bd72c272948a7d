"""How applications are asked, against a real HTTP server that answers as they do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from generator.errors import UserError
from generator.rehearse import asking
from generator.rehearse.asking import Answer, Question

Reply = tuple[int, Any]
"""Status, and a body: JSON, or bytes as they are."""


class Application:
    """Answers by `METHOD path`; keeps what it was asked."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.asked: list[tuple[str, Any]] = []
        self.url = ""

    def answer(self, method: str, path: str, body: Any) -> Reply:
        self.asked.append((f"{method} {path}", body))
        return self.replies.get(f"{method} {path}", (404, {"detail": "nothing here"}))


@pytest.fixture
def application() -> Iterator[Application]:
    found = Application()

    class Handler(BaseHTTPRequestHandler):
        def serve(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            status, content = found.answer(self.command, self.path, body)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = serve

        def log_message(self, format: str, *args: object) -> None:
            """Nothing goes to the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        found.url = f"http://127.0.0.1:{server.server_address[1]}/app"
        yield found
        server.shutdown()


def events(*data: Any) -> bytes:
    return b"".join(b"data: " + (d if isinstance(d, bytes) else json.dumps(d).encode()) + b"\n\n" for d in data)


def delta(content: str | None, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": content} if content is not None else {}, "finish_reason": finish}]}


def ask(application: Application, import_path: str = "text_generation.app:build") -> Answer:
    return asking.ask("chat", import_path, Question(application.url, "Where?", 16))


USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
MODELS = (200, {"data": [{"id": "tiny"}]})
CHAT = "POST /app/v1/chat/completions"
PLAIN = (200, {"text": "Here.", "finish_reason": "stop", "usage": USAGE})


def test_chat_is_streamed(application: Application) -> None:
    stream = events(
        delta(""), delta("In "), delta("Paris."), delta(None, "stop"), {"choices": [], "usage": USAGE}, b"[DONE]"
    )
    application.replies = {"GET /app/v1/models": MODELS, CHAT: (200, stream)}
    answer = ask(application)
    assert (answer.text, answer.finish_reason, answer.prompt_tokens, answer.tokens) == ("In Paris.", "stop", 5, 3)
    assert answer.first is not None and 0 < answer.first <= answer.seconds
    assert answer.path == "/v1/chat/completions"
    _, body = application.asked[-1]
    assert body["messages"] == [{"role": "user", "content": "Where?"}]
    assert (body["model"], body["max_tokens"], body["temperature"], body["stream"]) == ("tiny", 16, 0, True)
    assert "stream" not in answer.body, "what people are shown to repeat is not streamed"


@pytest.mark.parametrize(
    "replies",
    [
        {},
        {"GET /app/v1/models": (500, b"oops")},
        {"GET /app/v1/models": (200, {"data": []})},
        {"GET /app/v1/models": (200, b"<html>")},
        {"GET /app/v1/models": MODELS, CHAT: (400, {"error": {"message": "no chat template"}})},
    ],
    ids=["404", "500", "no model", "no JSON", "no template"],
)
def test_without_chat_the_route_itself(application: Application, replies: Mapping[str, Reply]) -> None:
    application.replies = {**replies, "POST /app/": PLAIN}
    answer = ask(application)
    assert (answer.text, answer.tokens, answer.first) == ("Here.", 3, None)
    assert application.asked[-1] == ("POST /app/", {"prompt": "Where?", "max_tokens": 16})


@pytest.mark.parametrize(
    ("import_path", "reply", "body"),
    [
        (
            "translation.app:build",
            {"translations": [{"text": "Où?", "finish_reason": "stop"}], "usage": USAGE},
            {"text": "Where?"},
        ),
        ("composition.app:build", {"text": "Où?"}, {"input": "Where?", "max_tokens": 16}),
    ],
)
def test_other_applications(application: Application, import_path: str, reply: Any, body: Any) -> None:
    application.replies = {"POST /app/": (200, reply)}
    assert ask(application, import_path).text == "Où?"
    assert application.asked == [("POST /app/", body)]


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        ({"POST /app/": (503, {"detail": "not ready"})}, 'answers HTTP 503: {"detail": "not ready"}'),
        ({"POST /app/": (200, b"no JSON")}, "gives no answer"),
        ({"POST /app/": (200, {"output": "x"})}, "gives no answer"),
        ({"GET /app/v1/models": MODELS, CHAT: (429, b"busy")}, "answers HTTP 429: busy"),
        (
            {"GET /app/v1/models": MODELS, CHAT: (200, events({"error": {"message": "it broke"}}))},
            "answers HTTP 500: it broke",
        ),
    ],
    ids=range(5),
)
def test_no_answer(application: Application, replies: Mapping[str, Reply], message: str) -> None:
    application.replies = dict(replies)
    with pytest.raises(UserError) as error:
        ask(application)
    assert message in str(error.value)


def test_nobody_there(application: Application) -> None:
    with pytest.raises(UserError, match="gives no answer"):
        asking.ask("x", "translation.app:build", Question("http://127.0.0.1:1", "a", 1))


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ((200, {"ready": True, "load": {"read": 1.5}}), {"ready": True, "load": {"read": 1.5}}),
        ((200, []), {}),
        ((503, {"ready": False}), {}),
        ((200, b"yes"), {}),
    ],
)
def test_healthz(application: Application, reply: Reply, expected: dict[str, Any]) -> None:
    application.replies = {"GET /app/healthz": reply}
    assert asking.healthz(application.url) == expected


@pytest.mark.parametrize(
    ("import_path", "row"),
    [
        ("text_generation.app:build", "text_generation"),
        ("ray.serve.llm:build_openai_app", "ray.serve.llm"),
        ("router.app:build", "router"),
        ("somebody.elses:app", "text_generation"),
    ],
)
def test_rows(import_path: str, row: str) -> None:
    assert asking.how(import_path) is asking.ROWS[row]


@pytest.mark.parametrize(
    ("tokens", "first", "seconds", "expected"),
    [
        (11, 1.0, 2.0, 10.0),
        (10, None, 2.0, 5.0),
        (1, 1.0, 2.0, None),
        (0, None, 2.0, None),
        (None, 1.0, 2.0, None),
        (5, 2.0, 2.0, None),
    ],
)
def test_tokens_per_second(tokens: int | None, first: float | None, seconds: float, expected: float | None) -> None:
    answer = Answer("text", "/", {}, seconds, tokens=tokens, first=first)
    assert answer.tokens_per_second == expected
