"""Text generation over HTTP. Ray Serve imports `app:build`; the environment says which model (README.md).

No `from __future__ import annotations`: Serve validates `args` by the annotation of `build`, as an object.
"""

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any

from common.errors import PromptRefused
from common.manifest import check
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp, Receive, Scope, Send

from text_generation.settings import Settings

MAX_PROMPT = 1_000_000  # characters; the context length is checked in tokens, after this

api = FastAPI(title="Text generation", docs_url=None, redoc_url=None)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Arguments(Strict):
    """`args:` of the Serve config: none."""


class GenerateRequest(Strict):
    prompt: str = Field(min_length=1, max_length=MAX_PROMPT)
    max_tokens: int | None = Field(None, ge=1, description="MAX_TOKENS at most")
    temperature: float = Field(0, ge=0, le=2, description="below 0.01 is greedy")


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int


class GenerateResponse(BaseModel):
    text: str
    finish_reason: str
    usage: Usage


class Health(BaseModel):
    ready: bool
    pending: int = Field(description="requests of this replica that wait or run")


class RouteWithoutSlash:
    """Serve hands over `POST /generate` with an empty path, which FastAPI would redirect to `/generate/`."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == scope.get("root_path"):
            scope = {**scope, "path": scope["path"] + "/"}
        await self._inner(scope, receive, send)


api.add_middleware(RouteWithoutSlash)


@api.exception_handler(RequestValidationError)
async def invalid(_: Request, fault: RequestValidationError) -> Response:
    """Without FastAPI's echo of the input: NaN and lone surrogates cannot be sent back as JSON."""
    return _unprocessable([{"loc": error["loc"], "msg": error["msg"]} for error in fault.errors()])


@api.exception_handler(PromptRefused)
async def refused(_: Request, fault: PromptRefused) -> Response:
    return _unprocessable([{"loc": ["body"], "msg": str(fault)}])


def _unprocessable(detail: list[dict[str, object]]) -> Response:
    return Response(json.dumps({"detail": detail}), status_code=422, media_type="application/json")


@serve.deployment
@serve.ingress(api)
class TextGeneration:
    """One model. A thread generates, so the event loop stays free for health checks and cancellation."""

    def __init__(self) -> None:
        settings = Settings.read(os.environ)
        check(settings.model, verify=settings.verify)
        os.environ["HF_HUB_OFFLINE"] = "1"  # huggingface_hub reads it once, when it is imported
        # Here and not above: building the application imports this module where no torch is needed.
        from text_generation.engine import Engine

        self._engine = Engine(settings)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="generate")
        self._pending = 0

    @api.post("/")
    async def generate(self, request: GenerateRequest) -> GenerateResponse:
        cancelled = Event()
        work = partial(self._engine.complete, request.prompt, request.max_tokens, request.temperature, cancelled)
        self._pending += 1
        try:
            done = await asyncio.get_running_loop().run_in_executor(self._worker, work)
        finally:
            self._pending -= 1
            cancelled.set()  # the caller may have gone
        return GenerateResponse(
            text=done.text,
            finish_reason=done.finish_reason,
            usage=Usage(prompt_tokens=done.prompt_tokens, completion_tokens=done.completion_tokens),
        )

    @api.get("/healthz")
    async def healthz(self) -> Health:
        """Answers only where a model is loaded: a replica takes requests after `__init__`."""
        return Health(ready=True, pending=self._pending)


def build(_: Arguments) -> Application:
    deployment: Any = TextGeneration  # Ray types the decorator as if it returned the class
    application: Application = deployment.bind()
    return application
