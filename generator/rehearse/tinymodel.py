"""A model of two layers with random weights and a tokenizer: answers at once, and says nothing.

    python -m generator.rehearse.tinymodel causal|seq2seq FOLDER

A program of its own: torch is large, and ^C has to end it at any moment.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

CONTEXT = 2048  # tokens
_END, _PAD = "</s>", "<pad>"
_TEXT = ("a model is staged before it is served", "what is the capital of a country", "one two three four five")
_TEMPLATE = """\
{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"""


def make(kind: str, folder: Path) -> None:
    """Writes the model into `folder`; the same bytes every time."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
    import torch
    from transformers import PreTrainedTokenizerFast

    fast: Any = PreTrainedTokenizerFast  # whose types are not those that it takes
    tokenizer = fast(tokenizer_object=_tokenizer(), eos_token=_END, pad_token=_PAD)
    if kind == "causal":
        tokenizer.chat_template = _TEMPLATE
    torch.manual_seed(1)
    model = (_llama if kind == "causal" else _t5)(tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)


def _llama(tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            initializer_range=0.5,  # logits far apart: greedy decoding has no ties
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _t5(tokenizer: Any) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    settings: Any = T5Config
    return T5ForConditionalGeneration(
        settings(
            vocab_size=len(tokenizer),
            d_model=64,
            d_kv=16,
            d_ff=128,
            num_layers=2,
            num_heads=4,
            n_positions=CONTEXT,
            initializer_factor=5.0,  # or it would repeat the padding that it starts with
            decoder_start_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _tokenizer() -> Any:
    """Byte-level BPE: every text can be encoded."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=[_END, _PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXT, trainer)
    return tokenizer


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]))
