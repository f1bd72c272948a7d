"""Small tokenizers of every kind that models have, trained on the spot, as their tokenizer.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = (
    "The quick brown fox jumps over the lazy dog; 0123456789.",
    "the quick brown fox jumps over the lazy dogs, and the dogs sleep.",
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG",
    "def f(x):\n    return x + 1",
    "Ça va, señor? naïve Größe",
)
UNKNOWN = "<unk>"
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def _trained(tokenizer: Tokenizer, trainer: Any) -> Tokenizer:
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def _byte_level(*, alphabet: bool = True) -> Tokenizer:
    """GPT-2, Llama 3, Qwen."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet() if alphabet else []
    special = ["<|endoftext|>"]
    return _trained(
        tokenizer,
        trainers.BpeTrainer(vocab_size=400, initial_alphabet=letters, special_tokens=special, show_progress=False),
    )


def _normalised_bytes() -> Tokenizer:
    """Bytes by a normaliser, which also lowers."""
    tokenizer = _byte_level()
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.ByteLevel()])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("Ġ"), "merged_with_next")
    return tokenizer


def _clip() -> Tokenizer:
    """CLIP: bytes, lower case, and a mark at the end of words that its decoder leaves."""
    tokenizer = Tokenizer(models.BPE(unk_token="<|end|>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = Regex(r"[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        initial_alphabet=letters,
        special_tokens=["<|start|>", "<|end|>", *(f"{letter}</w>" for letter in letters)],
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    return _trained(tokenizer, trainer)


def _sentencepiece_bpe() -> Tokenizer:
    """Llama 2, Mistral, Gemma: `▁` for spaces, a byte for each byte of what it does not know."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN, fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    special = [UNKNOWN, "<s>", "</s>", *_BYTES]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    found = json.loads(_trained(tokenizer, trainer).to_str())
    # A model's bytes are no added tokens.
    found["added_tokens"] = [token for token in found["added_tokens"] if token["content"] not in _BYTES]
    return Tokenizer.from_str(json.dumps(found))


def _unigram() -> Tokenizer:
    """T5, XLM-R, ALBERT."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return _trained(
        tokenizer,
        trainers.UnigramTrainer(
            vocab_size=120, special_tokens=["<pad>", UNKNOWN], unk_token=UNKNOWN, show_progress=False
        ),
    )


def _wordpiece() -> Tokenizer:
    """BERT: lower case, no accents, its own way with CJK."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    # As sentence-transformers publish theirs.
    tokenizer = _trained(
        tokenizer, trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[UNK]", "[PAD]"], show_progress=False)
    )
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(pad_id=1, pad_token="[PAD]", length=16)
    return tokenizer


def _openai() -> Tokenizer:
    """The first GPT: BPE over characters with `</w>`."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN, end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=[UNKNOWN], end_of_word_suffix="</w>", show_progress=False
    )
    return _trained(tokenizer, trainer)


def _words() -> Tokenizer:
    """Whole words, no decoder."""
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return _trained(tokenizer, trainers.WordLevelTrainer(special_tokens=[UNKNOWN], show_progress=False))


KINDS: Mapping[str, Callable[[], Tokenizer]] = {
    "byte-level BPE": _byte_level,
    "byte-level BPE that lacks bytes": lambda: _byte_level(alphabet=False),
    "bytes by a normaliser": _normalised_bytes,
    "CLIP": _clip,
    "sentencepiece BPE": _sentencepiece_bpe,
    "Unigram": _unigram,
    "WordPiece": _wordpiece,
    "character BPE": _openai,
    "words": _words,
}


@cache
def _built(kind: str) -> str:
    return KINDS[kind]().to_str()


def vocabulary(kind: str = "byte-level BPE", change: Callable[[dict[str, Any]], object] = lambda found: None) -> bytes:
    """tokenizer.json of this kind, after `change`."""
    found = json.loads(_built(kind))
    change(found)
    return json.dumps(found, ensure_ascii=False).encode()
