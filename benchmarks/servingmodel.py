"""A Llama of 56 M parameters with a tokenizer and a chat template, made on the spot and always the same.

    python -m benchmarks.servingmodel FOLDER     writes FOLDER/float32, FOLDER/bfloat16 and FOLDER/prompts.json

Random weights alone are a bad measure of "the same tokens": among 32,000 random logits the best two are so close that
bfloat16 decides otherwise in every second answer, for whoever computes it. So the model is made like a trained one: it
is sure of most tokens and torn between a few. Row n(t) of the output layer repeats the embedding of t, so n(t) follows
t by a wide margin; for a share of the tokens (OPEN) no such row exists, and what follows comes from the whole context.
The end of the text and bytes that are no text by themselves never win: every answer has the length that was asked for.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT

VOCABULARY, HIDDEN, LAYERS, HEADS, KV_HEADS, MLP, CONTEXT = 32_000, 512, 8, 8, 4, 1408, 2048
KV_BYTES = {
    "float32": 2 * LAYERS * KV_HEADS * (HIDDEN // HEADS) * 4,
    "bfloat16": 2 * LAYERS * KV_HEADS * (HIDDEN // HEADS) * 2,
}
"""Keys and values of one token."""
OPEN = 0.06
END = "</s>"
TEMPLATE = "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }}\n{% endfor %}<assistant>"
PROMPT = 17  # tokens of each prompt of the runs of one length
SEED = 7


def texts() -> Iterator[str]:
    """What the tokenizer is trained on and prompts are cut from: the repository's own text."""
    for folder in ("docs", "generator", "serving", "chart-templates"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".md", ".py", ".yaml", ".json"}:
                yield path.read_text(encoding="utf-8")


def filled(vocabulary: dict[str, int], size: int) -> dict[str, int]:
    """The vocabulary with words that no merge makes, so that every output of the model is a token with a text."""
    full = dict(vocabulary)
    names = (f"Ġword{number}" for number in range(2 * size))
    for name in names:
        if len(full) == size:
            break
        full.setdefault(name, len(full))
    return full


def tokenizer() -> Any:
    """Byte-level BPE of the repository's text, filled up to VOCABULARY."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, trainers

    found = tokenizers.Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )
    found.train_from_iterator(texts(), trainer)
    document = json.loads(found.to_str())
    document["model"]["vocab"] = filled(document["model"]["vocab"], VOCABULARY)
    return tokenizers.Tokenizer.from_str(json.dumps(document))


def successors(allowed: Sequence[int], chance: random.Random) -> dict[int, int]:
    """Which token follows which: one ring through all, without the open ones."""
    ring = list(allowed)
    chance.shuffle(ring)
    pairs = zip(ring, ring[1:] + ring[:1], strict=True)
    return {this: following for this, following in pairs if chance.random() >= OPEN}


def model(allowed: Sequence[int]) -> Any:
    """The Llama, in float32; only `allowed` tokens can be said."""
    import torch
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=MLP,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        max_position_embeddings=CONTEXT,
        initializer_range=0.05,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    torch.manual_seed(SEED)
    made = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        embedding, head = made.model.embed_tokens.weight, made.lm_head.weight
        embedding.normal_(std=3.0)
        follows = successors(allowed, random.Random(SEED))
        rows = torch.tensor(list(follows.values()))
        head[rows] += 0.02 * embedding[torch.tensor(list(follows))]
        silent = torch.ones(VOCABULARY, dtype=torch.bool)
        silent[torch.tensor(list(allowed))] = False
        head[silent] = 0.0
    made.eval()  # type: ignore[no-untyped-call]
    return made


def cut(encode: Any, decode: Any, lengths: Sequence[int], chance: random.Random) -> list[str]:
    """A prompt of the repository's text for each length, in tokens: exactly as many when it is read back."""
    ids = [token for text in texts() for token in encode(text)]
    found: list[str] = []
    for length in lengths:
        while True:
            start = chance.randrange(len(ids) - length)
            text = decode(ids[start : start + length])
            if len(encode(text)) == length and text.strip() and "\ufffd" not in text and text not in found:
                found.append(text)
                break
    return found


def prompts(encode: Any, decode: Any) -> dict[str, list[str]]:
    """`same`: all of PROMPT tokens; `mixed`: from 2 to 200."""
    chance = random.Random(SEED)
    lengths = [round(2 * 100 ** chance.random()) for _ in range(64)]
    return {
        "same": cut(encode, decode, [PROMPT] * 64, chance),
        "mixed": cut(encode, decode, lengths, chance),
    }


def stage(folder: Path) -> None:
    """The manifest, as the stager writes it last."""
    files = [{"path": path.name, "size": path.stat().st_size, "sha256": "0" * 64} for path in sorted(folder.iterdir())]
    (folder / ".modelyard").mkdir()
    content = {"version": 1, "model": "bench", "commit": "0" * 40, "files": files}
    (folder / ".modelyard" / "manifest.json").write_text(json.dumps(content))


def make(folder: Path) -> None:
    """Both models and the prompts below `folder`."""
    import torch
    import transformers

    plain = tokenizer()
    fast = transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=plain, eos_token=END, pad_token=END, clean_up_tokenization_spaces=False
    )
    fast.chat_template = TEMPLATE
    allowed = [token for token in range(1, VOCABULARY) if (text := plain.decode([token])) and text.isascii()]
    made = model(allowed)
    for name in ("float32", "bfloat16"):
        made.to(getattr(torch, name)).save_pretrained(folder / name)
        fast.save_pretrained(folder / name)
        stage(folder / name)
    found = prompts(lambda text: plain.encode(text).ids, plain.decode)
    (folder / "prompts.json").write_text(json.dumps(found))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
