"""Tokens out of texts and chats, by the files of the model's folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from common.errors import PromptRefused, StartRefused
from tokenizers import Tokenizer

from text_generation.backend import Message, Prompt

SHORT = 2_000  # characters that are tokenized at once, in about a millisecond; more of them would hold up everybody
NO_TEMPLATE = "the model has no chat template: it completes texts (/v1/completions) and answers no chats"
SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
W = TypeVar("W")


@dataclass(frozen=True, slots=True)
class Texts:
    """`begin` and `end` are put around a text where the model's files say so; None leaves that to the tokenizer.

    `ends` are the tokens that end an answer, `special` the names that templates use.
    """

    tokenizer: Tokenizer
    template: str | None
    special: Mapping[str, str]
    begin: tuple[int, ...] | None
    end: tuple[int, ...]
    ends: frozenset[int]

    async def encode(self, prompt: Prompt) -> tuple[int, ...]:
        """Raises PromptRefused. Long prompts are read in a thread, so that the event loop goes on."""
        if isinstance(prompt, str):
            return await _away(len(prompt), self._text, prompt)
        if not prompt or isinstance(prompt[0], int):
            return cast(tuple[int, ...], prompt)
        return await _away(sum(len(message.content) for message in prompt), self._chat, prompt)

    def _text(self, text: str) -> tuple[int, ...]:
        if self.begin is None:
            return self._tokens(text, special=True)
        return (*self.begin, *self._tokens(text, special=False), *self.end)

    def _chat(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """A template writes the special tokens itself."""
        return self._tokens(self.render(messages), special=False)

    def _tokens(self, text: str, *, special: bool) -> tuple[int, ...]:
        # `encode` of tokenizers 0.23 keeps the interpreter's lock, `encode_batch` gives it to the other threads.
        return tuple(self.tokenizer.encode_batch([text], add_special_tokens=special)[0].ids)

    def render(self, messages: Iterable[Message]) -> str:
        """The chat as the model was trained to read it, up to where its answer begins. Raises PromptRefused."""
        if self.template is None:
            raise PromptRefused(NO_TEMPLATE)
        # Costs nothing more once transformers has loaded the model, and follows its sandbox when that changes.
        from transformers.utils.chat_template_utils import render_jinja_template

        render: Any = render_jinja_template  # typed as if it returned a text
        chat = [_turn(message) for message in messages]
        try:
            (rendered,), _ = render([chat], chat_template=self.template, add_generation_prompt=True, **self.special)
        except Exception as error:  # whatever a template raises, and all of Jinja's: the chat is not one for it
            raise PromptRefused(f"the model's chat template refuses the messages: {error}") from error
        return str(rendered)


async def _away(length: int, work: Callable[[W], tuple[int, ...]], prompt: W) -> tuple[int, ...]:
    return work(prompt) if length <= SHORT else await asyncio.to_thread(work, prompt)


def _turn(message: Message) -> dict[str, Any]:
    named = {"name": message.name} if message.name else {}
    return {"role": message.role, "content": message.content, **named}


def read(folder: Path) -> Texts:
    """Raises StartRefused for files that make no tokenizer."""
    config = _json(folder / "tokenizer_config.json")
    tokenizer = _tokenizer(folder)
    special = dict(_special(config, _json(folder / "special_tokens_map.json")))
    return Texts(
        tokenizer=tokenizer,
        template=_template(folder, config),
        special=special,
        begin=_around(tokenizer, config, special, "bos_token"),
        end=_around(tokenizer, config, special, "eos_token") or (),
        ends=frozenset(_ends(folder, tokenizer, special)),
    )


def _tokenizer(folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path)) if path.is_file() else _converted(folder)
    except Exception as error:  # tokenizers raises bare Exception
        raise StartRefused(f"the tokenizer cannot be read: {error}") from error
    tokenizer.no_truncation()  # some files ask for both, and an answer would begin in the middle of nowhere
    tokenizer.no_padding()
    return tokenizer


def _converted(folder: Path) -> Tokenizer:
    """Models of before 2020 bring other files, which transformers turns into the same."""
    from transformers import AutoTokenizer

    made: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    backend = getattr(made, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise ValueError(f"there is no tokenizer.json, and {type(made).__name__} cannot be turned into one")
    return backend


def _json(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise StartRefused(f"{path.name} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise StartRefused(f"{path.name} is no object")
    return content


def _special(*configs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Special tokens by name, a text or an object with one; what the first config says counts."""
    for name in SPECIAL:
        for value in (config.get(name) for config in configs):
            text = value.get("content") if isinstance(value, dict) else value
            if isinstance(text, str):
                yield name, text
                break


def _template(folder: Path, config: Mapping[str, Any]) -> str | None:
    """transformers 5 writes a file, older ones a field, which may be a list of named templates."""
    if (file := folder / "chat_template.jinja").is_file():
        return file.read_text("utf-8")
    given = config.get("chat_template")
    if isinstance(given, list):
        named = {each["name"]: each["template"] for each in given if isinstance(each, dict) and "name" in each}
        given = named.get("default")
    return given if isinstance(given, str) else None


def _around(
    tokenizer: Tokenizer, config: Mapping[str, Any], special: Mapping[str, str], name: str
) -> tuple[int, ...] | None:
    """As transformers 5 has it: `add_bos_token` and `add_eos_token`, where one is there, go before tokenizer.json."""
    if "add_bos_token" not in config and "add_eos_token" not in config:
        return None
    token = tokenizer.token_to_id(special[name]) if name in special else None
    return (token,) if config.get(f"add_{name}") and token is not None else ()


def _ends(folder: Path, tokenizer: Tokenizer, special: Mapping[str, str]) -> Iterator[int]:
    """All that the model's files name: chat models end a turn with another token than a text, and one file knows it."""
    for config in (_json(folder / "generation_config.json"), _json(folder / "config.json")):
        text = config.get("text_config")
        given = config.get("eos_token_id", text.get("eos_token_id") if isinstance(text, dict) else None)
        yield from (token for token in (given if isinstance(given, list) else [given]) if isinstance(token, int))
    token = tokenizer.token_to_id(special["eos_token"]) if "eos_token" in special else None
    if token is not None:
        yield token
