"""Small chat models with random weights and byte-level tokenizers, staged with their manifests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CONTEXT = 2048
PROMPT = "the model is"
SENTENCES = [
    "the model is staged before it is served",
    "a replica loads the model from a folder",
    "one two three",
]
TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'assistant' and loop.first %}{{ raise_exception('the user speaks first') }}{% endif %}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def llama(folder: Path, *, ends: Sequence[int] = (), template: str | None = TEMPLATE) -> Path:
    """Two layers whose greedy choices are far apart."""
    import torch
    import transformers

    bpe = transformers.PreTrainedTokenizerFast(tokenizer_object=trained())  # type: ignore[no-untyped-call]
    bpe.chat_template = template
    torch.manual_seed(7)
    config = transformers.LlamaConfig(
        vocab_size=len(bpe),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        initializer_range=0.5,
        eos_token_id=list(ends),
        bos_token_id=None,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    bpe.save_pretrained(folder)
    stage(folder)
    return folder


def trained() -> Any:
    """A tokenizer that knows every byte."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, trainers

    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["</s>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def stage(folder: Path) -> None:
    """The manifest, as the stager writes it last."""
    files = [
        {
            "path": path.relative_to(folder).as_posix(),
            "size": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "crc32": "",
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    (folder / ".modelyard").mkdir()
    content = {"version": 1, "model": "tiny", "source": "", "commit": "0" * 40, "files": files}
    (folder / ".modelyard" / "manifest.json").write_text(json.dumps(content))


def greedy(folder: Path, prompt: str, tokens: int) -> list[int]:
    """What the model says by itself, by transformers' `generate`: ids after the prompt."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)["input_ids"]
    output = model.generate(  # type: ignore[misc]
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False, pad_token_id=0
    )
    answer: list[int] = output[0, ids.shape[1] :].tolist()
    return answer


def decoded(folder: Path, ids: Sequence[int]) -> str:
    import transformers

    text = transformers.AutoTokenizer.from_pretrained(folder).decode(list(ids), skip_special_tokens=True)
    assert isinstance(text, str)  # of one list of ids
    return text
