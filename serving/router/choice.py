"""Which model answers: weighted rendezvous hashing.

Each model draws a score from the key and its own name, and the highest wins (C. Schindelhauer, G. Schomaker: "Weighted
Distributed Hash Tables", 2005). A model's score depends on its own weight only, so a change of one weight moves keys
to or from that model and between no others: as few as the new shares allow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import blake2b

_BITS = 52  # with the half that is added, the 53 of a double: every draw is exact and below 1


def choose(key: bytes, weights: Mapping[str, int]) -> str:
    """The model for `key`; the same one for as long as the weights are. A model of weight 0 has none.

    Raises ValueError where no weight is above 0.
    """
    scores = {model: score(key, model, weight) for model, weight in weights.items() if weight > 0}
    if not scores:
        raise ValueError("no model has a weight above 0")
    return max(scores, key=lambda model: (scores[model], model))


def score(key: bytes, model: str, weight: int) -> float:
    """An exponential draw with the rate 1/weight: the chance to have the highest of all is weight by sum of weights."""
    return -weight / math.log(draw(key, model))


def draw(key: bytes, model: str) -> float:
    """Between 0 and 1, neither included; of `key` and `model` alone, on every machine."""
    digest = blake2b(key, digest_size=8, key=model.encode()[:64]).digest()
    return ((int.from_bytes(digest, "big") >> (64 - _BITS)) + 0.5) / (1 << _BITS)
