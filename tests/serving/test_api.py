"""The routes over a backend that answers by a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import pytest
from common.errors import Overloaded, PromptRefused, Unavailable
from text_generation.api import create
from text_generation.backend import Asked, Complete, Done, Event, Health, Piece, Started

from tests.serving.asgi import Answer, ask, call, events

HI = [{"role": "user", "content": "hi"}]


class Script:
    """Answers `a, b` to each prompt; the prompts below are those that fail."""

    def __init__(self, health: Health | None = None) -> None:
        self.asked: list[Asked] = []
        self.headers: Mapping[str, str] = {}
        self.closed = 0
        self.cancelled = 0
        self._health = health or Health(True, load={"read": 0.5})

    def models(self) -> Sequence[str]:
        return ("tiny", "org/big")

    async def complete(self, asked: Asked, headers: Mapping[str, str]) -> Complete:
        self._take(asked, headers)
        if asked.prompt == "forever":
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled += 1
        return Complete("tiny", f"{asked.prompt}: a, b", "stop", 3, 5)

    async def answer(self, asked: Asked, headers: Mapping[str, str]) -> AsyncGenerator[Event, None]:
        self._take(asked, headers)
        try:
            yield Started("tiny", 3)
            yield Piece("a")
            if asked.prompt == "breaks":
                raise Unavailable("the engine is closed")
            if asked.prompt == "bug":
                raise KeyError("secret")
            yield Piece(", b")
            yield Done("length", 5)
        finally:
            self.closed += 1

    async def health(self) -> Health:
        return self._health

    def _take(self, asked: Asked, headers: Mapping[str, str]) -> None:
        self.asked.append(asked)
        self.headers = headers
        if asked.prompt == "full":
            raise Overloaded("40 requests wait already", 2)
        if asked.prompt == "long":
            raise PromptRefused("too long")


def asking(backend: Script, path: str, body: object = None, method: str = "POST", **options: Any) -> Answer:
    return ask(create(lambda: backend), method, path, body, **options)


@pytest.mark.parametrize(("path", "field"), [("/", "prompt"), ("/text/simple-gen", "input")])
def test_our_own_routes(path: str, field: str) -> None:
    backend = Script()
    answer = asking(backend, path, {field: "x"})
    usage = {"prompt_tokens": 3, "completion_tokens": 5}
    assert answer.json == {"text": "x: a, b", "finish_reason": "stop", "usage": usage}
    assert answer.headers["x-model"] == "tiny"
    assert backend.asked == [Asked("x", usual=128)]


def test_a_chat() -> None:
    answer = asking(Script(), "/v1/chat/completions", {"model": "tiny", "messages": HI}).json
    assert answer.pop("id").startswith("chatcmpl-")
    assert answer.pop("created") > 1_700_000_000
    message = {
        "role": "assistant",
        "content": "(Message(role='user', content='hi', name=None),): a, b",
        "refusal": None,
    }
    assert answer == {
        "object": "chat.completion",
        "model": "tiny",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    }


def test_several_prompts() -> None:
    answer = asking(Script(), "/v1/completions", {"model": "tiny", "prompt": ["x", "y"]}).json
    assert [(choice["index"], choice["text"]) for choice in answer["choices"]] == [(0, "x: a, b"), (1, "y: a, b")]
    assert answer["usage"] == {"prompt_tokens": 6, "completion_tokens": 10, "total_tokens": 16}
    assert answer["object"] == "text_completion"


def test_one_of_several_prompts_is_refused() -> None:
    backend = Script()
    answer = asking(backend, "/v1/completions", {"prompt": ["forever", "full", "forever"]})
    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    assert backend.cancelled == len(backend.asked) - 1


def test_the_stream_of_a_chat() -> None:
    backend = Script()
    body = {"messages": HI, "stream": True, "stream_options": {"include_usage": True}}
    answer = asking(backend, "/v1/chat/completions", body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-model"] == "tiny"
    *chunks, last = events(answer)
    assert last == "[DONE]"
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks}) == 1
    assert chunks[0]["object"] == "chat.completion.chunk"
    assert [[(c["delta"], c["finish_reason"]) for c in chunk["choices"]] for chunk in chunks] == [
        [({"role": "assistant", "content": ""}, None)],
        [({"content": "a"}, None)],
        [({"content": ", b"}, None)],
        [({}, "length")],
        [],
    ]
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    assert [chunk["usage"] for chunk in chunks] == [None, None, None, None, usage]
    assert backend.closed == 1


def test_the_stream_of_two_prompts() -> None:
    backend = Script()
    *chunks, last = events(asking(backend, "/v1/completions", {"prompt": ["x", "y"], "stream": True}))
    assert last == "[DONE]"
    told = [(c["index"], c["text"], c["finish_reason"]) for chunk in chunks for c in chunk["choices"]]
    once = [("a", None), (", b", None), ("", "length")]
    assert told == [(index, *each) for index in (0, 1) for each in once]
    assert all("usage" not in chunk for chunk in chunks)
    assert backend.closed == 2


@pytest.mark.parametrize(
    ("prompt", "error"),
    [
        ("breaks", {"message": "the engine is closed", "type": "server_error", "param": None, "code": "overloaded"}),
        ("bug", {"message": "the request failed", "type": "server_error", "param": None, "code": None}),
    ],
)
def test_an_error_within_a_stream(prompt: str, error: object) -> None:
    backend = Script()
    answer = asking(backend, "/v1/completions", {"prompt": prompt, "stream": True})
    assert answer.status == 200
    assert events(answer)[-1] == {"error": error}
    assert backend.closed == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("body", "status", "message", "code"),
    [
        ({"prompt": "full"}, 503, "40 requests wait already", "overloaded"),
        ({"prompt": "long"}, 400, "too long", None),
        ({"prompt": ["x", "long"]}, 400, "too long", None),
        (
            {"prompt": "x", "model": "nobody"},
            404,
            "there is no model 'nobody'; there is tiny, org/big",
            "model_not_found",
        ),
    ],
)
def test_errors_before_an_answer(
    stream: bool, body: dict[str, object], status: int, message: str, code: str | None
) -> None:
    answer = asking(Script(), "/v1/completions", {**body, "stream": stream})
    kind = "server_error" if status == 503 else "invalid_request_error"
    assert answer.json == {"error": {"message": message, "type": kind, "param": None, "code": code}}
    assert answer.status == status
    assert answer.headers.get("retry-after") == ("2" if status == 503 else None)


def test_who_leaves_frees_what_they_had() -> None:
    backend = Script()
    body = {"prompt": ["x", "y"], "stream": True}
    answer = asyncio.run(call(create(lambda: backend), "POST", "/v1/completions", body, leave_after=1))
    assert len(answer.sent) < 6
    assert backend.closed == 2


def test_models() -> None:
    listed = asking(Script(), "/v1/models", method="GET").json
    assert (listed["object"], [model["id"] for model in listed["data"]]) == ("list", ["tiny", "org/big"])
    assert asking(Script(), "/v1/models/org/big", method="GET").json == listed["data"][1]
    assert asking(Script(), "/v1/models/nobody", method="GET").json["error"]["code"] == "model_not_found"


def test_headers_reach_the_backend() -> None:
    backend = Script()
    asking(backend, "/", {"prompt": "x"}, headers={"x-user": "ada"})
    assert backend.headers == {"x-user": "ada"}


@pytest.mark.parametrize(
    ("health", "status", "answer"),
    [
        (Health(True, "", 2, 1, {"read": 0.5}), 200, {"ready": True, "reason": None, "pending": 3}),
        (Health(False, "the engine does not answer"), 503, {"ready": False, "reason": "the engine does not answer"}),
    ],
)
def test_health(health: Health, status: int, answer: dict[str, object]) -> None:
    told = asking(Script(health), "/healthz", method="GET")
    assert (told.status, answer.items() <= told.json.items()) == (status, True)
    assert told.json["load"] == health.load


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/chat"])
def test_unknown_paths_of_openai(path: str) -> None:
    answer = asking(Script(), path, {})
    assert (answer.status, answer.json["error"]["message"]) == (404, "Not Found")


def test_the_document() -> None:
    document = asking(Script(), "/openapi.json", method="GET").json
    assert set(document["paths"]) == {
        "/",
        "/text/simple-gen",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/models",
        "/v1/models/{model}",
        "/healthz",
    }
    chat = document["paths"]["/v1/chat/completions"]["post"]
    assert set(chat["responses"]) == {"200", "400", "404", "413", "415", "503"}
    assert set(chat["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    health = document["paths"]["/healthz"]["get"]["responses"]
    schemas = [health[status]["content"]["application/json"]["schema"] for status in ("200", "503")]
    assert schemas[0] == schemas[1]
