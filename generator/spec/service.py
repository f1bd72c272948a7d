"""`services:`, how models are served."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from generator.catalog import ACCELERATORS
from generator.spec.base import Cpu, LabelKey, LabelValue, Lines, Memory, Name, Node, Seq, Text, described

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


class Replicas(Node):
    """How many copies of an application run; autoscaled when `max` is above `min`."""

    min: int = described("Fewest replicas.", 1, unit="replicas", default=1, ge=1, le=1000)
    max: int = described("Most replicas.", 3, unit="replicas", default=1, ge=1, le=1000)


class Application(Node):
    """One model behind one route."""

    model: Name = described("Model to serve.", "tinyllama")
    name: Name | None = described(
        "Name of the Serve application; the model's name when left out.", "chat", default=None
    )
    app: Literal["text-generation", "vllm"] = described(
        "`text-generation`: our transformers application, for CPUs and small models; `vllm`: ray.serve.llm, for"
        " accelerators, OpenAI-compatible.",
        "text-generation",
        default="text-generation",
    )
    route: Route = described("Path prefix under which it answers.", "/generate", default="/")
    replicas: Replicas = described("How many copies run.", default=Replicas())
    cpu: Cpu = described("CPU of one replica.", "2", unit="cores", default="2")
    memory: Memory | None = described(
        "Host memory of one replica; from the size of the weights when left out.", "8Gi", unit="bytes", default=None
    )
    accelerators: int = described(
        "Accelerators of one replica, when the service names one.", 1, unit="devices", default=1, ge=1, le=16
    )
    context_length: int | None = described(
        "Longest prompt plus answer; the model's own when left out.",
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


class Ingress(Node):
    """An Ingress to the serve Service; never to the dashboard."""

    host: HostName = described("Host name.", "chat.example.com")
    class_name: Name = described("IngressClass that serves it.", "alb")
    tls_secret: Name | None = described("Secret with the certificate.", "chat-tls", default=None)
    annotations: dict[LabelKey, Lines] = described(
        "Annotations of the Ingress.", {"alb.ingress.kubernetes.io/scheme": "internal"}, default={}
    )


class Service(Node):
    """One Ray service: a Ray cluster with one or more applications."""

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
    ingress: Ingress | None = described("Opens the service outside of the cluster.", default=None)
