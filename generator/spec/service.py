"""`services:`, how models are served."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from generator.catalog import ACCELERATORS
from generator.spec.base import (
    Cidr,
    Cpu,
    LabelKey,
    LabelValue,
    Lines,
    Memory,
    Name,
    Node,
    ObjectName,
    SecretKey,
    Seq,
    Text,
    described,
)

Route = Annotated[str, StringConstraints(pattern=r"^/([A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*)?$", max_length=200)]
"""A Serve route prefix: starts with `/`, no trailing `/`, no braces (Ray 2.60 serve/_private/utils.py)."""

HostName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$", max_length=253)
]
AcceleratorName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63),
    Field(json_schema_extra={"enum": sorted(ACCELERATORS)}),
]


HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,62}[A-Za-z0-9]$")]
"""The name of an HTTP header, without the characters that proxies drop (RFC 9110, 5.1; `_` is dropped by nginx)."""

RedisAddress = Annotated[
    str,
    StringConstraints(pattern=r"^(rediss?://)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:[0-9]{1,5}$", max_length=300),
]

INPUT = "{input}"


def _with_input(prompt: str) -> str:
    if prompt.count(INPUT) != 1:
        raise ValueError(
            f"holds {prompt.count(INPUT)} times `{INPUT}`: write it once, where the text of a request goes"
        )
    return prompt


PromptTemplate = Annotated[Lines, AfterValidator(_with_input), Field(json_schema_extra={"pattern": r"\{input\}"})]
"""Text around the place of a request's text. Nothing but `{input}` means anything in it."""


class Replicas(Node):
    """How many copies of an application run; autoscaled when `max` is above `min`."""

    min: int = described(
        "Fewest replicas. With 0, the first request after a quiet time waits for a replica, and may wait for a node.",
        1,
        unit="replicas",
        default=1,
        ge=0,
        le=1000,
    )
    max: int = described("Most replicas.", 3, unit="replicas", default=1, ge=1, le=1000)


AppName = Literal["text-generation", "vllm", "translation", "router", "composition"]


class Backend(Node):
    """One of the models between which a router divides the requests."""

    model: Name = described("Model to serve; each stands once in a router.", "tinyllama")
    weight: int = described(
        "Share of the requests, beside the weights of the others. 0 gives it none but those that name it. A new weight"
        " takes effect in place: nothing is restarted.",
        90,
        unit="parts",
        ge=0,
        le=1000,
    )


class Application(Node):
    """What answers behind one route: one model, or several behind a router."""

    model: Name | None = described(
        "Model to serve. A router has `backends` instead; every other application needs it.", "tinyllama", default=None
    )
    backends: Seq[Backend] | None = described(
        "Models of a router and their shares, two or more; each has replicas of its own.",
        [{"model": "tinyllama", "weight": 90}, {"model": "mistral-7b", "weight": 10}],
        default=None,
        min_length=2,
        max_length=16,
    )
    name: Name | None = described(
        "Name of the Serve application; the model's name when left out, for a router the service's.",
        "chat",
        default=None,
    )
    app: AppName = described(
        "`text-generation`: our transformers application, for CPUs and small models; `vllm`: ray.serve.llm, for"
        " accelerators, OpenAI-compatible; `translation`: any encoder-decoder model; `router`: text generation with"
        " several models by weight; `composition`: text generation behind a prompt of yours.",
        "text-generation",
        default="text-generation",
    )
    route: Route = described("Path prefix under which it answers.", "/generate", default="/")
    sticky: HeaderName | None = described(
        "Router: header whose value decides the model, so that a user stays with one; without it, chance does.",
        "X-User",
        default=None,
    )
    prompt: PromptTemplate | None = described(
        "Composition: what the model is asked; the text of a request stands for `{input}`. A new prompt takes effect"
        " in place.",
        "Summarise in one sentence: {input}",
        default=None,
    )
    replicas: Replicas = described("How many copies run; of each model of a router.", default=Replicas())
    cpu: Cpu = described("CPU of one replica.", "2", unit="cores", default="2")
    memory: Memory | None = described(
        "Host memory of one replica; when left out, from the weights and, without accelerator, the KV cache.",
        "8Gi",
        unit="bytes",
        default=None,
    )
    workers: Name | None = described(
        "Worker group of the service that it runs on; when left out, the first one that has what it takes.",
        "gpu",
        default=None,
    )
    accelerators: int = described(
        "Accelerators of one replica, when the service names one.", 1, unit="devices", default=1, ge=1, le=64
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = described(
        "Type of the numbers that the model computes with; `auto`: that of the weights.", "bfloat16", default="auto"
    )
    context_length: int | None = described(
        "Longest prompt plus answer, for translation the longest text to translate; the model's own when left out.",
        4096,
        unit="tokens",
        default=None,
        ge=16,
        le=10_000_000,
    )
    max_tokens: int = described(
        "Longest answer that a request may ask for.", 1024, unit="tokens", default=1024, ge=1, le=1_000_000
    )
    concurrency: int = described(
        "Requests that one replica works on at a time; the KV cache is reckoned for as many.",
        8,
        unit="requests",
        default=8,
        ge=1,
        le=4096,
    )
    kv_cache_tokens: int | None = described(
        "Most tokens in the KV cache of one replica; `concurrency` times the context length when left out. A bound lets"
        " many short requests run together where there is no memory for as many long ones. Not for vLLM, which takes"
        " what the accelerator has.",
        16384,
        unit="tokens",
        default=None,
        ge=16,
        le=100_000_000,
    )

    @property
    def models(self) -> tuple[str, ...]:
        """Names of all models that it serves, in their order."""
        if self.backends is not None:
            return tuple(backend.model for backend in self.backends)
        return (self.model,) if self.model is not None else ()


class Ingress(Node):
    """An Ingress to the serve Service; never to the dashboard."""

    host: HostName = described("Host name.", "chat.example.com")
    class_name: Name = described("IngressClass that serves it.", "alb")
    tls_secret: Name | None = described("Secret with the certificate.", "chat-tls", default=None)
    annotations: dict[LabelKey, Lines] = described(
        "Annotations of the Ingress.", {"alb.ingress.kubernetes.io/scheme": "internal"}, default={}
    )


class LoadBalancer(Node):
    """A LoadBalancer for the serve Service; never for the dashboard."""

    scope: Literal["internal", "public"] = described(
        "`internal`: an address of the cluster's network; `public`: one of the internet.", "internal"
    )
    source_ranges: Seq[Cidr] = described(
        "Networks that may connect. A public one needs them; `0.0.0.0/0` says that everyone may.",
        ["203.0.113.0/24"],
        default=(),
        max_length=100,
    )
    annotations: dict[LabelKey, Lines] = described(
        "Annotations of the Service, beside those that the provider needs for `scope`.",
        {"service.beta.kubernetes.io/azure-dns-label-name": "models"},
        default={},
    )


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


class Service(Node):
    """One service: a Ray cluster with one or more applications, or a KServe InferenceService with one."""

    name: Name = described("Name of the service; at most 47 characters.", "chat")
    title: Text | None = described("How people call it.", "Chat for everyone", default=None)
    clusters: Seq[Name] = described("Clusters where it runs.", ["peeks-hub"], min_length=1)
    accelerator: AcceleratorName | None = described(
        "Device of each replica; CPU only when left out.", "nvidia-a10g", default=None
    )
    node_selector: dict[LabelKey, LabelValue] = described(
        "Labels of the nodes that workers may run on.", {"node.example.com/pool": "gpu"}, default={}
    )
    applications: Seq[Application] = described("What it serves.", min_length=1)
    runtime: Literal["ray", "kserve"] = described(
        "`ray`: a RayService of KubeRay; `kserve`: an InferenceService, for one application of one model from a `pvc`"
        " cache.",
        "ray",
        default="ray",
    )
    workers: Seq[WorkerGroup] = described(
        "Groups of worker pods, instead of `accelerator`; one group with it when left out.",
        [{"name": "cpu"}, {"name": "gpu", "accelerator": "nvidia-a10g", "min": 0}],
        default=(),
        max_length=16,
    )
    autoscaler: Autoscaler = described("Ray's autoscaler.", default=Autoscaler())
    upgrade: Upgrade | None = described(
        "What a change of the Ray cluster does; KubeRay's default, a new cluster, when left out.", default=None
    )
    fault_tolerance: FaultTolerance | None = described(
        "Outlives the loss of the head pod; when left out, that starts all replicas anew.", default=None
    )
    auth_secret: ObjectName | None = described(
        "Secret with the Ray cluster's token under `auth_token`; KubeRay makes one for each cluster when left out.",
        "chat-ray-token",
        default=None,
    )
    priority_class: ObjectName | None = described("PriorityClass of all pods.", "serving", default=None)
    queue: LabelValue | None = described("LocalQueue of Kueue that admits the Ray cluster.", "team-a", default=None)
    spread: Literal["zone", "host"] | None = described(
        "Over what the pods of a worker group are spread, as well as it goes; production clusters spread over hosts"
        " when left out.",
        "zone",
        default=None,
    )
    load_balancer: LoadBalancer | None = described(
        "Opens the service outside of the cluster, without HTTP rules.", default=None
    )
    ingress: Ingress | None = described("Opens the service outside of the cluster.", default=None)
