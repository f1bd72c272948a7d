"""Folders become models: architectures that batch, and those that are refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from common.errors import StartRefused

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from text_generation import weights  # noqa: E402  needs torch
from text_generation.loading import LoadedModel, load  # noqa: E402

pytestmark = pytest.mark.serving

SMALL = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
MANY: Mapping[str, dict[str, Any]] = {
    "LlamaConfig": {},
    "MistralConfig": {"sliding_window": 6},
    "MixtralConfig": {"num_local_experts": 4},
    "Qwen2Config": {},
    "Qwen3Config": {"head_dim": 8},
    "Qwen3MoeConfig": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "head_dim": 8},
    "Gemma3TextConfig": {"head_dim": 8, "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]},
    "Phi3Config": {"pad_token_id": 0},
    "OlmoConfig": {},
    "SmolLM3Config": {"pad_token_id": 0, "layer_types": ["full_attention", "full_attention"]},
    "GPT2Config": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "GPTNeoXConfig": {},
    "OPTConfig": {"ffn_dim": 48, "word_embed_proj_dim": 32},
}


def saved(folder: Path, kind: str, **changed: Any) -> Any:
    """A model of this kind with random weights, written to `folder` and returned as its authors wrote it."""
    torch.manual_seed(0)
    config = getattr(transformers, kind)(**{**SMALL, **changed})
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    model.save_pretrained(folder)
    return model


def loaded(folder: Path, dtype: str = "auto") -> LoadedModel:
    settings: Any = SimpleNamespace(model=folder, dtype=dtype)
    return load(settings)


@pytest.mark.parametrize("kind", MANY)
def test_architectures(tmp_path: Path, kind: str) -> None:
    """The weights arrive as they were, and the check inside `load` finds batched and single answers alike."""
    own = saved(tmp_path, kind, **MANY[kind]).state_dict()
    model = loaded(tmp_path)
    there = model.module.state_dict()
    assert there.keys() == own.keys()
    assert all(torch.equal(own[name], there[name]) for name in own)
    assert len(model.shapes) == 2
    assert set(model.seconds) == {"read", "import", "build", "check"}


@pytest.mark.parametrize(
    ("kind", "changed", "reason"),
    [
        ("MambaConfig", {"state_size": 4}, "cannot be batched here"),
        ("BloomConfig", {}, "cannot be batched here"),
        ("Gemma2Config", {"head_dim": 8}, "softcap"),
    ],
)
def test_refused_architectures(tmp_path: Path, kind: str, changed: dict[str, Any], reason: str) -> None:
    saved(tmp_path, kind, **changed)
    with pytest.raises(StartRefused, match=reason):
        loaded(tmp_path)


def test_dtype(tmp_path: Path) -> None:
    saved(tmp_path, "LlamaConfig")
    assert loaded(tmp_path).dtype == torch.float32
    assert loaded(tmp_path, "bfloat16").dtype == torch.bfloat16


def test_a_saved_dtype_is_kept(tmp_path: Path) -> None:
    saved(tmp_path, "LlamaConfig", dtype="bfloat16")
    assert loaded(tmp_path).dtype == torch.bfloat16


def test_code_of_the_model_is_not_run(tmp_path: Path) -> None:
    saved(tmp_path, "LlamaConfig")
    config = json.loads((tmp_path / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    loaded(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"model_type": "nonsense"}', '{"model_type": "vit"}'])
def test_bad_config(tmp_path: Path, text: str) -> None:
    saved(tmp_path, "LlamaConfig")
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(StartRefused, match=r"config\.json names no model"):
        loaded(tmp_path)


@pytest.mark.parametrize("change", [{"hidden_size": 64}, {"num_hidden_layers": 3}, {"vocab_size": 97}])
def test_weights_of_another_config(tmp_path: Path, change: dict[str, int]) -> None:
    saved(tmp_path, "LlamaConfig")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(StartRefused, match=r"not those of config\.json"):
        loaded(tmp_path)


def sound(tmp_path: Path) -> Path:
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    save_file({"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([True, False])}, path)
    return path


def test_weights(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    path = sound(tmp_path)
    own, theirs = weights.read(tmp_path), load_file(path)
    assert own.keys() == theirs.keys()
    assert all(torch.equal(own[name], theirs[name]) for name in theirs)


def test_cut_anywhere(tmp_path: Path) -> None:
    path = sound(tmp_path)
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(StartRefused, match=r"model\.safetensors is no safetensors file that can be read"):
            weights.read(tmp_path)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 80]},
        {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]},
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "PICKLE", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [8]},
        {"dtype": "F32", "shape": [2]},
        [],
    ],
)
def test_odd_headers(tmp_path: Path, entry: object) -> None:
    header = json.dumps({"a": entry}).encode()
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 8)
    with pytest.raises(StartRefused, match="no safetensors file that can be read"):
        weights.read(tmp_path)


def test_a_header_longer_than_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes((2**62).to_bytes(8, "little"))
    with pytest.raises(StartRefused, match="its header would have"):
        weights.read(tmp_path)
