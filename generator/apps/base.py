"""What an application row says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Deployment:
    """One application of a service, resolved: what its row turns into an entry of serveConfigV2.

    `cpus` in cores, `memory` in bytes, lengths in tokens; `working_dir` is the URI of the zip, empty without one.
    """

    name: str
    route: str
    model: str
    model_path: str
    working_dir: str
    min_replicas: int
    max_replicas: int
    cpus: float
    accelerators: int  # 0 on CPUs
    context_length: int | None
    max_tokens: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class App:
    """A kind of application.

    `packages` are its folders under serving/, none when Ray brings the code; `image` maps "runs on an accelerator" to
    the role of its image (catalog.DEFAULT_RAY_IMAGES); `serve` makes its entry of `applications:`.
    """

    name: str
    packages: tuple[str, ...]
    image: Callable[[bool], str]
    needs_accelerator: bool
    max_accelerators: int
    serve: Callable[[Deployment], dict[str, Any]]


def scaling(deployment: Deployment) -> dict[str, Any]:
    """Replica count or autoscaling, with the field names of Ray 2.60 (an int beside autoscaling_config is refused)."""
    if deployment.max_replicas == deployment.min_replicas:
        return {"num_replicas": deployment.min_replicas}
    return {
        "autoscaling_config": {
            "min_replicas": deployment.min_replicas,
            "max_replicas": deployment.max_replicas,
            "target_ongoing_requests": max(1, deployment.concurrency // 2),
        }
    }


def number(value: float) -> float | int:
    """`2.0` as `2`: both mean the same to Ray, one reads better."""
    return int(value) if value == int(value) else value
