"""What has to differ between the cluster and this machine: addresses, paths, counts. Pure; nothing else is changed."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from generator.errors import Path, dotted
from generator.rehearse.work import Work, moved

LOOPBACK = "127.0.0.1"
VLLM = "ray.serve.llm"
_NAMES = ("name", "route_prefix", "import_path")  # never a path of a pod


@dataclass(frozen=True, slots=True)
class Machine:
    """`cores` that this process may use, GPUs, whether vLLM is installed, bytes of memory."""

    cores: int
    gpus: int = 0
    vllm: bool = False
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """One value of serveConfigV2 that is another here. `path` is its dotted place."""

    path: str
    was: Any
    now: Any
    why: str


@dataclass(frozen=True, slots=True)
class Fitted:
    """The Serve configuration for this machine; `cpus` and `memory` (bytes) are what its replicas reserve."""

    serve: Mapping[str, Any]
    changes: tuple[Change, ...]
    cpus: int
    memory: int


def unfit(serve: Mapping[str, Any], machine: Machine) -> str:
    """Why this machine cannot run the configuration; empty where it can."""
    for application in serve["applications"]:
        llm = str(application["import_path"]).startswith(VLLM)
        gpus = sum(_replicas(d) * d.get("ray_actor_options", {}).get("num_gpus", 0) for d in _deployments(application))
        special = [
            name for d in _deployments(application) for name in d.get("ray_actor_options", {}).get("resources", ())
        ]
        if special:
            return f"needs {special[0]} devices, which cannot be rehearsed"
        if (llm or gpus) and not machine.gpus:
            return "needs a GPU, and this machine has none"
        if gpus > machine.gpus:
            return f"needs {gpus:g} GPUs, and this machine has {machine.gpus}"
        if llm and not machine.vllm:
            return "needs vLLM, which is not installed here"
    return ""


def fit(
    work: Work,
    machine: Machine,
    folders: Mapping[str, str],
    codes: Mapping[str, str],
    port: int,
    context: int | None,
) -> Fitted:
    """`folders` stand for the pods' mounts, `codes` are the URIs of the tree's zips by name.

    `context` is what a stand-in model can, in tokens; None where there is none.
    """
    serve = copy.deepcopy(dict(work.serve))
    changes = [*_addresses(serve, port), *_paths(serve, folders), *_fetched(serve, codes)]
    if context is not None:
        changes += _context(serve, context)
    changes += _smallest(serve)
    if _cpus(serve) > machine.cores or _memory(serve) > machine.memory:
        changes += _single(serve)
    return Fitted(serve, tuple(changes), math.ceil(_cpus(serve)), _memory(serve))


def _addresses(serve: dict[str, Any], port: int) -> Iterator[Change]:
    options = serve.setdefault("http_options", {})
    for key, now, why in (("host", LOOPBACK, "only this machine may ask"), ("port", port, "a free one")):
        yield Change(f"http_options.{key}", options.get(key), now, why)
        options[key] = now


def _paths(serve: dict[str, Any], folders: Mapping[str, str]) -> Iterator[Change]:
    """Paths of the pods become the folders that stand for their mounts."""
    for holder, key, place in _values(serve, ()):
        text = holder[key]
        if not isinstance(text, str) or key in _NAMES:
            continue
        holder[key] = moved(text, folders)
        if holder[key] != text:
            yield Change(dotted(place), text, holder[key], "the mount's folder")


def _fetched(serve: dict[str, Any], codes: Mapping[str, str]) -> Iterator[Change]:
    """Code that the pods fetch from elsewhere is taken out of the tree; its name holds its digest."""
    for holder, key, place in _values(serve, ()):
        if key == "working_dir" and not holder[key].startswith("file:"):
            name = holder[key].rpartition("/")[2]
            if name in codes:
                yield Change(dotted(place), holder[key], codes[name], "the tree's own")
                holder[key] = codes[name]


def _context(serve: dict[str, Any], context: int) -> Iterator[Change]:
    for holder, key, place in _values(serve, ()):
        if key == "CONTEXT_LENGTH" and int(holder[key]) > context:
            yield Change(dotted(place), holder[key], str(context), "what the stand-in model can")
            holder[key] = str(context)


def _smallest(serve: dict[str, Any]) -> Iterator[Change]:
    """No replica is added while the rehearsal asks."""
    for deployment, place in _all_deployments(serve):
        scaling = deployment.get("autoscaling_config")
        if scaling and scaling.get("max_replicas", 1) > (fewest := max(1, scaling.get("min_replicas", 1))):
            where = (*place, "autoscaling_config", "max_replicas")
            yield Change(dotted(where), scaling["max_replicas"], fewest, "the fewest replicas")
            scaling |= {"min_replicas": fewest, "max_replicas": fewest}
            scaling.pop("initial_replicas", None)


def _single(serve: dict[str, Any]) -> Iterator[Change]:
    for deployment, place in _all_deployments(serve):
        if (replicas := _replicas(deployment)) > 1:
            yield Change(dotted(place), f"{replicas} replicas", "1 replica", "this machine is smaller")
            scaling = deployment.get("autoscaling_config")
            if scaling:
                scaling |= {"min_replicas": 1, "max_replicas": 1}
            else:
                deployment["num_replicas"] = 1


def _cpus(serve: Mapping[str, Any]) -> float:
    """What the replicas reserve together; Ray's default for one is 1."""
    return sum(
        _replicas(deployment) * float(deployment.get("ray_actor_options", {}).get("num_cpus", 1))
        for deployment, _ in _all_deployments(serve)
    )


def _memory(serve: Mapping[str, Any]) -> int:
    return sum(
        _replicas(deployment) * int(deployment.get("ray_actor_options", {}).get("memory", 0))
        for deployment, _ in _all_deployments(serve)
    )


def _replicas(deployment: Mapping[str, Any]) -> int:
    scaling = deployment.get("autoscaling_config")
    return int(scaling.get("min_replicas", 1) if scaling else deployment.get("num_replicas", 1) or 1)


def _deployments(application: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return (item for item, _ in _all_deployments({"applications": [application]}))


def _all_deployments(serve: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], Path]]:
    for index, application in enumerate(serve["applications"]):
        for number, deployment in enumerate(application.get("deployments", ())):
            yield deployment, ("applications", index, "deployments", number)
        for number, config in enumerate(application.get("args", {}).get("llm_configs", ())):
            inner = config.setdefault("deployment_config", {})
            yield inner, ("applications", index, "args", "llm_configs", number, "deployment_config")


def _values(node: Any, place: Path) -> Iterator[tuple[Any, Any, Path]]:
    """`(holder, key, place)` of every value that is neither mapping nor list."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        if isinstance(value, dict | list):
            yield from _values(value, (*place, key))
        else:
            yield node, key, (*place, key)
