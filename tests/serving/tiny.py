"""Tiny models with random weights, made on the spot: complete folders, staged with their manifest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

SENTENCES = [
    "the model is staged before it is served",
    "a replica loads the model from a folder",
    "one two three",
]
POSITIONS = 96
LANGUAGES = ("eng_Latn", "fra_Latn")


def t5(folder: Path) -> Path:
    """Relative positions; greedy."""
    tokens = tokenizer()
    config = transformers.T5Config(  # type: ignore[call-arg]
        vocab_size=len(tokens),
        d_model=32,
        n_positions=512,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        pad_token_id=tokens.pad_token_id,
        eos_token_id=tokens.eos_token_id,
        decoder_start_token_id=tokens.pad_token_id,
    )
    return save(folder, transformers.T5ForConditionalGeneration, config, tokens)


def bart(folder: Path) -> Path:
    """Learned positions, and two beams."""
    tokens = tokenizer()
    config = transformers.BartConfig(
        vocab_size=len(tokens), max_position_embeddings=POSITIONS, init_std=0.5, **_wide(tokens)
    )
    save(folder, transformers.BartForConditionalGeneration, config, tokens)
    generation = transformers.GenerationConfig.from_pretrained(folder)
    generation.num_beams = 2
    generation.save_pretrained(folder)
    return stage(folder)


def nllb(folder: Path) -> Path:
    """Many languages: the tokenizer sets the source, the first token of the answer the target."""
    plain = tokenizer(LANGUAGES)
    vocabulary = dict(plain.get_vocab())
    merges = json.loads(plain.backend_tokenizer.to_str())["model"]["merges"]
    tokens = transformers.NllbTokenizer(
        vocab=vocabulary,
        merges=[tuple(pair) for pair in merges],  # type: ignore[misc]
        extra_special_tokens=list(LANGUAGES),
    )
    config = transformers.M2M100Config(
        vocab_size=len(tokens), max_position_embeddings=POSITIONS, init_std=0.5, **_wide(tokens)
    )
    return save(folder, transformers.M2M100ForConditionalGeneration, config, tokens)


def _wide(tokens: Any) -> dict[str, Any]:
    return {
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "pad_token_id": tokens.pad_token_id,
        "bos_token_id": tokens.bos_token_id,
        "eos_token_id": tokens.eos_token_id,
        "decoder_start_token_id": tokens.eos_token_id,
        "forced_eos_token_id": None,
    }


def tokenizer(extra: Sequence[str] = ()) -> Any:
    """Byte-level BPE that ends every text with `</s>`, as encoders want it."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, processors, trainers

    trained = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>", *extra],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(SENTENCES, trainer)
    trained.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", trained.token_to_id("</s>"))]
    )
    return transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=trained, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def save(folder: Path, kind: Any, config: Any, tokens: Any) -> Path:
    torch.manual_seed(7)
    kind(config).save_pretrained(folder)
    tokens.save_pretrained(folder)
    return stage(folder)


def stage(folder: Path) -> Path:
    """The manifest, as the stager writes it last."""
    files = [
        {"path": path.name, "size": path.stat().st_size, "sha256": "0" * 64}
        for path in sorted(folder.iterdir())
        if path.is_file()
    ]
    (folder / ".modelyard").mkdir(exist_ok=True)
    content = {"version": 1, "model": "tiny", "commit": "0" * 40, "files": files}
    (folder / ".modelyard" / "manifest.json").write_text(json.dumps(content))
    return folder
