"""What has to differ between the cluster and this machine: addresses, paths, counts. Pure; nothing else is changed."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from generator.errors import Path, UserError, dotted
from generator.rehearse.work import moved
from generator.suggest import suggest

LOOPBACK = "127.0.0.1"
VLLM = "ray.serve.llm"
# Ray 2.60: labels of the node for a replica, and for the bundles of its placement group.
_LABELS = ("label_selector", "fallback_strategy")
_BUNDLE_LABELS = ("placement_group_bundle_label_selector", "placement_group_fallback_strategy")
_NAMES = ("name", "route_prefix", "import_path")  # never a path of a pod


@dataclass(frozen=True, slots=True)
class Machine:
    """`cores` that this process may use, GPUs, whether vLLM is installed, bytes of memory."""

    cores: int
    gpus: int = 0
    vllm: bool = False
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """A Serve configuration without what this machine cannot run.

    `left` says why, by application; `fault` is why nothing is left, empty where something is.
    """

    serve: Mapping[str, Any]
    left: Mapping[str, str]
    fault: str


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


def part(serve: Mapping[str, Any], machine: Machine, names: Sequence[str] = ()) -> Part:
    """The applications that this machine can run; of those in `names`, where there are any, all or none.

    Raises UserError for a name that no application has.
    """
    applications = {str(application["name"]): application for application in serve["applications"]}
    if unknown := [name for name in names if name not in applications]:
        message = f"the service has no application `{unknown[0]}`"
        raise UserError.of(message, hint=suggest(unknown[0], sorted(applications)))
    reasons = {name: unfit(application, machine) for name, application in applications.items()}
    faults = {name: reason for name, reason in reasons.items() if reason and (not names or name in names)}
    chosen = [name for name in applications if (name in names if names else not reasons[name])]
    if not chosen or (names and faults):
        return Part(serve, {}, next(iter(faults.values()), "has no application"))
    return Part({**serve, "applications": [applications[name] for name in chosen]}, faults, "")


def unfit(application: Mapping[str, Any], machine: Machine) -> str:
    """Why this machine cannot run the application; empty where it can."""
    llm = str(application["import_path"]).startswith(VLLM)
    # One that scales from none has one here (`_smallest`), and needs its device.
    options = [(max(1, _replicas(d)), d.get("ray_actor_options", {})) for d in _deployments(application)]
    gpus = sum(replicas * given.get("num_gpus", 0) for replicas, given in options)
    special = [name for _, given in options for name in given.get("resources", ())]
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
    serve: Mapping[str, Any],
    machine: Machine,
    folders: Mapping[str, str],
    codes: Mapping[str, str],
    port: int,
    context: int | None,
) -> Fitted:
    """serveConfigV2 for this machine. `folders` stand for the pods' mounts, `codes` are the URIs of the zips by name.

    `context` is what a stand-in model can, in tokens; None where there is none.
    """
    own = copy.deepcopy(dict(serve))
    changes = [*_addresses(own, port), *_paths(own, folders), *_fetched(own, codes)]
    if context is not None:
        changes += _context(own, context)
    changes += [*_unlabelled(own), *_smallest(own)]
    if _cpus(own) > machine.cores or _memory(own) > machine.memory:
        changes += _single(own)
    return Fitted(own, tuple(changes), math.ceil(_cpus(own)), _memory(own))


def one_each(applications: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The applications with one replica of each deployment."""
    own: dict[str, Any] = {"applications": copy.deepcopy([dict(application) for application in applications])}
    for _ in (*_smallest(own), *_single(own)):
        pass
    return list(own["applications"])


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


def _unlabelled(serve: dict[str, Any]) -> Iterator[Change]:
    """Labels of nodes tell worker groups apart; this machine is one node, and has none of them."""
    for deployment, place in _all_deployments(serve):
        options = deployment.get("ray_actor_options", {})
        for holder, keys, where in (
            (options, _LABELS, (*place, "ray_actor_options")),
            (deployment, _BUNDLE_LABELS, place),
        ):
            for key in keys:
                if key in holder:
                    yield Change(dotted((*where, key)), holder.pop(key), None, "one node stands for every group")


def _smallest(serve: dict[str, Any]) -> Iterator[Change]:
    """No replica is added while the rehearsal asks, and one is there before."""
    for deployment, place in _all_deployments(serve):
        scaling = deployment.get("autoscaling_config")
        if not scaling:
            continue
        fewest = max(1, scaling.get("min_replicas", 1))
        for key in ("min_replicas", "max_replicas"):
            if (was := scaling.get(key, 1)) != fewest:
                yield Change(dotted((*place, "autoscaling_config", key)), was, fewest, "the fewest replicas")
            scaling[key] = fewest
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
