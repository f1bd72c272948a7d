"""The routes of text generation, for whatever fulfils `Backend`: the model of this replica, or a router to others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, cast

from common.http import PLAIN, Fault, Operation, Problem, Style, application, respond
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from text_generation import openai
from text_generation.backend import Asked, Backend, Complete, Event, Finish, Started
from text_generation.openai import OPENAI, ChatAnswer, CompletionAnswer, Frame, ModelCard, ModelList
from text_generation.requests import ChatRequest, CompletionRequest, GenerateRequest, SimpleRequest

TITLE = "Text generation"
SSE_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # proxies would gather events


class TokenCounts(BaseModel):
    """`completion_tokens` counts the end-of-text token too, which the text does not show."""

    prompt_tokens: int
    completion_tokens: int


class GenerateAnswer(BaseModel):
    text: str
    finish_reason: Finish
    usage: TokenCounts


class HealthAnswer(BaseModel):
    """`pending` requests wait or run. `load` is the seconds it took to start, by phase."""

    ready: bool
    reason: str | None
    pending: int
    running: int
    waiting: int
    load: dict[str, float] = Field(description="phases: import, read, build, check, warm_up")


Unavailables = tuple[type[Exception], ...]


def create(backend: Callable[[], Backend], unavailable: Unavailables = ()) -> Starlette:
    """The application; `backend` is called for each request. Errors of the types `unavailable` are answered 503."""
    routes = _Routes(backend, unavailable)
    return application(_operations(routes), title=TITLE, style=_style, unavailable=unavailable)


def ingress() -> Starlette:
    """For `@serve.ingress(ingress)`: Serve calls it in the replica, whose object is the backend."""
    from ray import serve
    from ray.exceptions import RayActorError
    from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

    def backend() -> Backend:
        return cast(Backend, serve.get_replica_context().servable_object)

    return create(backend, (BackPressureError, DeploymentUnavailableError, RayActorError))


def _style(path: str) -> Style:
    return OPENAI if path.startswith("/v1/") else PLAIN


def _operations(routes: _Routes) -> list[Operation[Any]]:
    return [
        Operation("POST", "/", routes.generate, GenerateAnswer, "Continue a text", GenerateRequest),
        Operation("POST", "/text/simple-gen", routes.generate, GenerateAnswer, "Continue a text", SimpleRequest),
        Operation(
            "POST", "/v1/chat/completions", routes.chat, ChatAnswer, "Answer a chat", ChatRequest, OPENAI, (404,), True
        ),
        Operation(
            "POST",
            "/v1/completions",
            routes.completions,
            CompletionAnswer,
            "Continue texts",
            CompletionRequest,
            OPENAI,
            (404,),
            True,
        ),
        Operation("GET", "/v1/models", routes.models, ModelList, "The models", style=OPENAI),
        Operation("GET", "/v1/models/{model:path}", routes.model, ModelCard, "A model", style=OPENAI, statuses=(404,)),
        Operation("GET", "/healthz", routes.healthz, HealthAnswer, "Whether it answers", other={503: HealthAnswer}),
    ]


class _Routes:
    """The handlers, with what they share."""

    def __init__(self, backend: Callable[[], Backend], unavailable: Unavailables) -> None:
        self._backend, self._unavailable = backend, unavailable
        self._created = int(time.time())

    async def generate(self, request: Request, body: GenerateRequest | SimpleRequest) -> Response:
        done = await self._backend().complete(body.asked(), _headers(request))
        counts = TokenCounts(prompt_tokens=done.prompt_tokens, completion_tokens=done.completion_tokens)
        answer = GenerateAnswer(text=done.text, finish_reason=done.finish_reason, usage=counts)
        return respond(answer, headers=_by(done))

    async def chat(self, request: Request, body: ChatRequest) -> Response:
        asked = body.asked()
        if body.stream:
            return await self._stream(request, [asked], body, chat=True)
        (done,) = await self._complete(request, [asked])
        return respond(openai.chat_answer(done), headers=_by(done))

    async def completions(self, request: Request, body: CompletionRequest) -> Response:
        asked = body.asked()
        if body.stream:
            return await self._stream(request, asked, body, chat=False)
        done = await self._complete(request, asked)
        return respond(openai.completion_answer(done), headers=_by(done[0]))

    async def models(self, _: Request, __: None) -> ModelList:
        return openai.models(self._backend().models(), self._created)

    async def model(self, request: Request, _: None) -> ModelCard:
        name = request.path_params["model"]
        self._known(name)
        return openai.card(name, self._created)

    async def healthz(self, _: Request, __: None) -> Response:
        health = await self._backend().health()
        answer = HealthAnswer(
            ready=health.ready,
            reason=health.reason or None,
            pending=health.running + health.waiting,
            running=health.running,
            waiting=health.waiting,
            load=dict(health.load),
        )
        return respond(answer, 200 if health.ready else 503, {} if health.ready else {"Retry-After": "1"})

    def _known(self, name: str | None) -> None:
        """Raises Problem: 404."""
        if name is not None and name not in (known := self._backend().models()):
            shown = name if len(name) < 100 else f"{name[:100]}…"
            fault = Fault((), f"there is no model {shown!r}; there is {', '.join(known)}")
            raise Problem(404, fault, code="model_not_found")

    async def _complete(self, request: Request, asked: Sequence[Asked]) -> list[Complete]:
        self._known(asked[0].model)
        headers = _headers(request)
        tasks = [asyncio.ensure_future(self._backend().complete(each, headers)) for each in asked]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _stream(
        self, request: Request, asked: Sequence[Asked], body: ChatRequest | CompletionRequest, *, chat: bool
    ) -> Response:
        """The status is sent when all have been taken."""
        self._known(asked[0].model)
        headers = _headers(request)
        answers = [self._backend().answer(each, headers) for each in asked]
        started = await _started(answers)
        usage = bool(body.stream_options and body.stream_options.include_usage)
        frame = Frame.of(started[0].model, chat=chat, usage=usage)
        events = openai.stream(started, answers, frame, self._unavailable)
        return EventStream(events, headers={**SSE_HEADERS, **_by(started[0])}, media_type="text/event-stream")


async def _started(answers: Sequence[AsyncIterator[Event]]) -> list[Started]:
    """The first event of each. Who comes before one that is refused is closed."""
    try:
        return [cast(Started, await anext(answer)) for answer in answers]
    except BaseException:
        for answer in answers:
            await cast(AsyncGenerator[Event, None], answer).aclose()
        raise


class EventStream(StreamingResponse):
    """Closes its events however it ends: who leaves while one is sent would else keep a slot until it is collected."""

    async def stream_response(self, send: Send) -> None:
        async with aclosing(cast(AsyncGenerator[bytes, None], self.body_iterator)):
            await super().stream_response(send)


def _headers(request: Request) -> dict[str, str]:
    return dict(request.headers)


def _by(answer: Complete | Started) -> dict[str, str]:
    """Who answered; behind a router that is not told by the request. Names of headers' values are ASCII."""
    return {"X-Model": answer.model.encode("ascii", "replace").decode()}
