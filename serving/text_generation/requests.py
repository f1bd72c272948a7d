"""The bodies that callers send: our own, and those of OpenAI's API as far as they can be honoured.

A field of OpenAI that asks for nothing (`n: 1`, `tools: []`) is taken, one that asks for what is not done here is
refused: an answer that ignored it would be another than what was asked for. Fields that say nothing about the answer
(`user`, `metadata`) are taken whatever they hold. Source: openai 3.54, types/completion_create_params.py and
types/chat/completion_create_params.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from common.http import Strict
from pydantic import AfterValidator, Field, WithJsonSchema

from text_generation.backend import Asked, Message

MAX_PROMPT = 1_000_000  # characters, or tokens; the context length is checked in tokens, after this
MAX_PROMPTS = 16
MAX_MESSAGES = 1_000
USUAL = 128  # tokens of an answer, where a request of ours says nothing
OPENAI_USUAL = 16  # the same of /v1/completions, by OpenAI's reference
GREEDY_TOP_P = 1e-6  # 0 would leave no token at all


def _no(value: bool) -> bool:
    if value:
        raise ValueError("must be false")
    return value


Text = Annotated[str, Field(max_length=MAX_PROMPT)]
Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT)]
Tokens = Annotated[
    list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1, max_length=MAX_PROMPT, fail_fast=True)
]
Prompts = Annotated[list[Prompt], Field(min_length=1, max_length=MAX_PROMPTS, fail_fast=True)]
TokenLists = Annotated[list[Tokens], Field(min_length=1, max_length=MAX_PROMPTS, fail_fast=True)]
Stop = Annotated[str, Field(min_length=1, max_length=200)]
Stops = Annotated[list[Stop], Field(max_length=4, fail_fast=True)]
Count = Annotated[int, Field(ge=1)]
Nothing = Annotated[list[Any], Field(max_length=0)]
NoKeys = Annotated[dict[str, Any], Field(max_length=0)]
Zero = Annotated[float, Field(ge=0, le=0)]
One = Annotated[int, Field(ge=1, le=1)]
No = Annotated[bool, AfterValidator(_no), WithJsonSchema({"type": "boolean", "const": False})]  # Literal takes 0 too
Label = Annotated[str, Field(max_length=1_000)]


class GenerateRequest(Strict):
    """`prompt` is continued as it is, without a chat template."""

    prompt: Prompt
    max_tokens: Count | None = Field(None, description=f"MAX_TOKENS at most; {USUAL}, or what fits, when left out")
    temperature: float = Field(0, ge=0, le=2, description="below 0.01 is greedy")

    def asked(self) -> Asked:
        return Asked(self.prompt, max_tokens=self.max_tokens, usual=USUAL, temperature=self.temperature)


class SimpleRequest(Strict):
    """The body of /text/simple-gen."""

    input: Prompt

    def asked(self) -> Asked:
        return Asked(self.input, usual=USUAL)


class TextPart(Strict):
    type: Literal["text"]
    text: Text


class ResponseFormat(Strict):
    type: Literal["text"]


class StreamOptions(Strict):
    include_usage: bool | None = None
    include_obfuscation: No | None = None


Content = Text | Annotated[list[TextPart], Field(min_length=1, max_length=100, fail_fast=True)]


class Turn(Strict):
    """What is said to the model. Templates know no `developer`, which is OpenAI's newer word for `system`."""

    role: Literal["system", "developer", "user"]
    content: Content
    name: Annotated[str, Field(max_length=64)] | None = None


class AssistantTurn(Strict):
    """What the model has said, as the answer of a chat has it, so that it can be sent back as it came."""

    role: Literal["assistant"]
    content: Content | None = None
    name: Annotated[str, Field(max_length=64)] | None = None
    refusal: None = None
    audio: None = None
    annotations: Nothing | None = None
    function_call: None = None
    tool_calls: Nothing | None = None


def _message(turn: Turn | AssistantTurn) -> Message:
    content = turn.content or ""
    text = content if isinstance(content, str) else "\n".join(part.text for part in content)
    return Message("system" if turn.role == "developer" else turn.role, text, turn.name)


class OpenAIRequest(Strict):
    """What chats and completions have in common."""

    model: Annotated[str, Field(max_length=1_000)] | None = Field(None, description="one of /v1/models")
    max_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Stop | Stops | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: One | None = None
    frequency_penalty: Zero | None = None
    presence_penalty: Zero | None = None
    logit_bias: NoKeys | None = None
    user: Label | None = None

    def _asked(self, prompt: str | tuple[int, ...] | tuple[Message, ...], most: int | None, usual: int | None) -> Asked:
        return Asked(
            prompt,
            model=self.model,
            max_tokens=most,
            usual=usual,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else max(self.top_p, GREEDY_TOP_P),
            seed=self.seed,
            stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()),
        )


class ChatRequest(OpenAIRequest):
    """POST /v1/chat/completions."""

    messages: Annotated[
        list[Annotated[Turn | AssistantTurn, Field(discriminator="role")]],
        Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True),
    ]
    max_completion_tokens: Count | None = Field(None, description="the newer name of max_tokens, and goes before it")
    logprobs: No | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=0)] | None = None
    tools: Nothing | None = None
    tool_choice: Literal["none", "auto"] | None = None
    functions: Nothing | None = None
    function_call: Literal["none", "auto"] | None = None
    response_format: ResponseFormat | None = None
    modalities: Annotated[list[Literal["text"]], Field(max_length=1)] | None = None
    audio: None = None
    prediction: None = None
    web_search_options: None = None
    moderation: None = None
    reasoning_effort: Literal["none"] | None = None
    verbosity: Literal["medium"] | None = None
    parallel_tool_calls: bool | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    prompt_cache_key: Label | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: Label | None = None
    safety_identifier: Label | None = None
    service_tier: Label | None = None
    store: bool | None = None

    def asked(self) -> Asked:
        messages = tuple(map(_message, self.messages))
        return self._asked(messages, self.max_completion_tokens or self.max_tokens, None)


class CompletionRequest(OpenAIRequest):
    """POST /v1/completions."""

    prompt: Prompt | Tokens | Prompts | TokenLists
    best_of: One | None = None
    echo: No | None = None
    logprobs: None = None
    suffix: Literal[""] | None = None

    def asked(self) -> list[Asked]:
        """One for each prompt, in their order."""
        return [self._asked(prompt, self.max_tokens, OPENAI_USUAL) for prompt in _prompts(self.prompt)]


def _prompts(given: str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]]) -> list[str | tuple[int, ...]]:
    if isinstance(given, str):
        return [given]
    if isinstance(given[0], int):
        return [tuple(given)]  # type: ignore[arg-type]
    return [each if isinstance(each, str) else tuple(each) for each in given]  # type: ignore[arg-type]
