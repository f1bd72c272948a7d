"""Which bodies are taken, and what is asked for by them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from common.http import Problem, Strict, parsed
from pydantic import ValidationError
from text_generation.backend import Asked, Message
from text_generation.openai import UNSUPPORTED, error_answer
from text_generation.requests import ChatRequest, CompletionRequest, GenerateRequest, SimpleRequest

HI = {"messages": [{"role": "user", "content": "hi"}]}
CHAT = (Message("user", "hi"),)


def chat(**body: Any) -> Asked:
    return ChatRequest.model_validate_json(json.dumps({**HI, **body})).asked()


def completions(**body: Any) -> list[Asked]:
    return CompletionRequest.model_validate_json(json.dumps({"prompt": "a", **body})).asked()


def test_our_own() -> None:
    assert GenerateRequest(prompt="a").asked() == Asked("a", usual=128)
    given = GenerateRequest(prompt="a", max_tokens=3, temperature=0.5).asked()
    assert given == Asked("a", max_tokens=3, usual=128, temperature=0.5)
    assert SimpleRequest(input="a").asked() == Asked("a", usual=128)


def test_defaults_of_openai() -> None:
    assert chat() == Asked(CHAT, temperature=1.0)
    assert completions() == [Asked("a", usual=16, temperature=1.0)]


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({"model": "m", "max_tokens": 3}, {"model": "m", "max_tokens": 3}),
        ({"max_tokens": 3, "max_completion_tokens": 4}, {"max_tokens": 4}),
        ({"temperature": 0, "top_p": 0.5, "seed": -5}, {"temperature": 0, "top_p": 0.5, "seed": -5}),
        ({"temperature": None, "top_p": None, "stop": None}, {}),
        ({"top_p": 0}, {"top_p": 1e-6}),
        ({"stop": "x"}, {"stop": ("x",)}),
        ({"stop": ["x", "y"]}, {"stop": ("x", "y")}),
        ({"stop": []}, {}),
    ],
)
def test_what_is_asked_for(body: dict[str, Any], asked: dict[str, Any]) -> None:
    assert chat(**body) == Asked(CHAT, **{"temperature": 1.0, **asked})


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"role": "developer", "content": "be brief"}, Message("system", "be brief")),
        ({"role": "user", "content": "hi", "name": "ada"}, Message("user", "hi", "ada")),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            Message("user", "a\nb"),
        ),
        ({"role": "assistant", "content": None}, Message("assistant", "")),
        (
            {"role": "assistant", "content": "x", "refusal": None, "tool_calls": None, "annotations": []},
            Message("assistant", "x"),
        ),
    ],
)
def test_messages(message: dict[str, Any], expected: Message) -> None:
    assert chat(messages=[message]).prompt == (expected,)


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [("a", ["a"]), ([1, 2], [(1, 2)]), (["a", "b"], ["a", "b"]), ([[1], [2, 3]], [(1,), (2, 3)])],
)
def test_prompts(prompt: object, prompts: list[object]) -> None:
    assert [each.prompt for each in completions(prompt=prompt)] == prompts


@pytest.mark.parametrize(
    "body",
    [
        {"user": "me", "metadata": {"a": "b"}, "store": True, "service_tier": "auto", "parallel_tool_calls": True},
        {"n": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "logprobs": False},
        {"tools": [], "tool_choice": "none", "response_format": {"type": "text"}, "modalities": ["text"]},
        {"safety_identifier": "x", "prompt_cache_key": "y", "reasoning_effort": None, "stream_options": None},
    ],
)
def test_fields_that_change_nothing(body: dict[str, Any]) -> None:
    assert chat(**body) == chat()


def message(model: type[Strict], body: object) -> str:
    with pytest.raises(Problem) as caught:
        parsed(model, json.dumps(body).encode())
    text: str = error_answer(caught.value)[1].error.message
    return text


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"tools": [{}]}, "tools is refused: tools are not supported"),
        ({"n": 2}, "n is refused: one answer is made for each prompt"),
        ({"logprobs": True}, "logprobs is refused: probabilities are not told"),
        ({"response_format": {"type": "json_object"}}, "response_format is refused: the model answers with text only"),
        ({"frequency_penalty": 0.5}, "frequency_penalty is refused: penalties are not supported"),
        ({"modalities": ["text", "audio"]}, "modalities is refused: there is text only"),
        ({"top_k": 3}, "unknown field: top_k"),
        ({"messages": []}, "messages: List should have at least 1 item after validation, not 0"),
        ({"messages": [{"role": "tool", "content": ""}]}, "messages.0: Input tag 'tool' found"),
        ({"messages": [{"role": "user"}]}, "messages.0.user.content: Field required"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.user.content: Input should be a valid string"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "Input should be 'text'"),
        ({"messages": HI["messages"] * 1001}, "messages: List should have at most 1000 items"),
        ({"stop": ["a"] * 5}, "stop: Input should be a valid string; or stop: List should have at most 4 items"),
        ({"stop": "a" * 201}, "stop: String should have at most 200 characters"),
        ({"stop": ""}, "stop: String should have at least 1 character"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"temperature": 2.1}, "temperature: Input should be less than or equal to 2"),
        ({"seed": 2**63}, "seed: Input should be less than"),
        ({"stream": 1}, "stream: Input should be a valid boolean"),
    ],
)
def test_refused_chats(body: dict[str, Any], reason: str) -> None:
    assert reason in message(ChatRequest, {**HI, **body})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "prompt: Field required"),
        ({"prompt": ""}, "prompt: String should have at least 1 character"),
        ({"prompt": []}, "at least 1 item"),
        ({"prompt": [""]}, "prompt.0: String should have at least 1 character"),
        ({"prompt": [-1]}, "prompt.0: Input should be greater than or equal to 0"),
        ({"prompt": [1, "a"]}, "prompt.1: Input should be a valid integer"),
        ({"prompt": ["a"] * 17}, "at most 16 items"),
        ({"prompt": "a", "echo": True}, "echo is refused: the prompt is not repeated"),
        ({"prompt": "a", "suffix": "b"}, "suffix is refused"),
        ({"prompt": "a", "best_of": 2}, "best_of is refused"),
    ],
)
def test_refused_completions(body: dict[str, Any], reason: str) -> None:
    assert reason in message(CompletionRequest, body)


def test_a_list_of_faults_is_cut_at_the_first() -> None:
    with pytest.raises(ValidationError) as caught:
        CompletionRequest.model_validate_json(json.dumps({"prompt": [1.5] * 100_000}))
    assert caught.value.error_count() < 10


def test_every_unsupported_field_is_a_field() -> None:
    assert set(UNSUPPORTED) <= set(ChatRequest.model_fields) | set(CompletionRequest.model_fields)


@pytest.mark.serving
def test_every_field_of_openai_is_known() -> None:
    """So that a request of the official client is never refused as unknown."""
    chats = pytest.importorskip("openai.types.chat.completion_create_params")
    texts = pytest.importorskip("openai.types.completion_create_params")
    for types, model in ((chats, ChatRequest), (texts, CompletionRequest)):
        known = types.CompletionCreateParamsStreaming.__annotations__ | types.CompletionCreateParamsBase.__annotations__
        assert set(known) <= set(model.model_fields)
