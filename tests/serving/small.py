"""Small models with random weights whose greedy choices are clear, and their answers by transformers' `generate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transformers
from text_generation.loading import LoadedModel, load

VOCABULARY = 97
CONTEXT = 512


def small(folder: Path, kind: str = "LlamaConfig", **changed: Any) -> LoadedModel:
    """A model of two layers, a Llama where nothing else is said, loaded from `folder` as the application does."""
    torch.set_num_threads(1)  # several wait for each other longer than they work
    torch.manual_seed(1)
    shape = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "eos_token_id": None,
    }
    config = getattr(transformers, kind)(**{**shape, **changed})
    model = transformers.AutoModelForCausalLM.from_config(config).eval()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)  # far from ties
    model.save_pretrained(folder)
    settings: Any = SimpleNamespace(model=folder, dtype="auto")
    return load(settings)


def alone(folder: Path, prompt: Sequence[int], tokens: int) -> list[int]:
    """What `generate` of the same weights says, one prompt at a time, greedy."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    ids = torch.tensor([list(prompt)])
    out = model.generate(  # type: ignore[misc]
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False, pad_token_id=0
    )
    answer: list[int] = out[0, len(prompt) :].tolist()
    return answer
