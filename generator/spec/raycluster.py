"""Parts of `services:` that say how a Ray cluster runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from generator.catalog import ACCELERATORS
from generator.spec.base import (
    LabelKey,
    LabelValue,
    Name,
    Node,
    ObjectName,
    SecretKey,
    Seq,
    Text,
    described,
)

AcceleratorName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63),
    Field(json_schema_extra={"enum": sorted(ACCELERATORS)}),
]

RedisAddress = Annotated[
    str,
    StringConstraints(pattern=r"^(rediss?://)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:[0-9]{1,5}$", max_length=300),
]


class Toleration(Node):
    """A taint that pods may stand on, beside that of the group's accelerator."""

    key: LabelKey = described("Key of the taint.", "dedicated")
    value: LabelValue | None = described("Value of the taint; any when left out.", "models", default=None)
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = described(
        "Effect of the taint; any when left out.", "NoSchedule", default=None
    )


class WorkerGroup(Node):
    """A group of equal worker pods."""

    name: Name = described("Name that applications refer to.", "gpu", max_length=20)
    accelerator: AcceleratorName | None = described(
        "Device of each pod; CPU only when left out.", "nvidia-a10g", default=None
    )
    min: int | None = described(
        "Fewest pods; as many as its applications have replicas at least when left out. 0 frees the nodes.",
        0,
        unit="pods",
        default=None,
        ge=0,
        le=1000,
    )
    max: int | None = described(
        "Most pods; as many as its applications may have replicas when left out.",
        4,
        unit="pods",
        default=None,
        ge=1,
        le=1000,
    )
    node_selector: dict[LabelKey, LabelValue] = described(
        "Labels of the nodes, beside the service's `nodeSelector`.", {"node.example.com/pool": "gpu"}, default={}
    )
    tolerations: Seq[Toleration] = described(
        "Taints that its pods may stand on.", [{"key": "dedicated", "value": "models"}], default=(), max_length=20
    )


class Autoscaler(Node):
    """Ray's autoscaler, which runs where replicas or workers may become more."""

    idle_seconds: int = described(
        "How long a worker without replicas stays.", 120, unit="seconds", default=60, ge=0, le=86400
    )
    upscaling: Literal["default", "aggressive", "conservative"] = described(
        "How fast workers are added: `conservative` adds at most as many pending ones as are running.",
        "conservative",
        default="default",
    )


class Upgrade(Node):
    """What a change of the Ray cluster does."""

    strategy: Literal["new-cluster", "incremental", "none"] = described(
        "`new-cluster`: a second Ray cluster, then all requests go there; `incremental`: requests and replicas move"
        " step by step (Gateway API); `none`: nothing until the service is made anew.",
        "incremental",
    )
    gateway_class: Name | None = described("GatewayClass, for `incremental`.", "istio", default=None)
    step_percent: int = described(
        "Share of the requests that moves at a time.", 10, unit="percent", default=10, ge=1, le=100
    )
    interval_seconds: int = described("Time between two steps.", 60, unit="seconds", default=60, ge=1, le=86400)
    surge_percent: int = described(
        "Most replicas of the new cluster before as many are taken from the old one.",
        50,
        unit="percent",
        default=100,
        ge=1,
        le=100,
    )


class FaultTolerance(Node):
    """Where Ray's control store is kept, so that a new head finds the replicas that still run."""

    redis: RedisAddress = described("Host and port of a Redis server.", "redis.redis.svc:6379")
    username: Text | None = described("User of the Redis server.", "default", default=None)
    password_secret: ObjectName | None = described(
        "Secret in the platform's namespace with the password.", "redis", default=None
    )
    password_key: SecretKey = described("Key inside `passwordSecret`.", "password", default="password")
