"""Before a model is served in batches: are its answers those that it gives alone?

transformers has hundreds of architectures, and one that treats positions or attention in a way of its own would answer
nonsense. Two short texts go through the model one by one, as its authors wrote it, and then together, in pieces.
"""

from __future__ import annotations

from typing import Any

import torch
from common.errors import StartRefused

from text_generation import attention
from text_generation.attention import Pass, Piece
from text_generation.slots import Shape, Slots

TEXTS = (7, 4)  # tokens
CUT = 3  # where the first text is cut into two pieces
TOLERANCE = 0.05  # of the logits' spread; bfloat16 stays below 0.02


@torch.inference_mode()
def check(module: Any, config: Any) -> list[Shape]:
    """The shapes of keys and values of each layer. Raises StartRefused."""
    texts = [[(3 + 5 * place + text) % config.vocab_size for place in range(n)] for text, n in enumerate(TEXTS)]
    try:
        shapes, alone = _alone(module, texts)
        together = _together(module, texts, shapes)
    except (NotImplementedError, RuntimeError, TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise StartRefused(f"{type(module).__name__} cannot be batched here: {error}") from error
    off = float((together - alone).abs().mean() / alone.std())
    if not off < TOLERANCE:
        raise StartRefused(f"{type(module).__name__} answers otherwise in a batch than alone (by {off:.2f})")
    return shapes


def _alone(module: Any, texts: list[list[int]]) -> tuple[list[Shape], torch.Tensor]:
    module.set_attn_implementation(attention.PLAIN)
    seen: dict[int, Shape] = {}
    rows = [
        module(input_ids=torch.tensor([ids], device=module.device), use_cache=False, shapes=seen).logits[0, -1]
        for ids in texts
    ]
    if sorted(seen) != list(range(len(seen))):
        raise ValueError(f"its layers are numbered {sorted(seen)}")
    return [seen[layer] for layer in sorted(seen)], torch.stack(rows).float()


def _together(module: Any, texts: list[list[int]], shapes: list[Shape]) -> torch.Tensor:
    module.set_attn_implementation(attention.NAME)
    slots = Slots(shapes, len(texts), 64, module.dtype, module.device)
    slots.make_room(len(texts), max(map(len, texts)))
    first, second = texts
    passes: tuple[tuple[list[int], list[Piece]], ...] = (
        ([], [Piece(0, 0, CUT, whole=False)]),
        ([], [Piece(0, CUT, len(first) - 1, whole=True), Piece(1, 0, len(second) - 1, whole=True)]),
        ([len(first) - 1, len(second) - 1], []),
    )
    for newest, pieces in passes:
        work = Pass(slots, newest, pieces)
        ids = [texts[slot][place] for slot, place in enumerate(newest)]
        ids += [token for piece in pieces for token in texts[piece.slot][piece.start : piece.stop]]
        logits: torch.Tensor = attention.forward(module, ids, work)
    return logits.float()
