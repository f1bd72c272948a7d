"""The services of the catalogue, how to ask them, and what they request."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from generator.emit.catalogue.markdown import code, escape, from_to, names, table
from generator.emit.estimate import requests
from generator.plan import Application, Cluster, Plan, Service
from generator.quantities import GIB
from generator.runtimes import RUNTIMES

_SERVICE_FACTS = ("Models and routes", "Engine", "Accelerator", "Replicas")
_SERVICE_COLUMNS = ("Name", "Title", "Clusters", *_SERVICE_FACTS, "Address in the cluster")


def section(plan: Plan) -> Iterator[str]:
    yield "## Services"
    yield ""
    if not plan.services:
        yield "None yet: `modelyard add service NAME` adds one."
        yield ""
        return
    yield from table(_SERVICE_COLUMNS, (_service(plan, service) for service in plan.services))
    yield "Ask a service from a pod of its cluster:"
    yield ""
    for service in plan.named:
        for application in service.applications:
            yield from _example(service, application, plan.platform.namespace)


def _service(plan: Plan, service: Service) -> tuple[str, ...]:
    served = service.applications
    return (
        code(service.name),
        escape(service.title),
        names(service.clusters),
        ", ".join(f"{_served(a)} at {code(a.route)}" for a in served),
        names(sorted({a.app for a in served})),
        _accelerators(service),
        ", ".join(_replicas(a) for a in served),
        code(RUNTIMES[service.runtime].url(service, plan.platform.namespace, "/")),
    )


def _served(application: Application) -> str:
    """The model, or the models of a router with their shares."""
    names = [code(model.name) for model in application.models]
    if not application.weights:
        return names[0]
    whole = sum(application.weights)
    shares = (f"{name} {100 * w / whole:.4g} %" for name, w in zip(names, application.weights, strict=True))
    return " / ".join(shares)


def _accelerators(service: Service) -> str:
    if service.accelerator is None:
        return "none"
    return f"{max(a.accelerators for a in service.applications)} x {code(service.accelerator)} a replica"


def _replicas(application: Application) -> str:
    each = f"{len(application.models)} x " if len(application.models) > 1 else ""
    return each + from_to(str(application.min_replicas), str(application.max_replicas))


# What to ask each application: path below its route, and body. vLLM has no short form.
_Ask = tuple[str, Callable[[Application], dict[str, Any]]]
_QUESTION = "What is Kubernetes?"
ASK: Mapping[str, _Ask] = MappingProxyType(
    {
        "text-generation": ("", lambda _: {"prompt": _QUESTION, "max_tokens": 64}),
        "router": ("", lambda _: {"prompt": _QUESTION, "max_tokens": 64}),
        "composition": ("", lambda _: {"input": "Kubernetes runs containers on many machines."}),
        "translation": ("", lambda _: {"text": "Kubernetes runs containers on many machines."}),
        "vllm": (
            "/v1/chat/completions",
            lambda application: {
                "model": application.models[0].name,
                "messages": [{"role": "user", "content": _QUESTION}],
                "max_tokens": 64,
            },
        ),
    }
)


def _example(service: Service, application: Application, namespace: str) -> Iterator[str]:
    path, body = ASK[application.app]
    url = RUNTIMES[service.runtime].url(service, namespace, application.route) + path
    header = "Content-Type: application/json"
    command = ["curl", "-sS", url, "-H", header, "-d", json.dumps(body(application))]
    yield "```sh"
    yield shlex.join(command)
    yield "```"
    yield ""


def requested(plan: Plan) -> Iterator[str]:
    """What the services ask of each cluster, which is what its nodes must have."""
    clusters = [cluster for cluster in plan.clusters if plan.services_on(cluster.name)]
    if not clusters:
        return
    yield "## What the services request"
    yield ""
    columns = ("Cluster", "Provider", "Profile", "CPU", "Memory", "Accelerators")
    yield from table(columns, (_requested(plan, cluster) for cluster in clusters))
    yield "From the fewest replicas to the most; requests and limits are the same."
    if any(service.runtime == "ray" for service in plan.services):
        yield "While a new Ray cluster takes over from an old one, both are there."
    yield ""


def _requested(plan: Plan, cluster: Cluster) -> tuple[str, ...]:
    low, high = requests(plan, cluster)
    devices = (
        from_to(str(low.devices.get(name, 0)), str(count)) + f" x {code(name)}"
        for name, count in sorted(high.devices.items())
    )
    return (
        code(cluster.name),
        cluster.provider,
        cluster.profile or "as written",
        from_to(f"{low.cpu:g}", f"{high.cpu:g}") + " cores",
        from_to(*(f"{amount.memory / GIB:g}" for amount in (low, high))) + " GiB",
        ", ".join(devices) or "none",
    )
