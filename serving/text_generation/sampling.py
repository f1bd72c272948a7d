"""The next token out of the logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

GREEDY_BELOW = 0.01  # a smaller temperature would overflow the logits


@dataclass(frozen=True, slots=True)
class Sampling:
    """`temperature` from 0, below 0.01 greedy; `top_p` above 0 to 1; the same `seed` gives the same answer."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None

    @property
    def greedy(self) -> bool:
        return self.temperature < GREEDY_BELOW


GREEDY = Sampling()


class Draw(NamedTuple):
    """A request's sampling, with its own source of randomness."""

    sampling: Sampling
    generator: torch.Generator | None

    @classmethod
    def of(cls, sampling: Sampling, device: torch.device) -> Draw:
        if sampling.greedy:
            return cls(sampling, None)
        generator = torch.Generator(device)
        if sampling.seed is None:
            generator.seed()
        else:
            generator.manual_seed(sampling.seed % 2**63)
        return cls(sampling, generator)


def choose(logits: torch.Tensor, draws: list[Draw]) -> list[int]:
    """A token for each row of `logits`, (requests, vocabulary)."""
    tokens: list[int] = logits.argmax(-1).tolist()
    for row, draw in enumerate(draws):
        if draw.generator is not None:
            tokens[row] = _sampled(logits[row], draw.sampling, draw.generator)
    return tokens


def _sampled(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    chances = torch.softmax(logits.float() / sampling.temperature, -1)
    if sampling.top_p < 1:
        ordered, order = chances.sort(descending=True, stable=True)
        # The tokens before which less than top_p was reached: always the first, and never more than needed.
        ordered[ordered.cumsum(-1) - ordered >= sampling.top_p] = 0
        return int(order[torch.multinomial(ordered, 1, generator=generator)])
    return int(torch.multinomial(chances, 1, generator=generator))
