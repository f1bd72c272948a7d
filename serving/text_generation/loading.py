"""From a folder to a model that answers. The weights are read while Python imports what runs them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from common.errors import StartRefused

from text_generation import attention, weights
from text_generation.settings import Settings
from text_generation.slots import Shape

# A layer of another kind keeps a state which is no list of keys and values.
LAYERS = frozenset({"full_attention", "sliding_attention"})


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """`shapes` are those of the layers' keys and values; `seconds` it took, by phase. `read` and `import` overlap."""

    module: Any
    config: Any
    dtype: torch.dtype
    device: torch.device
    shapes: list[Shape]
    vocabulary: int
    seconds: Mapping[str, float]


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, phase: str, work: Any, *arguments: Any) -> Any:
        begun = time.perf_counter()
        try:
            return work(*arguments)
        finally:
            self.seconds[phase] = time.perf_counter() - begun


def load(settings: Settings) -> LoadedModel:
    """Raises StartRefused for a model that cannot be served: files, architecture, missing weights.

    Works in threads that end. Each thread that computes keeps OpenMP's helpers for itself, and with more of them than
    cores libgomp no longer spins at barriers: the engine's thread, later, would lose a tenth of its speed.
    """
    clock = _Clock()
    with ThreadPoolExecutor(2, "load") as pool:
        reading = pool.submit(clock.timed, "read", weights.read, settings.model)
        return pool.submit(_loaded, settings, clock, reading).result()


def _loaded(settings: Settings, clock: _Clock, reading: Future[dict[str, torch.Tensor]]) -> LoadedModel:
    config, kind = clock.timed("import", _class, settings.model)
    module = clock.timed("build", _build, kind, config, settings.dtype, reading)
    text = config.get_text_config()
    shapes = clock.timed("check", _checked, module, text)
    parameter = next(module.parameters())
    return LoadedModel(module, config, parameter.dtype, parameter.device, shapes, text.vocab_size, clock.seconds)


def _class(folder: Path) -> tuple[Any, Any]:
    """The configuration, and the class of transformers that runs it; not `auto_map`, which is code of the model."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        kind: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StartRefused(f"config.json names no model that transformers generates text with: {error}") from error
    layers = set(getattr(config.get_text_config(), "layer_types", None) or ())
    if not kind._supports_attention_backend or layers - LAYERS:
        odd = ", ".join(sorted(layers - LAYERS)) or "its attention is its own"
        raise StartRefused(f"{kind.__name__} cannot be batched here ({odd}): serve it with `app: vllm`")
    return config, kind


def _build(kind: Any, config: Any, dtype: str, reading: Future[dict[str, torch.Tensor]]) -> Any:
    wanted = dtype if dtype == "auto" else getattr(torch, dtype)
    tensors = reading.result()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        module, told = kind.from_pretrained(
            None, config=config, state_dict=tensors, dtype=wanted, output_loading_info=True
        )
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise StartRefused(f"the weights are not those of config.json: {error}") from error
    for fault in ("missing_keys", "mismatched_keys"):
        if names := sorted(map(str, told[fault])):
            raise StartRefused(f"the weights are not those of config.json: {fault}: {', '.join(names[:3])}")
    return module.eval().to(device)


def _checked(module: Any, config: Any) -> list[Shape]:
    from text_generation.selfcheck import check

    attention.register()
    return check(module, config)
