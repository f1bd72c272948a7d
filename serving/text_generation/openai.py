"""The answers of OpenAI's API: whole, as events of a stream, and when there is none.

Source: openai 3.54, types/chat/chat_completion.py, chat_completion_chunk.py, completion.py, model.py, _streaming.py.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any, Literal

from common.http import Problem, Style, as_problem
from pydantic import BaseModel

from text_generation.backend import Complete, Done, Event, Finish, Piece, Started


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AssistantMessage(BaseModel):
    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(BaseModel):
    index: int
    message: AssistantMessage
    logprobs: None
    finish_reason: Finish


class ChatAnswer(BaseModel):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage


class CompletionChoice(BaseModel):
    index: int
    text: str
    logprobs: None
    finish_reason: Finish


class CompletionAnswer(BaseModel):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage


class ModelCard(BaseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(BaseModel):
    object: Literal["list"]
    data: list[ModelCard]


class ErrorBody(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(BaseModel):
    error: ErrorBody


UNSUPPORTED: Mapping[str, str] = {
    "audio": "there is no audio",
    "best_of": "one answer is made for each prompt",
    "echo": "the prompt is not repeated",
    "frequency_penalty": "penalties are not supported",
    "function_call": "functions are not supported",
    "functions": "functions are not supported",
    "logit_bias": "biases are not supported",
    "logprobs": "probabilities are not told",
    "modalities": "there is text only",
    "moderation": "there is no moderation",
    "n": "one answer is made for each prompt",
    "prediction": "predictions are not supported",
    "presence_penalty": "penalties are not supported",
    "reasoning_effort": "it cannot be chosen",
    "response_format": "the model answers with text only",
    "suffix": "nothing is inserted before a suffix",
    "tool_choice": "tools are not supported",
    "tools": "tools are not supported",
    "top_logprobs": "probabilities are not told",
    "verbosity": "it cannot be chosen",
    "web_search_options": "there is no web search",
}


def error_answer(problem: Problem) -> tuple[int, ErrorAnswer]:
    """In the shape that OpenAI's clients read: the first field that is at fault, and why."""
    fault = problem.faults[0]
    name = str(fault.where[0]) if fault.where else ""
    param = ".".join(map(str, fault.where)) or None
    if fault.kind == "extra_forbidden":
        message = f"unknown field: {param}"
    elif name in UNSUPPORTED:
        message = f"{name} is refused: {UNSUPPORTED[name]}"
    elif name:  # what may be of several types has a fault for each
        same = [each for each in problem.faults if each.where[:1] == fault.where[:1]]
        message = "; or ".join(f"{'.'.join(map(str, each.where))}: {each.message}" for each in same)
    else:
        message = fault.message
    kind = "server_error" if problem.status >= 500 else "invalid_request_error"
    code = problem.code or ("overloaded" if problem.status == 503 else None)
    return problem.status, ErrorAnswer(error=ErrorBody(message=message, type=kind, param=param, code=code))


OPENAI = Style(ErrorAnswer, error_answer, 400)


def models(names: Sequence[str], created: int) -> ModelList:
    return ModelList(object="list", data=[card(name, created) for name in names])


def card(name: str, created: int) -> ModelCard:
    return ModelCard(id=name, object="model", created=created, owned_by="modelyard")


def _usage(prompt: int, completion: int) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


def chat_answer(done: Complete) -> ChatAnswer:
    message = AssistantMessage(role="assistant", content=done.text, refusal=None)
    choice = ChatChoice(index=0, message=message, logprobs=None, finish_reason=done.finish_reason)
    return ChatAnswer(
        id=_name("chatcmpl"),
        object="chat.completion",
        created=int(time.time()),
        model=done.model,
        choices=[choice],
        usage=_usage(done.prompt_tokens, done.completion_tokens),
    )


def completion_answer(all_done: Sequence[Complete]) -> CompletionAnswer:
    return CompletionAnswer(
        id=_name("cmpl"),
        object="text_completion",
        created=int(time.time()),
        model=all_done[0].model,
        choices=[
            CompletionChoice(index=index, text=done.text, logprobs=None, finish_reason=done.finish_reason)
            for index, done in enumerate(all_done)
        ],
        usage=_usage(sum(done.prompt_tokens for done in all_done), sum(done.completion_tokens for done in all_done)),
    )


def _name(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex}"


@dataclass(frozen=True, slots=True)
class Frame:
    """What the events of one stream have in common."""

    chat: bool
    model: str
    usage: bool  # asked for
    id: str
    created: int

    @classmethod
    def of(cls, model: str, *, chat: bool, usage: bool) -> Frame:
        return cls(chat, model, usage, _name("chatcmpl" if chat else "cmpl"), int(time.time()))

    def text(self, index: int, text: str) -> bytes:
        return self._event([self._choice(index, {"content": text}, text, None)])

    def first(self, index: int) -> bytes:
        """A chat begins with who speaks."""
        return self._event([self._choice(index, {"role": "assistant", "content": ""}, "", None)])

    def last(self, index: int, reason: Finish) -> bytes:
        return self._event([self._choice(index, {}, "", reason)])

    def used(self, usage: Usage) -> bytes:
        return self._event([], usage.model_dump())

    def _choice(self, index: int, delta: Mapping[str, str], text: str, reason: Finish | None) -> dict[str, Any]:
        content: dict[str, Any] = {"delta": delta} if self.chat else {"text": text}
        return {"index": index, **content, "logprobs": None, "finish_reason": reason}

    def _event(self, choices: list[dict[str, Any]], usage: Mapping[str, int] | None = None) -> bytes:
        told = {"usage": usage} if self.usage else {}
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        head = {"id": self.id, "object": kind, "created": self.created, "model": self.model}
        return sse({**head, "choices": choices, **told})


def sse(content: Any) -> bytes:
    """One event. JSON has no line break outside of texts, and escapes those inside."""
    return b"data: " + json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


async def stream(
    started: Sequence[Started],
    answers: Sequence[AsyncIterator[Event]],
    frame: Frame,
    unavailable: tuple[type[Exception], ...] = (),
) -> AsyncIterator[bytes]:
    """The events of one stream: answers one after the other, though all are made at once. Closes all of them.

    An error in its midst is an event too: the status has long been sent.
    """
    completion = 0
    async with AsyncExitStack() as stack:
        for answer in answers:
            await stack.enter_async_context(aclosing(answer))  # type: ignore[type-var]
        try:
            for index, answer in enumerate(answers):
                if frame.chat:
                    yield frame.first(index)
                async for event in answer:
                    if isinstance(event, Piece):
                        yield frame.text(index, event.text)
                    elif isinstance(event, Done):
                        completion += event.completion_tokens
                        yield frame.last(index, event.finish_reason)
            if frame.usage:
                yield frame.used(_usage(sum(each.prompt_tokens for each in started), completion))
            yield DONE
        except Exception as error:
            yield sse(error_answer(as_problem(error, OPENAI, unavailable))[1].model_dump())
