"""HTTP of the composition: a text in, an answer out. The prompt is the platform's and stands in no request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from common.http import Operation, Strict, application, respond
from pydantic import Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from text_generation.api import GenerateAnswer, HealthAnswer, TokenCounts
from text_generation.backend import Complete, Health

from composition.preprocessor import USUAL, Preprocessor
from composition.prompt import MOST

Text = Annotated[str, Field(min_length=1, max_length=MOST)]


class SimpleRequest(Strict):
    """The body of /text/simple-gen."""

    input: Text


class InputRequest(SimpleRequest):
    """`input` is put into the prompt in its normal form: NFC, single blanks, no control characters."""

    max_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description=f"MAX_TOKENS at most; {USUAL}, or what fits, when left out"
    )
    temperature: float = Field(0, ge=0, le=2, description="below 0.01 is greedy")


def create(preprocessor: Callable[[], Preprocessor], unavailable: tuple[type[Exception], ...] = ()) -> Starlette:
    """The application; `preprocessor` is asked with each request, `unavailable` are answered 503."""

    async def answer(_: Request, body: InputRequest) -> Response:
        return _answered(await preprocessor().complete(body.input, body.max_tokens, body.temperature))

    async def simple(_: Request, body: SimpleRequest) -> Response:
        return _answered(await preprocessor().complete(body.input))

    async def healthz(_: Request, __: None) -> Response:
        return _health(await preprocessor().health())

    operations: Sequence[Operation[Any]] = (
        Operation("POST", "/", answer, GenerateAnswer, "Answer a text", InputRequest),
        Operation("POST", "/text/simple-gen", simple, GenerateAnswer, "Answer a text", SimpleRequest),
        Operation("GET", "/healthz", healthz, HealthAnswer, "Whether it answers", other={503: HealthAnswer}),
    )
    return application(operations, title="Composition", unavailable=unavailable)


def _answered(done: Complete) -> Response:
    counts = TokenCounts(prompt_tokens=done.prompt_tokens, completion_tokens=done.completion_tokens)
    answer = GenerateAnswer(text=done.text, finish_reason=done.finish_reason, usage=counts)
    return respond(answer, headers={"X-Model": done.model})


def _health(health: Health) -> Response:
    answer = HealthAnswer(
        ready=health.ready,
        reason=health.reason or None,
        pending=health.running + health.waiting,
        running=health.running,
        waiting=health.waiting,
        load=dict(health.load),
    )
    return respond(answer, 200 if health.ready else 503, {} if health.ready else {"Retry-After": "1"})
