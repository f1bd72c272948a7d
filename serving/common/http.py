"""HTTP for all applications: rows of operations become routes, their faults, and the OpenAPI document that says so.

Bodies go from bytes to a strict model in one step, so that there is one answer to whatever is malformed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from common.errors import PromptRefused, Unavailable
from common.openapi import document

MOST = 4 * 2**20  # bytes of a body
DRAINED = 256 * 2**20  # bytes of a longer one that are read and dropped, so that its sender hears the answer
FAULTS_SHOWN = 10
BODY_STATUSES = (400, 413, 415, 422)
NAME_SHOWN = 100  # characters of a name that the caller chose
UNION = re.compile(r"str|int|float|bool|list|dict|(constrained|literal|none)\W.*|.*\[.*\]")
log = logging.getLogger(__name__)


class Strict(BaseModel):
    """A body: what is not a field is refused, and a number is no text."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where in the body."""

    where: tuple[str | int, ...]
    message: str
    kind: str = ""  # pydantic's type of error


class Problem(Exception):
    """An answer that is no success. `code` is a word for programs; `retry_after` in seconds."""

    def __init__(
        self, status: int, *faults: Fault, code: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, faults)
        self.status, self.faults, self.code, self.headers = status, faults, code, dict(headers or {})


class Detail(BaseModel):
    """As FastAPI says it."""

    loc: list[str | int]
    msg: str


class Refusal(BaseModel):
    """Why there is no answer."""

    detail: list[Detail]


@dataclass(frozen=True, slots=True)
class Style:
    """How problems look to the callers of an operation: `render` gives the status and a `model`."""

    model: type[BaseModel]
    render: Callable[[Problem], tuple[int, BaseModel]]
    invalid: int  # status for a body that is not as documented


def _plain(problem: Problem) -> tuple[int, BaseModel]:
    place = ["body"] if problem.status in BODY_STATUSES else []
    return problem.status, Refusal(
        detail=[Detail(loc=[*place, *fault.where], msg=fault.message) for fault in problem.faults]
    )


PLAIN = Style(Refusal, _plain, 422)

B = TypeVar("B", bound=BaseModel | None)
Answer = BaseModel | Response


@dataclass(frozen=True, slots=True)
class Operation(Generic[B]):
    """A route. `handle` gets the request and its `body`; what it raises becomes a problem in the operation's `style`.

    `statuses` are those that it answers beside 200 and those that every operation has.
    """

    method: str
    path: str
    handle: Callable[[Request, Any], Awaitable[Answer]]
    answer: type[BaseModel]
    summary: str
    body: type[BaseModel] | None = None
    style: Style = PLAIN
    statuses: tuple[int, ...] = ()
    streams: bool = False  # server-sent events where the body asks for them
    other: Mapping[int, type[BaseModel]] = field(default_factory=dict)  # answers of another status


def application(
    operations: Sequence[Operation[Any]],
    *,
    title: str,
    style: Callable[[str], Style] = lambda _: PLAIN,
    unavailable: tuple[type[Exception], ...] = (),
) -> Starlette:
    """The application, with `openapi.json`.

    `style` is for paths without an operation; errors of the types `unavailable` are answered 503.
    """
    described = document(operations, title)

    async def openapi(request: Request) -> Response:
        return _json({**described, "servers": [{"url": request.scope.get("root_path") or "/"}]})

    async def failed(request: Request, error: Exception) -> Response:
        return rendered(error, style(local_path(request.scope)), unavailable)

    routes = [_route(operation, unavailable) for operation in operations]
    made = Starlette(
        routes=[*routes, Route("/openapi.json", openapi, methods=["GET"])],
        middleware=[Middleware(RouteWithoutSlash)],
        exception_handlers={HTTPException: failed, Exception: failed},
    )
    made.router.redirect_slashes = False
    return made


def _route(operation: Operation[Any], unavailable: tuple[type[Exception], ...]) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            body = None if operation.body is None else parsed(operation.body, await read(request), operation.style)
            answer = await operation.handle(request, body)
        except Exception as error:
            return rendered(error, operation.style, unavailable)
        return answer if isinstance(answer, Response) else respond(answer)

    return Route(operation.path, endpoint, methods=[operation.method], name=operation.summary)


def respond(answer: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(answer.model_dump_json(exclude_unset=True), status, headers, "application/json")


def _json(content: Any) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(content)


def local_path(scope: Scope) -> str:
    """The path behind the application's route."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


async def read(request: Request, most: int = MOST) -> bytes:
    """The body. Raises Problem: 415 for another type than JSON, 413 for more than `most` bytes."""
    kind = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise Problem(415, Fault((), f"the body is {kind[:NAME_SHOWN]}, not application/json"))
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= most:
            body += chunk
        elif size > DRAINED:
            break
    if size > most:
        raise Problem(413, Fault((), f"the body has more than {most} bytes"))
    return bytes(body)


M = TypeVar("M", bound=BaseModel)


def parsed(model: type[M], body: bytes, style: Style = PLAIN) -> M:
    """Raises Problem: 400 for what is no JSON, else the status of `style`."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _invalid(error, style.invalid) from None


def _invalid(error: ValidationError, status: int) -> Problem:
    if error.error_count() > 1000:  # to list them would take longer than to find them
        return Problem(status, Fault((), f"{error.error_count()} faults in the body"))
    # Without the input: it may be long, and is not ours to repeat.
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    faults = [Fault(_where(each["loc"], each["type"]), each["msg"], each["type"]) for each in errors[:FAULTS_SHOWN]]
    return Problem(400 if faults[0].kind == "json_invalid" else status, *faults)


def _where(places: Sequence[str | int], kind: str) -> tuple[str | int, ...]:
    """Without the names that pydantic gives to the types of a union; a field that is unknown may be called anything."""
    last = len(places) - 1
    fields = (
        place
        for at, place in enumerate(places)
        if isinstance(place, int) or (kind == "extra_forbidden" and at == last) or not UNION.fullmatch(place)
    )
    return tuple(place[:NAME_SHOWN] if isinstance(place, str) else place for place in fields)


def rendered(error: Exception, style: Style, unavailable: tuple[type[Exception], ...] = ()) -> Response:
    """Any exception as an answer. What nobody expected is logged, and the caller does not see it."""
    problem = as_problem(error, style, unavailable)
    status, model = style.render(problem)
    return respond(model, status, problem.headers)


def as_problem(error: Exception, style: Style, unavailable: tuple[type[Exception], ...] = ()) -> Problem:
    """Errors that came through a handle of Serve are of their class and of Ray's; the original is their `cause`."""
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, Problem):
        return cause
    if isinstance(cause, PromptRefused):
        return Problem(style.invalid, Fault((), str(cause)))
    if isinstance(cause, Unavailable):
        return Problem(503, Fault((), str(cause)), headers={"Retry-After": str(cause.retry_after)})
    if isinstance(cause, HTTPException):
        return Problem(cause.status_code, Fault((), cause.detail), headers=cause.headers)
    if isinstance(cause, ClientDisconnect):
        return Problem(400, Fault((), "the body is not complete"))
    if isinstance(error, unavailable) or isinstance(cause, unavailable):
        log.warning("unavailable: %r", cause)
        return Problem(503, Fault((), "no replica can answer now"), headers={"Retry-After": "1"})
    log.error("a request failed", exc_info=error)
    return Problem(500, Fault((), "the request failed"))


class RouteWithoutSlash:
    """Serve hands over `POST /generate` with nothing behind the route, and no operation has an empty path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == scope.get("root_path"):
            scope = {**scope, "path": scope["path"] + "/"}
        await self._app(scope, receive, send)
