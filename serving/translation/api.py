"""HTTP of translation: one text or several in, as many translations out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Protocol

from common.errors import PromptRefused
from common.http import Fault, Operation, Problem, Strict, application, respond
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from translation.texts import Languages, Translation

MOST_TEXTS = 64
MOST_CHARACTERS = 100_000  # of a text, before its tokens are counted

Text = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS)]
Language = Annotated[str, Field(pattern="^[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*$", max_length=32)]


class TranslateRequest(Strict):
    """Models of one pair of languages, and those that read it in the text (T5), take no `source` and `target`."""

    text: Text | Texts
    source: Language | None = Field(None, description="code of the text's language, as the model's tokenizer has it")
    target: Language | None = Field(None, description="the same of the translation's")


class Translated(BaseModel):
    """`finish_reason` is `length` where the translation was cut."""

    text: str
    finish_reason: Literal["stop", "length"]


class Usage(BaseModel):
    """Tokens of all texts, and of all translations."""

    prompt_tokens: int
    completion_tokens: int


class TranslateResponse(BaseModel):
    """In the order of the texts."""

    model: str
    translations: list[Translated]
    usage: Usage


class Ready(BaseModel):
    """`pending` counts texts that wait or are translated, `load` is seconds by phase of the start."""

    ready: bool
    reason: str
    pending: int
    load: dict[str, float]


class Backend(Protocol):
    """Who translates."""

    name: str

    async def translate(self, texts: Sequence[str], languages: Languages) -> Sequence[Translation | PromptRefused]:
        """One answer for each text. Raises Overloaded."""

    def ready(self) -> Ready:
        """Never waits."""


def create(backend: Callable[[], Backend], unavailable: tuple[type[Exception], ...] = ()) -> Starlette:
    """The application; `backend` is asked with each request, `unavailable` are answered 503."""

    async def translate(_: Request, body: TranslateRequest) -> Response:
        texts = [body.text] if isinstance(body.text, str) else body.text
        answers = await backend().translate(texts, Languages(body.source, body.target))
        return _answered(backend().name, answers, listed=not isinstance(body.text, str))

    async def healthz(_: Request, __: None) -> Response:
        ready = backend().ready()
        return respond(ready, 200 if ready.ready else 503, {} if ready.ready else {"Retry-After": "1"})

    operations: Sequence[Operation[Any]] = (
        Operation("POST", "/", translate, TranslateResponse, "Translate texts", TranslateRequest),
        Operation("GET", "/healthz", healthz, Ready, "Whether it answers", other={503: Ready}),
    )
    return application(operations, title="Translation", unavailable=unavailable)


def _answered(model: str, answers: Sequence[Translation | PromptRefused], *, listed: bool) -> Response:
    """All or nothing: a list with holes would be taken for a whole one."""
    refused = [(place, each) for place, each in enumerate(answers) if isinstance(each, PromptRefused)]
    if refused:
        raise Problem(422, *(Fault(("text", place) if listed else ("text",), str(each)) for place, each in refused))
    done = [each for each in answers if isinstance(each, Translation)]
    usage = Usage(
        prompt_tokens=sum(each.prompt_tokens for each in done),
        completion_tokens=sum(each.completion_tokens for each in done),
    )
    translations = [Translated(text=each.text, finish_reason=each.finish_reason) for each in done]
    return respond(TranslateResponse(model=model, translations=translations, usage=usage), headers={"X-Model": model})
