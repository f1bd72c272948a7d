"""Keys and values of the requests in work: a slot each, all as long as the longest, and never more than a bound.

A request's slot is dense, so that attention over it is one kernel call without gathering. The slots in use are the
first ones, without gaps: those that generate come first, and attention over them is a slice.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

STEP = 128
"""Columns are added in multiples of this: growing copies what is there."""


class Shape(NamedTuple):
    """Of one layer: heads that keep keys, and the size of a key and of a value."""

    heads: int
    key: int
    value: int


class Slots:
    """`most` slots, and `limit` tokens over all of them. A tensor is (slots, heads, columns, size); two a layer."""

    def __init__(self, shapes: list[Shape], most: int, limit: int, dtype: torch.dtype, device: torch.device) -> None:
        self.most, self.limit, self.dtype, self.device = most, limit, dtype, device
        self._shapes = shapes
        self.clear()

    @property
    def tokens(self) -> int:
        """For how many tokens there is memory now."""
        return self.count * self.columns

    def clear(self) -> None:
        """Gives the memory back."""
        self.count, self.columns = 0, 0
        self._keys = [self._empty(shape.heads, shape.key) for shape in self._shapes]
        self._values = [self._empty(shape.heads, shape.value) for shape in self._shapes]

    def fits(self, count: int, columns: int) -> bool:
        """Whether `count` slots of `columns` tokens are within the bounds."""
        return count <= self.most and count * columns <= self.limit

    def make_room(self, count: int, columns: int) -> None:
        """For the first `count` slots with `columns` tokens each. Raises ValueError beyond the bounds."""
        if count <= self.count and columns <= self.columns:
            return
        if not self.fits(count, columns):
            raise ValueError(f"{count} slots of {columns} tokens are beyond {self.most} slots, {self.limit} tokens")
        # What is roomy before what is asked for: growing is not free.
        roomy = max(self.count, min(self.most, 1 << (count - 1).bit_length()))
        longer = max(self.columns, -(-columns // STEP) * STEP)
        shapes = ((roomy, longer), (count, longer), (max(count, self.count), columns), (count, columns))
        self._resize(*next(shape for shape in shapes if self.fits(*shape)))

    def append(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor, at: torch.Tensor, columns: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A token for each of the first slots, at its position `at`; `keys` are (heads, slots, size).

        Returns keys and values of these slots, up to `columns`.
        """
        count = keys.shape[1]
        rows = torch.arange(count, device=self.device)
        own_keys, own_values = self._keys[layer], self._values[layer]
        own_keys[rows, :, at] = keys.transpose(0, 1)
        own_values[rows, :, at] = values.transpose(0, 1)
        return own_keys[:count, :, :columns], own_values[:count, :, :columns]

    def extend(
        self, layer: int, slot: int, start: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens of one slot from position `start` on; `keys` are (heads, tokens, size). Returns all so far."""
        stop = start + keys.shape[1]
        own_keys, own_values = self._keys[layer][slot], self._values[layer][slot]
        own_keys[:, start:stop] = keys
        own_values[:, start:stop] = values
        return own_keys[:, :stop], own_values[:, :stop]

    def move(self, source: int, target: int, length: int) -> None:
        """The first `length` tokens of one slot into another."""
        for tensor in (*self._keys, *self._values):
            tensor[target, :, :length] = tensor[source, :, :length]

    def swap(self, one: int, other: int, length: int) -> None:
        """Two slots change places, with `length` tokens each."""
        for tensor in (*self._keys, *self._values):
            held = tensor[one, :, :length].clone()
            tensor[one, :, :length] = tensor[other, :, :length]
            tensor[other, :, :length] = held

    def _resize(self, count: int, columns: int) -> None:
        kept, length = min(count, self.count), min(columns, self.columns)
        self.count, self.columns = count, columns
        for tensors in (self._keys, self._values):
            for layer, old in enumerate(tensors):  # one after the other: never all of them twice
                new = self._empty(old.shape[1], old.shape[3])
                new[:kept, :, :length] = old[:kept, :, :length]
                tensors[layer] = new

    def _empty(self, heads: int, size: int) -> torch.Tensor:
        # Zeros: what a mask hides is multiplied by 0, and 0 times a NaN that lay in the memory would be NaN.
        return torch.zeros(self.count, heads, self.columns, size, dtype=self.dtype, device=self.device)
