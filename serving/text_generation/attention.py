"""Attention over the slots: the tokens of many requests in one forward pass, without padding.

A pass is one row of T tokens: first the newest token of each request that generates, then pieces of prompts. All that
is per token (projections, MLP, norms) sees them as one batch; only attention tells the requests apart, here.
transformers (5.3 to 5.23) calls a registered function instead of its own where a model's class has
`_supports_attention_backend`, makes no mask for it, and hands the keyword `slots` down to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from text_generation.slots import Shape, Slots

NAME = "modelyard_slots"
PLAIN = "modelyard_plain"


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens `start` to `stop` of the prompt in slot `slot`; `whole` when the prompt ends with them."""

    slot: int
    start: int
    stop: int
    whole: bool


@dataclass(slots=True)
class Pass:
    """What one forward pass computes. Slots 0 to `len(newest)` generate; `newest` are the positions of their tokens."""

    slots: Slots
    newest: Sequence[int]
    pieces: Sequence[Piece]
    positions: torch.Tensor = field(init=False)  # (T,), of every token in its request
    last: torch.Tensor = field(init=False)  # tokens whose logits are wanted: each newest one, and the ends of prompts
    _masks: dict[int | None, torch.Tensor | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        device, places, ends = self.slots.device, list(self.newest), list(range(len(self.newest)))
        for piece in self.pieces:
            places.extend(range(piece.start, piece.stop))
            if piece.whole:
                ends.append(len(places) - 1)
        self.positions = torch.tensor(places, dtype=torch.long, device=device)
        self.last = torch.tensor(ends, dtype=torch.long, device=device)

    @property
    def columns(self) -> int:
        """Keys that the newest tokens see at most, their own included."""
        return max(self.newest, default=-1) + 1

    def mask(self, window: int | None) -> torch.Tensor | None:
        """For the newest tokens: (slots, 1, 1, columns), added to the scores; None where every key is seen by all."""
        if window not in self._masks:
            self._masks[window] = self._mask(window)
        return self._masks[window]

    def _mask(self, window: int | None) -> torch.Tensor | None:
        if min(self.newest) == max(self.newest) and (window is None or self.columns <= window):
            return None
        own = self.positions[: len(self.newest), None]
        keys = torch.arange(self.columns, device=own.device)[None, :]
        return _added(_seen(own, keys, window), self.slots.dtype)[:, None, None, :]


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    slots: Pass,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """`query` is (1, heads, T, size), `key` and `value` (1, key heads, T, size); returns (1, T, heads, size).

    Raises NotImplementedError for attention with a soft cap or sinks, which no fused kernel computes.
    """
    if softcap is not None or s_aux is not None:
        raise NotImplementedError("attention with a soft cap or sinks")
    layer: int = module.layer_idx
    count = len(slots.newest)
    out = query.new_empty(*query.shape[:3], value.shape[-1])
    if count:
        keys, values = slots.slots.append(
            layer, key[0, :, :count], value[0, :, :count], slots.positions[:count], slots.columns
        )
        out[0, :, :count] = _newest(slots, query[0, :, :count], keys, values, scaling, sliding_window)
    at = count
    for piece in slots.pieces:
        end = at + piece.stop - piece.start
        keys, values = slots.slots.extend(layer, piece.slot, piece.start, key[0, :, at:end], value[0, :, at:end])
        out[0, :, at:end] = _piece(piece, query[0, :, at:end], keys, values, scaling, sliding_window)
        at = end
    return out.transpose(1, 2), None


def forward(module: Any, ids: Sequence[int], work: Pass) -> torch.Tensor:
    """Logits, (tokens that are wanted, vocabulary), of one pass over `ids`."""
    logits: torch.Tensor = module(
        input_ids=torch.tensor([ids], device=work.slots.device),
        position_ids=work.positions[None],
        use_cache=False,
        logits_to_keep=work.last,
        slots=work,
    ).logits
    return logits[0]


def plain(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: Any, shapes: Any, **options: Any
) -> tuple[torch.Tensor, None]:
    """transformers' own attention; notes in `shapes` what each layer keeps of a token."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    shapes[module.layer_idx] = Shape(key.shape[1], key.shape[3], value.shape[3])
    out, _ = sdpa_attention_forward(module, query, key, value, *rest, **options)
    return out, None


def register() -> None:
    """Makes both known to transformers; the plain one with the masks of SDPA, ours with none."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    AttentionInterface.register(NAME, attend)
    AttentionInterface.register(PLAIN, plain)
    AttentionMaskInterface.register(PLAIN, sdpa_mask)


def _newest(
    slots: Pass, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float | None, window: int | None
) -> torch.Tensor:
    """One query for each slot. Heads that share keys become queries of one key head, so that keys are not repeated."""
    heads, count, size = query.shape
    shared = keys.shape[1]
    grouped = query.transpose(0, 1).reshape(count, shared, heads // shared, size)
    out = scaled_dot_product_attention(grouped, keys, values, attn_mask=slots.mask(window), scale=scale)
    return out.reshape(count, heads, -1).transpose(0, 1)


def _piece(
    piece: Piece, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float | None, window: int | None
) -> torch.Tensor:
    groups = query.shape[0] // keys.shape[0]
    if groups > 1:
        keys, values = keys.repeat_interleave(groups, 0), values.repeat_interleave(groups, 0)
    causal = piece.start == 0 and (window is None or piece.stop <= window)
    mask = None
    if not causal:
        own = torch.arange(piece.start, piece.stop, device=query.device)[:, None]
        mask = _added(_seen(own, torch.arange(piece.stop, device=query.device)[None, :], window), query.dtype)
    out = scaled_dot_product_attention(
        query[None], keys[None], values[None], attn_mask=mask, is_causal=causal, scale=scale
    )
    return out[0]


def _seen(own: torch.Tensor, keys: torch.Tensor, window: int | None) -> torch.Tensor:
    """Which keys a query at position `own` sees: not later ones, and of `window` the newest."""
    seen = keys <= own
    return seen if window is None else seen & (keys > own - window)


def _added(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, float("-inf"))
