"""Context length and KV shape, from the keys of real architectures."""

from __future__ import annotations

from typing import Any

import pytest

from generator.lock import KvShape
from generator.modelconfig import context_length, kv_shape, runs_code

LLAMA = {
    "hidden_size": 2048,
    "max_position_embeddings": 2048,
    "num_attention_heads": 32,
    "num_hidden_layers": 22,
    "num_key_value_heads": 4,
}
GPT2 = {"n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024}
FALCON_7B = {
    "hidden_size": 4544,
    "multi_query": True,
    "new_decoder_architecture": False,
    "num_attention_heads": 71,
    "num_hidden_layers": 32,
    "num_kv_heads": 71,
}
FALCON_40B = {
    "hidden_size": 8192,
    "multi_query": True,
    "new_decoder_architecture": True,
    "num_attention_heads": 128,
    "num_hidden_layers": 60,
    "num_kv_heads": 8,
}
T5 = {
    "d_kv": 64,
    "d_model": 512,
    "is_encoder_decoder": True,
    "n_positions": 512,
    "num_heads": 8,
    "num_layers": 6,
}


@pytest.mark.parametrize(
    ("config", "context", "kv"),
    [
        (LLAMA, 2048, KvShape(22, 4, 64)),
        (LLAMA | {"head_dim": 128}, 2048, KvShape(22, 4, 128)),
        (LLAMA | {"head_dim": None, "num_key_value_heads": None}, 2048, KvShape(22, 32, 64)),
        ({"model_type": "llava", "text_config": LLAMA, "hidden_size": 1}, 2048, KvShape(22, 4, 64)),
        ({"llm_config": LLAMA}, 2048, KvShape(22, 4, 64)),
        ({"text_config": {"hidden_size": 8}, "max_position_embeddings": 7}, 7, None),
        (GPT2, 1024, KvShape(12, 12, 64)),
        (FALCON_7B, None, KvShape(32, 1, 64)),
        (FALCON_40B, None, KvShape(60, 8, 64)),
        (T5, 512, None),
        (LLAMA | {"kv_lora_rank": 512}, 2048, None),
        ({}, None, None),
        (LLAMA | {"max_position_embeddings": "2048"}, None, KvShape(22, 4, 64)),
        (LLAMA | {"max_position_embeddings": True}, None, KvShape(22, 4, 64)),
        (LLAMA | {"max_position_embeddings": 10**30}, None, KvShape(22, 4, 64)),
        (LLAMA | {"num_hidden_layers": -1}, 2048, None),
        (LLAMA | {"hidden_size": 2047}, 2048, None),
        ({"text_config": "none", **LLAMA}, 2048, KvShape(22, 4, 64)),
    ],
)
def test_config(config: dict[str, Any], context: int | None, kv: KvShape | None) -> None:
    assert (context_length(config), kv_shape(config)) == (context, kv)


def test_own_code() -> None:
    assert runs_code({"auto_map": {"AutoModel": "modeling.Model"}})
    assert not runs_code({"auto_map": {}})
    assert not runs_code(LLAMA)
