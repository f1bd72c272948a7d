"""Loads a model from a folder and completes prompts with it, one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event
from typing import Any, Literal

import torch
from common.errors import PromptRefused, StartRefused
from transformers import AutoModelForCausalLM, AutoTokenizer, StoppingCriteriaList

from text_generation.settings import Settings

DEFAULT_TOKENS = 128
GREEDY_BELOW = 0.01  # a smaller temperature would overflow the logits


@dataclass(frozen=True, slots=True)
class Completion:
    """`completion_tokens` counts the end-of-text token too, which `text` does not show."""

    text: str
    finish_reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int


class Engine:
    """Not for use by two threads at once: the tokenizer and the model's cache are shared."""

    def __init__(self, settings: Settings) -> None:
        if settings.threads:
            torch.set_num_threads(settings.threads)  # else OMP_NUM_THREADS, which Ray sets from num_cpus
        local = {"local_files_only": True, "trust_remote_code": False}
        self._tokenizer: Any = AutoTokenizer.from_pretrained(settings.model, **local)
        model: Any = AutoModelForCausalLM.from_pretrained(
            settings.model, dtype=settings.dtype, use_safetensors=True, **local
        )
        self._model = model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        self._max_tokens = settings.max_tokens
        self._context_length = _context_length(self._model.config, settings.context_length)

    def complete(self, prompt: str, max_tokens: int | None, temperature: float, cancelled: Event) -> Completion:
        """Greedy below temperature 0.01. Ends early once `cancelled` is set. Raises PromptRefused."""
        encoded = self._tokenizer(prompt, return_tensors="pt").to(self._model.device)
        length = encoded["input_ids"].shape[1]
        limit = self._limit(length, max_tokens)
        sampled = temperature >= GREEDY_BELOW

        def stop(ids: torch.Tensor, _: object) -> torch.Tensor:
            return torch.full((len(ids),), cancelled.is_set(), device=ids.device)

        with torch.inference_mode():
            output = self._model.generate(
                input_ids=encoded["input_ids"],
                attention_mask=encoded["attention_mask"],
                max_new_tokens=limit,
                pad_token_id=self._tokenizer.pad_token_id or 0,
                stopping_criteria=StoppingCriteriaList([stop]),
                do_sample=sampled,
                **({"temperature": temperature} if sampled else {}),
            )
        answer = output[0, length:].tolist()
        return Completion(
            text=self._tokenizer.decode(answer, skip_special_tokens=True),
            finish_reason="stop" if answer[-1] in self._ends() else "length",
            prompt_tokens=length,
            completion_tokens=len(answer),
        )

    def _limit(self, length: int, wanted: int | None) -> int:
        """How many tokens may be generated after a prompt of `length` tokens."""
        least, room = wanted or 1, self._context_length - length
        if length == 0:
            raise PromptRefused("the prompt has no tokens")
        if least > self._max_tokens:
            raise PromptRefused(f"max_tokens is {least}, at most {self._max_tokens} are allowed")
        if least > room:
            raise PromptRefused(f"{length} tokens of prompt and {least} more exceed the context of {length + room}")
        return wanted or min(DEFAULT_TOKENS, self._max_tokens, room)

    def _ends(self) -> set[int]:
        ends = self._model.generation_config.eos_token_id
        return set(ends) if isinstance(ends, list) else {ends}


def _context_length(config: Any, wanted: int | None) -> int:
    own: int | None = getattr(config, "max_position_embeddings", None)
    if own is None and wanted is None:
        raise StartRefused("config.json states no context length: set CONTEXT_LENGTH")
    if own is not None and wanted is not None and wanted > own:
        raise StartRefused(f"CONTEXT_LENGTH is {wanted}, the model's own is {own}")
    return wanted or own or 0
