"""Loads an encoder-decoder model and translates batches with it.

For one thread at a time: a tokenizer keeps the language that was set last.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

import torch
from common.errors import PromptRefused, StartRefused
from text_generation import weights
from text_generation.settings import Settings

from translation.texts import ONE_PAIR, Job, Languages, Translation

STALLED = 120.0  # seconds without a step of a batch, after which the translator counts as dead
UNBOUNDED = 1_000_000  # tokenizers without a limit state 1e30


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """`seconds` it took, by phase."""

    module: Any
    tokenizer: Any
    seconds: Mapping[str, float]


def load(settings: Settings) -> LoadedModel:
    """Raises StartRefused for what is no encoder-decoder model of text, or lacks weights."""
    began = time.perf_counter()
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(settings.model, **local)
        kind: Any = MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING[type(config)]
        tokenizer: Any = AutoTokenizer.from_pretrained(settings.model, **local)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise StartRefused(f"{settings.model} holds no encoder-decoder model with a tokenizer: {error}") from error
    imported = time.perf_counter()
    tensors = weights.read(settings.model)
    read = time.perf_counter()
    module = _build(kind, config, settings.dtype, tensors)
    if (settings.model / "generation_config.json").is_file():
        module.generation_config = GenerationConfig.from_pretrained(settings.model, local_files_only=True)
    built = time.perf_counter()
    return LoadedModel(module, tokenizer, {"import": imported - began, "read": read - imported, "build": built - read})


def _build(kind: Any, config: Any, dtype: str, tensors: dict[str, torch.Tensor]) -> Any:
    wanted = dtype if dtype == "auto" else getattr(torch, dtype)
    try:
        module, told = kind.from_pretrained(
            None, config=config, state_dict=tensors, dtype=wanted, output_loading_info=True
        )
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise StartRefused(f"the weights are not those of config.json: {error}") from error
    for fault in ("missing_keys", "mismatched_keys"):
        if names := sorted(map(str, told[fault])):
            raise StartRefused(f"the weights are not those of config.json: {fault}: {', '.join(names[:3])}")
    return module.eval().to("cuda" if torch.cuda.is_available() else "cpu")


class Translator:
    """Greedy or with beams, as the model's own generation_config.json says."""

    def __init__(self, model: LoadedModel, max_tokens: int, context_length: int | None) -> None:
        self._module, self._tokenizer = model.module, model.tokenizer
        own = _own_length(model.module.config, model.tokenizer)
        if own is None and context_length is None:
            raise StartRefused("the model states no length of its input: set CONTEXT_LENGTH")
        if own is not None and context_length is not None and context_length > own:
            raise StartRefused(f"CONTEXT_LENGTH is {context_length}, the model's own is {own}")
        self.context_length = context_length or own or 0
        positions = getattr(model.module.config, "max_position_embeddings", None)  # the decoder's, where it has any
        self.max_tokens = min(max_tokens, positions - 1) if positions else max_tokens
        self._since: float | None = None

    def alive(self) -> bool:
        """False when a batch has not moved for long."""
        since = self._since
        return since is None or time.monotonic() - since < STALLED

    def warm_up(self) -> float:
        """Seconds for a first short text. Raises StartRefused when the model cannot translate one."""
        began = time.perf_counter()
        try:
            self.translate([Job("a")])
        except (RuntimeError, ValueError, TypeError, KeyError, IndexError) as error:
            raise StartRefused(f"the model does not translate: {error!r}") from error
        return time.perf_counter() - began

    def translate(self, jobs: Sequence[Job]) -> list[Translation | PromptRefused]:
        """One answer for each job, in their order; jobs that were left get one too, of no use."""
        answers: list[Translation | PromptRefused] = [PromptRefused("nobody waits for it")] * len(jobs)
        waiting = [number for number, job in enumerate(jobs) if not job.left.is_set()]
        try:
            # A batch has one target language: `forced_bos_token_id` is of the whole batch.
            for languages in dict.fromkeys(jobs[number].languages for number in waiting):
                group = [number for number in waiting if jobs[number].languages == languages]
                for number, answer in self._group([jobs[n] for n in group], group, languages):
                    answers[number] = answer
        finally:
            self._since = None
        return answers

    def _group(
        self, jobs: Sequence[Job], numbers: Sequence[int], languages: Languages
    ) -> Iterator[tuple[int, Translation | PromptRefused]]:
        try:
            forced = self._languages(languages)
        except PromptRefused as fault:
            yield from ((number, fault) for number in numbers)
            return
        taken: list[tuple[int, Job, list[int]]] = []
        for number, job in zip(numbers, jobs, strict=True):
            ids: list[int] = self._tokenizer(job.text)["input_ids"]
            if fault_found := self._refusal(ids):
                yield number, fault_found
            else:
                taken.append((number, job, ids))
        if taken:
            answers = self._generate([ids for _, _, ids in taken], [job.left for _, job, _ in taken], forced)
            yield from zip((number for number, _, _ in taken), answers, strict=True)

    def _refusal(self, ids: Sequence[int]) -> PromptRefused | None:
        if not set(ids) - set(self._tokenizer.all_special_ids):
            return PromptRefused("the text has no tokens")
        if len(ids) > self.context_length:
            return PromptRefused(f"the text has {len(ids)} tokens, at most {self.context_length} are allowed")
        return None

    def _languages(self, languages: Languages) -> dict[str, int]:
        """Sets the source language; the argument of `generate` that sets the target language."""
        tokenizer = self._tokenizer
        if languages == ONE_PAIR:
            return {}
        if not hasattr(tokenizer, "src_lang"):
            raise PromptRefused("this model takes no `source` and `target`: it has one pair, or reads it in the text")
        if languages.source is not None:
            self._code(languages.source)
            tokenizer.src_lang = languages.source
        return {} if languages.target is None else {"forced_bos_token_id": self._code(languages.target)}

    def _code(self, language: str) -> int:
        """Token of a language: M2M100 marks it (`__fr__`), NLLB and mBART do not. Raises PromptRefused."""
        known = set(self._tokenizer.all_special_tokens) | set(self._tokenizer.get_added_vocab())
        token = next((name for name in (f"__{language}__", language) if name in known), None)
        if token is None:
            raise PromptRefused(f"the model does not know the language {language!r}")
        found: int = self._tokenizer.convert_tokens_to_ids(token)
        return found

    def _generate(
        self, texts: Sequence[list[int]], left: Sequence[Event], forced: Mapping[str, int]
    ) -> Iterator[Translation]:
        padded = self._tokenizer.pad({"input_ids": list(texts)}, return_tensors="pt").to(self._module.device)

        def stop(ids: torch.Tensor, _: object) -> torch.Tensor:
            self._since = time.monotonic()
            beams = len(ids) // len(left)
            flags = [event.is_set() for event in left for _ in range(beams)]
            return torch.tensor(flags, device=ids.device)

        self._since = time.monotonic()
        with torch.inference_mode():
            output = self._module.generate(
                input_ids=padded["input_ids"],
                attention_mask=padded["attention_mask"],
                max_new_tokens=self.max_tokens,
                stopping_criteria=_criteria(stop),
                **forced,
            )
        return (self._read(row, len(ids)) for row, ids in zip(output.tolist(), texts, strict=True))

    def _read(self, row: list[int], prompt_tokens: int) -> Translation:
        """A row starts with the decoder's start token, and is padded to the longest of the batch."""
        ends = self._ends()
        answer = row[1:]
        end = next((place for place, token in enumerate(answer) if token in ends), None)
        tokens = len(answer) if end is None else end + 1
        text = self._tokenizer.decode(answer[:tokens], skip_special_tokens=True)
        return Translation(text, "length" if end is None else "stop", prompt_tokens, tokens)

    def _ends(self) -> set[int]:
        ends = self._module.generation_config.eos_token_id
        return set(ends) if isinstance(ends, list) else {ends}


def _criteria(stop: Any) -> Any:
    from transformers import StoppingCriteriaList

    return StoppingCriteriaList([stop])


def _own_length(config: Any, tokenizer: Any) -> int | None:
    """Longest input in tokens: of the positions (Marian, BART), of the training (T5), of the tokenizer."""
    stated: Iterable[Any] = (
        getattr(config, "max_position_embeddings", None),
        getattr(config, "n_positions", None),
        tokenizer.model_max_length,
    )
    return next((length for length in stated if type(length) is int and 0 < length < UNBOUNDED), None)
