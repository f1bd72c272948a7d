"""Asks an application as its callers do, and takes the time. A row for each kind of application."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from types import MappingProxyType
from typing import Any

from generator.errors import UserError

_TIMEOUT = 600.0  # seconds without a byte: a large model on few cores is slow
_SHOWN = 500  # characters of a refusal


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the application at `url`, which has no slash at its end; `hear` gets the answer as it comes."""

    url: str
    prompt: str
    max_tokens: int
    hear: Callable[[str], None] = lambda text: None


@dataclass(frozen=True, slots=True)
class Answer:
    """`first` and `seconds` since the request was sent; None where the answer does not tell."""

    text: str
    path: str
    body: Mapping[str, Any]
    seconds: float
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    tokens: int | None = None
    first: float | None = None

    @property
    def tokens_per_second(self) -> float | None:
        """After the first token where that is known, else over all."""
        if not self.tokens:
            return None
        if self.first is None:
            return self.tokens / self.seconds
        return (
            (self.tokens - 1) / (self.seconds - self.first) if self.tokens > 1 and self.seconds > self.first else None
        )


Asks = Callable[[Question], Answer]
"""How a kind of application is asked."""


class _Refused(Exception):
    """An answer that is none; the message is the application's own."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"HTTP {status}: {reason}")
        self.status = status


def ask(
    name: str, import_path: str, question: Question, hint: str = "-v shows what was changed for this machine"
) -> Answer:
    """Asks the application as its row says. Raises UserError with the application's words, or with `hint`."""
    try:
        return how(import_path)(question)
    except _Refused as error:
        raise UserError.of(f"application `{name}` answers {error}") from error
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        message = f"application `{name}` gives no answer: {error!r}"
        raise UserError.of(message, hint=hint) from error


def how(import_path: str) -> Asks:
    """The row of an application; what nobody knows is asked as a text generator."""
    module = import_path.partition(":")[0]
    return ROWS.get(module) or ROWS.get(module.partition(".")[0]) or ROWS["text_generation"]


def healthz(url: str) -> dict[str, Any]:
    """What the replica says of itself; empty where the application has no such route."""
    try:
        with _opened("GET", f"{url}/healthz") as response:
            found = json.loads(response.read())
            return found if isinstance(found, dict) else {}
    except (_Refused, OSError, ValueError):
        return {}


def _generate(question: Question) -> Answer:
    """The chat of OpenAI's API where the application has one, else its own route."""
    model = _model(question.url)
    if model is not None:
        try:
            return _chat(question, model)
        except _Refused as error:
            if error.status != 400:  # 400: the model has no chat template
                raise
    return _plain(question, {"prompt": question.prompt, "max_tokens": question.max_tokens})


def _model(url: str) -> str | None:
    """The first model that the application lists; None where it lists none."""
    try:
        with _opened("GET", f"{url}/v1/models") as response:
            return str(json.loads(response.read())["data"][0]["id"])
    except (_Refused, ValueError, KeyError, IndexError, TypeError):
        return None


def _chat(question: Question, model: str) -> Answer:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question.prompt}],
        "max_tokens": question.max_tokens,
        "temperature": 0,  # the same answer every time
    }
    streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
    path = "/v1/chat/completions"
    text, finish, first = "", None, None
    usage: Mapping[str, int] = {}
    started = time.monotonic()
    with _opened("POST", question.url + path, streamed) as response:
        for event in _events(response):
            usage = event.get("usage") or usage
            for choice in event.get("choices", ()):
                piece = choice.get("delta", {}).get("content") or ""
                if piece and first is None:
                    first = time.monotonic() - started
                text += piece
                question.hear(piece)
                finish = choice.get("finish_reason") or finish
    seconds = time.monotonic() - started
    return Answer(
        text, path, body, seconds, finish, usage.get("prompt_tokens"), usage.get("completion_tokens"), first=first
    )


def _events(response: HTTPResponse) -> Iterator[dict[str, Any]]:
    """Server-sent events until `[DONE]`. Raises _Refused where one is an error."""
    for line in response:
        data = line.decode().strip().removeprefix("data:").strip() if line.startswith(b"data:") else ""
        if data == "[DONE]":
            return
        if data:
            event = json.loads(data)
            if "error" in event:
                raise _Refused(500, str(event["error"].get("message", event["error"])))
            yield event


def _translate(question: Question) -> Answer:
    return _plain(question, {"text": question.prompt})


def _compose(question: Question) -> Answer:
    return _plain(question, {"input": question.prompt, "max_tokens": question.max_tokens})


def _plain(question: Question, body: Mapping[str, Any]) -> Answer:
    """POST to the route itself; the answer has `text`, or `translations` of which each has."""
    started = time.monotonic()
    with _opened("POST", f"{question.url}/", body) as response:
        content = json.loads(response.read())
    seconds = time.monotonic() - started
    found = content["translations"][0] if "translations" in content else content
    usage = content.get("usage") or {}
    tokens = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return Answer(str(found["text"]), "/", body, seconds, found.get("finish_reason"), *tokens)


@contextmanager
def _opened(method: str, url: str, body: object = None) -> Iterator[HTTPResponse]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is this machine
    try:
        with opener.open(request, timeout=_TIMEOUT) as response:
            yield response
    except urllib.error.HTTPError as error:
        with error:
            reason = " ".join(error.read().decode(errors="replace").split())
        raise _Refused(error.code, reason[:_SHOWN]) from error


ROWS: Mapping[str, Asks] = MappingProxyType(
    {
        "text_generation": _generate,
        "router": _generate,
        "ray.serve.llm": _generate,
        "translation": _translate,
        "composition": _compose,
    }
)
