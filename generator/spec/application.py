"""`services[].applications:`, what answers behind the routes of a service."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from generator.spec.base import (
    Cpu,
    Lines,
    Memory,
    Name,
    Node,
    Seq,
    described,
)

Route = Annotated[str, StringConstraints(pattern=r"^/([A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*)?$", max_length=200)]
"""A Serve route prefix: starts with `/`, no trailing `/`, no braces (Ray 2.60 serve/_private/utils.py)."""

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,62}[A-Za-z0-9]$")]
"""The name of an HTTP header, without the characters that proxies drop (RFC 9110, 5.1; `_` is dropped by nginx)."""

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
