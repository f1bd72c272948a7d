"""What a model's `config.json` says about its context and its KV cache.

The keys differ by architecture (transformers 5.x, each `configuration_*.py`). What is not stated, or not a
number, is None: a planner may then refuse to guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator.lock import KvShape

_TEXT_PARTS = ("text_config", "llm_config", "language_config")  # of models that also see or hear
_CONTEXT = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "max_sequence_length",
    "seq_length",
    "n_ctx",
)
_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_HEADS = ("num_attention_heads", "n_head", "n_heads")
_KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num")
_HEAD_DIM = ("head_dim", "kv_channels")
_HIDDEN = ("hidden_size", "n_embd", "d_model")
_MOST = 10**9  # above any real value; a larger one would only be an attack on arithmetic


def context_length(config: Mapping[str, Any]) -> int | None:
    """Tokens of prompt and answer together."""
    return _first(_text_part(config), _CONTEXT) or _first(config, _CONTEXT)


def kv_shape(config: Mapping[str, Any]) -> KvShape | None:
    """Layers, key/value heads and their width; every layer counts, so sliding windows need less than it says.

    None where a token costs another sum: compressed caches (`kv_lora_rank`), encoder-decoders.
    """
    text = _text_part(config)
    if text.get("kv_lora_rank") or text.get("is_encoder_decoder"):
        return None
    layers, heads = _first(text, _LAYERS), _kv_heads(text)
    head_dim = _first(text, _HEAD_DIM) or _derived_head_dim(text)
    return KvShape(layers, heads, head_dim) if layers and heads and head_dim else None


def runs_code(config: Mapping[str, Any]) -> bool:
    """Whether it names Python classes of the repository, which `trust_remote_code` would run."""
    return bool(config.get("auto_map"))


def _text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((part for key in _TEXT_PARTS if isinstance(part := config.get(key), dict)), config)


def _kv_heads(text: Mapping[str, Any]) -> int | None:
    # Falcon and GPT-BigCode: one shared head, whatever `num_kv_heads` says, unless the newer layout is on.
    if text.get("multi_query") is True and not text.get("new_decoder_architecture"):
        return 1
    return _first(text, _KV_HEADS) or _first(text, _HEADS)


def _derived_head_dim(text: Mapping[str, Any]) -> int | None:
    hidden, heads = _first(text, _HIDDEN), _first(text, _HEADS)
    return hidden // heads if hidden and heads and hidden % heads == 0 else None


def _first(config: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    values = (config.get(key) for key in keys)
    return next((value for value in values if type(value) is int and 0 < value <= _MOST), None)
