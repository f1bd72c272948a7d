"""What the files of a model say about texts, chats, and their ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from common.errors import PromptRefused, StartRefused
from text_generation.backend import Message, Prompt
from text_generation.tokenizer import SHORT, Texts, read
from tokenizers import processors

from tests.serving.models import TEMPLATE, trained

HELLO = (Message("user", "hello"),)


def folder(path: Path, *, bos: bool = False, **files: Mapping[str, Any]) -> Path:
    tokenizer = trained()
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            "<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
        )
    tokenizer.save(str(path / "tokenizer.json"))
    for name, content in files.items():
        (path / f"{name}.json").write_text(json.dumps(content))
    return path


def encode(texts: Texts, prompt: Prompt) -> tuple[int, ...]:
    return asyncio.run(texts.encode(prompt))


def test_a_text(tmp_path: Path) -> None:
    texts = read(folder(tmp_path))
    assert texts.tokenizer.decode(encode(texts, "the é")) == "the é"
    assert encode(texts, (3, 4)) == (3, 4)
    assert encode(texts, "") == encode(texts, ()) == ()


def test_a_long_text_leaves_the_event_loop_free(tmp_path: Path) -> None:
    texts = read(folder(tmp_path))

    async def both() -> tuple[int, tuple[int, ...]]:
        turns, work = 0, asyncio.ensure_future(texts.encode("the model " * 20_000))
        while not work.done():
            turns += 1
            await asyncio.sleep(0)
        return turns, work.result()

    turns, tokens = asyncio.run(both())
    assert turns > 10
    assert len(tokens) > SHORT


@pytest.mark.parametrize(
    ("bos", "config", "first", "last"),
    [
        (False, {}, None, None),
        (True, {}, 1, None),
        (False, {"bos_token": "</s>"}, None, None),
        (False, {"bos_token": "</s>", "add_bos_token": True}, 0, None),
        (True, {"bos_token": "</s>", "add_bos_token": True}, 0, None),
        (True, {"bos_token": "</s>", "add_bos_token": False}, None, None),
        (False, {"add_bos_token": True}, None, None),
        (False, {"eos_token": {"content": "<|im_end|>"}, "add_eos_token": True}, None, 2),
    ],
)
def test_special_tokens_around_a_text(
    tmp_path: Path, bos: bool, config: Mapping[str, Any], first: int | None, last: int | None
) -> None:
    texts = read(folder(tmp_path, bos=bos, tokenizer_config=config))
    inside = trained().encode("the").ids
    before, after = ([] if each is None else [each] for each in (first, last))
    assert encode(texts, "the") == (*before, *inside, *after)


@pytest.mark.parametrize("where", ["file", "field", "list"])
def test_templates(tmp_path: Path, where: str) -> None:
    config: dict[str, Any] = {"chat_template": {"field": TEMPLATE}.get(where, "of old")}
    if where == "list":
        config = {"chat_template": [{"name": "tool_use", "template": "x"}, {"name": "default", "template": TEMPLATE}]}
    if where == "file":
        (tmp_path / "chat_template.jinja").write_text(TEMPLATE)
    texts = read(folder(tmp_path, bos=True, tokenizer_config=config))
    assert texts.render(HELLO) == "<|im_start|>user\nhello<|im_end|><|im_start|>assistant\n"
    assert encode(texts, HELLO)[:1] == (1,)
    assert encode(texts, HELLO).count(1) == 2  # those of the template, and none by the tokenizer


def test_a_template_sees_special_tokens_and_names(tmp_path: Path) -> None:
    template = "{{ bos_token }}{{ messages[0].name }}{% generation %}{% endgeneration %}{{ [1] | tojson }}"
    config = {"chat_template": template, "bos_token": {"content": "<|im_start|>"}}
    assert read(folder(tmp_path, tokenizer_config=config)).render([Message("user", "", "ada")]) == "<|im_start|>ada[1]"


def test_special_tokens_of_the_older_file(tmp_path: Path) -> None:
    read_texts = read(folder(tmp_path, special_tokens_map={"eos_token": "</s>"}))
    assert read_texts.ends == {0}


def test_no_template(tmp_path: Path) -> None:
    with pytest.raises(PromptRefused, match="no chat template"):
        encode(read(folder(tmp_path)), HELLO)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ raise_exception('the user speaks first') }}", "the user speaks first"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages[7].content }}", "undefined|no element"),
        ("{% if %}", "Expected an expression"),
        ("{{ 1 / 0 }}", "division"),
        ("{{ 'a' + 1 }}", "str"),
    ],
)
def test_a_template_that_refuses(tmp_path: Path, template: str, reason: str) -> None:
    texts = read(folder(tmp_path, tokenizer_config={"chat_template": template}))
    with pytest.raises(PromptRefused, match=f"^the model's chat template refuses the messages: .*({reason})"):
        encode(texts, HELLO)


@pytest.mark.parametrize(
    ("files", "ends"),
    [
        ({}, set()),
        ({"config": {"eos_token_id": 5}}, {5}),
        ({"config": {"eos_token_id": None}}, set()),
        ({"config": {"text_config": {"eos_token_id": [5, 6]}}}, {5, 6}),
        ({"config": {"eos_token_id": 5}, "generation_config": {"eos_token_id": [6, 7]}}, {5, 6, 7}),
        ({"tokenizer_config": {"eos_token": "<|im_end|>"}, "config": {"eos_token_id": 5}}, {2, 5}),
        ({"tokenizer_config": {"eos_token": "nowhere"}}, set()),
    ],
)
def test_ends(tmp_path: Path, files: Mapping[str, Mapping[str, Any]], ends: set[int]) -> None:
    assert read(folder(tmp_path, bos=False, **files)).ends == ends


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    folder(tmp_path, tokenizer_config=["a list"])  # type: ignore[arg-type]
    with pytest.raises(StartRefused, match=r"tokenizer_config\.json is no object"):
        read(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(StartRefused, match=r"tokenizer_config\.json cannot be read"):
        read(tmp_path)


@pytest.mark.parametrize("content", [None, "{}", "no JSON"])
def test_no_tokenizer(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(StartRefused, match=r"^the tokenizer cannot be read"):
        read(tmp_path)


def test_a_tokenizer_of_the_older_files(tmp_path: Path) -> None:
    """vocab.json and merges.txt, as models of before 2020 have them."""
    made = json.loads(trained().to_str())["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(made["vocab"]))
    merges = "\n".join(" ".join(pair) for pair in made["merges"])
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    texts = read(tmp_path)
    assert encode(texts, "the model is") == tuple(trained().encode("the model is").ids)


def test_truncation_and_padding_of_the_file_are_not_used(tmp_path: Path) -> None:
    tokenizer = trained()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert encode(read(tmp_path), "one two three one") == tuple(trained().encode("one two three one").ids)
