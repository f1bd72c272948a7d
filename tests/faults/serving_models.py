"""Tiny models made on the spot, staged like those that prestage copies, and folders that no replica may start from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

CONTEXT = 8192  # tokens
TEMPLATE = "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }}\n{% endfor %}<assistant>"
TEXT = [
    "the model is staged before it is served",
    "a replica loads the model from a folder",
    "one two three",
]


def make(folder: Path, seed: int) -> Path:
    """A Llama of two layers and a byte-level tokenizer. No token ends an answer: its length is what was asked for."""
    import torch
    import transformers

    words = transformers.PreTrainedTokenizerFast(tokenizer_object=_tokenizer())  # type: ignore[no-untyped-call]
    words.chat_template = TEMPLATE
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        initializer_range=0.5,  # far from ties
        eos_token_id=None,
        bos_token_id=None,
    )
    made = transformers.LlamaForCausalLM(config)
    made.save_pretrained(folder)
    words.save_pretrained(folder)
    stage(folder)
    return folder


def stage(folder: Path) -> None:
    """The manifest, which prestage writes last."""
    files: list[dict[str, Any]] = [
        {
            "path": str(path.relative_to(folder)),
            "size": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".modelyard" not in path.parts
    ]
    (folder / ".modelyard").mkdir(exist_ok=True)
    content = {"version": 1, "model": "tiny", "commit": "0" * 40, "files": files}
    (folder / ".modelyard" / "manifest.json").write_text(json.dumps(content))


def _tokenizer() -> Any:
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, trainers

    found = tokenizers.Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    found.train_from_iterator(TEXT, trainer)
    return found
