"""Which files are taken, and which names are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.filechoice import MAX_PATH_BYTES, choose, path_fault, path_faults

SHARDS = (
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
)

# mistralai/Mistral-7B-Instruct-v0.2 publishes the same weights three times.
MISTRAL = (
    *SHARDS,
    ".gitattributes",
    "README.md",
    "config.json",
    "consolidated.safetensors",
    "pytorch_model-00001-of-00002.bin",
    "pytorch_model.bin.index.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
)


def test_one_copy_of_the_weights_is_taken() -> None:
    assert choose(MISTRAL) == (
        "config.json",
        *SHARDS,
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
    )


@pytest.mark.parametrize(
    "path",
    [
        "model.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "1_Pooling/config.json",
        "generation_config.json",
        "chat_template.jinja",
        "additional_chat_templates/rag.jinja",
        "tokenizer.model",
        "spiece.model",
        "qwen.tiktoken",
        "vocab.txt",
        "merges.txt",
    ],
)
def test_taken_by_default(path: str) -> None:
    assert choose([path]) == (path,)


@pytest.mark.parametrize(
    "path",
    [
        "pytorch_model.bin",
        "model.pt",
        "model.pth",
        "model.PKL",
        "model.ckpt",
        "tf_model.h5",
        "flax_model.msgpack",
        "model.joblib",
        "embedding.npy",
        "model.onnx",
        "model.gguf",
        "modeling_custom.py",
        "install.sh",
        "README.md",
        "requirements.txt",
        "LICENSE",
        "original/model.safetensors",
        "original/params.json",
        "onnx/config.json",
        ".github/settings.json",
        "sub/.hidden/config.json",
        "pytorch_model.bin.index.json",
        "tf_model.h5.index.json",
        "model.safetensors.py",
    ],
)
def test_not_taken_by_default(path: str) -> None:
    assert choose([path]) == ()


@pytest.mark.parametrize(
    ("path", "pattern", "taken"),
    [
        ("pytorch_model.bin", "*.bin", True),
        ("pytorch_model.bin", "pytorch_model.bin", True),
        ("sub/pytorch_model.bin", "*.bin", True),
        ("PYTORCH.BIN", "*.BIN", True),
        ("pytorch_model.bin", "*", False),
        ("pytorch_model.bin", "pytorch_model.*", False),
        ("pytorch_model.bin", "*.b?n", False),
        ("pytorch_model.bin", "*.[b]in", False),
        ("modeling.py", "*", False),
        ("modeling.py", "modeling.py", True),
        ("model.gguf", "*.g*", False),
        ("model.gguf", "*Q4*.gguf", False),
        ("model-Q4_0.gguf", "*Q4*.gguf", True),
        ("run", "*", False),
        ("run", "run", True),
        ("bin/run", "bin/*", False),
        ("README.md", "*", True),
        ("README.md", "README.*", True),
        ("original/params.json", "original/", True),
        ("original/consolidated.00.pth", "original/", False),
        ("consolidated.safetensors", "consolidated.safetensors", True),
    ],
)
def test_allow_adds(path: str, pattern: str, taken: bool) -> None:
    assert (path in choose(["model.safetensors", path], allow=[pattern])) is taken


def test_ignore_takes_away_also_what_allow_added() -> None:
    paths = ["model.safetensors", "a.bin", "b.bin", "extra/config.json"]
    assert choose(paths, allow=["*.bin"], ignore=["b.*", "extra/"]) == ("a.bin", "model.safetensors")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (("model.safetensors", *SHARDS), ("model.safetensors",)),
        (("model.fp16.safetensors", "model.safetensors"), ("model.safetensors",)),
        (("model.fp16.safetensors",), ("model.fp16.safetensors",)),
        (("model.fp16-00001-of-00001.safetensors", *SHARDS), SHARDS),
        (("model.safetensors.index.fp16.json", *SHARDS), SHARDS),
        (("consolidated.safetensors",), ("consolidated.safetensors",)),
        (("consolidated-00001-of-00001.safetensors", "consolidated.safetensors.index.json", *SHARDS), SHARDS),
        (
            ("adapter_model.safetensors", "model.safetensors"),
            ("adapter_model.safetensors", "model.safetensors"),
        ),
        (("a/model.safetensors", "b/model.safetensors"), ("a/model.safetensors", "b/model.safetensors")),
        (
            ("a/model.safetensors", "consolidated.safetensors"),
            ("a/model.safetensors", "consolidated.safetensors"),
        ),
    ],
)
def test_second_copies_are_left_out(given: tuple[str, ...], kept: tuple[str, ...]) -> None:
    assert choose(given) == tuple(sorted(kept))


HOSTILE = {
    "../x.json": "has a part `..`",
    "a/../../x.json": "has a part `..`",
    "a/./b.json": "has a part `.`",
    "/abs.json": "is absolute",
    "//unc/share.json": "is absolute",
    "C:/x.json": "is absolute",
    "c:x.json": "is absolute",
    "C:\\x.json": "holds a backslash",
    "a\\b.json": "holds a backslash",
    "\\\\unc\\share.json": "holds a backslash",
    "a//b.json": "has an empty part",
    "a/": "has an empty part",
    "": "has an empty part",
    "a\0.json": "holds a control or invisible character",
    "a\n.json": "holds a control or invisible character",
    "a\x7f.json": "holds a control or invisible character",
    "a\u202egpj.json": "holds a control or invisible character",
    "a\ud800.json": "holds a control or invisible character",
    "a\u2028.json": "holds a control or invisible character",
    ".git/config.json": "has the reserved part `.git`",
    "x/.GIT/hooks.json": "has the reserved part `.GIT`",
    ".modelyard/manifest.json": "has the reserved part `.modelyard`",
    "a /b.json": "has a part that starts or ends with a space",
    "a" * 256: "has a part longer than 255 bytes",
    "é" * 128: "has a part longer than 255 bytes",
    "a/" * 600 + "b": "is longer than 900 bytes",
}


@pytest.mark.parametrize(("path", "why"), HOSTILE.items(), ids=ascii)
def test_unsafe_names(path: str, why: str) -> None:
    assert path_fault(path) == why
    assert dict(path_faults(["config.json", path])) == {path: why}


@pytest.mark.parametrize(
    "path",
    [
        "config.json",
        "a/b/c.json",
        "模型.json",
        "with space.json",
        "..config",
        "a..b",
        "ab:c",
        "-x.json",
        "x" * 255,
    ],
)
def test_safe_names(path: str) -> None:
    assert path_fault(path) == ""


@pytest.mark.parametrize(
    ("paths", "faults"),
    [
        (["a", "A"], {"A": "differs from 'a' only in case or form"}),
        (["é", "e\u0301"], {"e\u0301": "differs from 'é' only in case or form"}),
        (["a", "a"], {"a": "is listed twice"}),
        (["a", "a/b"], {"a/b": "is below 'a', which is a file"}),
        (["A/b/c", "a/B"], {"A/b/c": "is below 'a/B', which is a file"}),
        (["a/b", "a/c", "ab"], {}),
    ],
)
def test_names_that_clash(paths: list[str], faults: dict[str, str]) -> None:
    assert dict(path_faults(paths)) == faults


@given(st.text(max_size=40))
def test_a_safe_name_stays_inside_its_folder(path: str) -> None:
    """Whatever is let through is below the folder on POSIX and Windows alike, and fits a bucket key."""
    if path_fault(path) == "":
        assert not {"", ".", ".."} & set(path.split("/"))
        assert path.isprintable()
        assert "\\" not in path
        assert len(path.encode()) <= MAX_PATH_BYTES
