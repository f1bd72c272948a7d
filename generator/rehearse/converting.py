"""GGUF of a Llama to what a Hub repository holds: bfloat16 safetensors, configuration, tokenizer, chat template.

    python -m generator.rehearse.converting MODEL.gguf FOLDER

A program of its own: torch is large, and ^C has to end it at any moment.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Names of llama.cpp (gguf-py, tensor_mapping.py) and of transformers' Llama.
_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_TENSOR = re.compile(r"(?:blk\.(?P<layer>\d+)\.)?(?P<part>\w+)\.weight")


def convert(source: Path, folder: Path) -> None:
    """Writes the model into `folder`, which has to be empty or missing."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
    import torch
    from gguf import GGUFReader
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    place, name = str(source.parent), source.name
    config = AutoConfig.from_pretrained(place, gguf_file=name)
    tensors = dict(_tensors(GGUFReader(source), config))
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    config.architectures, config.dtype = ["LlamaForCausalLM"], torch.bfloat16
    config.tie_word_embeddings = "lm_head.weight" not in tensors
    config.save_pretrained(folder)
    GenerationConfig.from_model_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(place, gguf_file=name).save_pretrained(folder)


def _tensors(reader: Any, config: Any) -> Iterator[tuple[str, Any]]:
    import torch
    from gguf import dequantize

    for tensor in reader.tensors:
        found = _TENSOR.fullmatch(tensor.name)
        if found is None:
            continue  # what is computed, such as rope_freqs
        values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        if found["part"] in ("attn_q", "attn_k"):
            heads = config.num_attention_heads if found["part"] == "attn_q" else config.num_key_value_heads
            values = _interleaved(values, heads)
        layer = f"model.layers.{found['layer']}." if found["layer"] else ""
        yield f"{layer}{_NAMES[found['part']]}.weight", values.to(torch.bfloat16)


def _interleaved(weights: Any, heads: int) -> Any:
    """Undoes llama.cpp's order of the rotary halves (convert_hf_to_gguf.py, LlamaModel.permute)."""
    rows = weights.shape[0]
    return weights.reshape(heads, rows // heads // 2, 2, -1).swapaxes(1, 2).reshape(rows, -1).contiguous()


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
