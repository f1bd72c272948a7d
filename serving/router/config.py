"""What `user_config` of the router says; Serve hands it to running replicas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import StartRefused

MOST = 1000


@dataclass(frozen=True, slots=True)
class Routing:
    """Shares of the models, and the header (lower case) whose value decides; without one, chance does."""

    weights: Mapping[str, int]
    sticky: str | None


def read(config: Any, models: Sequence[str]) -> Routing:
    """Raises StartRefused, naming what is wrong: a faulty update fails and leaves the routing as it was."""
    if not isinstance(config, dict) or not set(config) <= {"weights", "sticky"}:
        raise StartRefused(f"user_config of Router has the keys weights and sticky, not {config!r}")
    weights, sticky = config.get("weights"), config.get("sticky")
    if not isinstance(weights, dict) or set(weights) != set(models):
        raise StartRefused(f"`weights` names {_names(weights)}, the models are {', '.join(sorted(models))}")
    for model, weight in weights.items():
        if type(weight) is not int or not 0 <= weight <= MOST:
            raise StartRefused(f"the weight of {model} is {weight!r}, not a whole number from 0 to {MOST}")
    if not any(weights.values()):
        raise StartRefused("every weight is 0")
    if sticky is not None and not (isinstance(sticky, str) and sticky):
        raise StartRefused(f"`sticky` is {sticky!r}, not the name of a header")
    return Routing({model: weights[model] for model in models}, sticky.lower() if sticky else None)


def _names(weights: Any) -> str:
    return ", ".join(sorted(map(str, weights))) if isinstance(weights, dict) and weights else "no models"
