"""What an accelerator asks of the service that names it: its applications, models, image, and nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from generator import pods
from generator.applications import models_of
from generator.catalog import ACCELERATORS, DEFAULT_RAY_IMAGES, Accelerator, Node, suits
from generator.errors import Fault, Path, Severity
from generator.lock import Lock, LockedModel
from generator.providers import PROVIDERS
from generator.quantities import GIB, cores, in_bytes
from generator.spec import Application, Cluster, Model, Platform, Service
from generator.suggest import suggest
from generator.workers import accelerator_of, applications_on, device, group_of, groups_of, place

# What pods get of a node's memory: Karpenter's reference of instance types, those with the least.
USABLE_NODE_MEMORY = 0.86

# Labels that Karpenter knows of every node that it could make.
_KNOWN = ("kubernetes.io/arch", "kubernetes.io/os", "node.kubernetes.io/instance-type", "karpenter.sh/capacity-type")
_KNOWN_PREFIXES = ("topology.kubernetes.io/", "karpenter.k8s.aws/", "eks.amazonaws.com/", "topology.k8s.aws/")


def rules(service: Service, i: int, models: Mapping[str, Model], platform: Platform) -> Iterator[Fault]:
    """Broken rules of the service at `services[i]`; `models` are those without faults of their own."""
    yield from _variants(service, i, models)
    for group in groups_of(service):
        accelerator = device(group)
        if accelerator is not None:
            yield from _image(accelerator, (*place(service, i, group), "accelerator"), platform)
    for j, application in enumerate(service.applications):
        accelerator = accelerator_of(service, application)
        if accelerator is not None:
            at: Path = ("services", i, "applications", j)
            yield from _runs(accelerator, application, at)
            yield from _count(accelerator, application, at)
            yield from _shapes(accelerator, application, at)


def _image(accelerator: Accelerator, at: Path, platform: Platform) -> Iterator[Fault]:
    role = accelerator.image
    if role is None or role in DEFAULT_RAY_IMAGES or getattr(platform.images, role) is not None:
        return
    message = f"{accelerator.name} needs an image of its own, and `platform.images` has no `{role}`"
    hint = f"add `{role}:` with `image` and `rayVersion`; docs/accelerators.md says what the image holds"
    yield Fault(at, message, hint)


def _runs(accelerator: Accelerator, application: Application, at: Path) -> Iterator[Fault]:
    if accelerator.apps is not None and application.app not in accelerator.apps:
        usable = " or ".join(f"`app: {name}`" for name in sorted(accelerator.apps))
        hint = f"use {usable}, or another accelerator"
        yield Fault(_field(application, at, "app"), f"`{application.app}` does not run on {accelerator.name}", hint)


def _count(accelerator: Accelerator, application: Application, at: Path) -> Iterator[Fault]:
    counts = accelerator.counts
    if application.accelerators not in counts:
        possible = f"1 to {counts[-1]}" if isinstance(counts, range) else ", ".join(map(str, counts))
        message = f"a replica cannot have {application.accelerators} of {accelerator.name}"
        yield Fault(_field(application, at, "accelerators"), message, f"it can have {possible}")


def _shapes(accelerator: Accelerator, application: Application, at: Path) -> Iterator[Fault]:
    if accelerator.compiled and application.context_length is None:
        message = "`contextLength` is not stated, and a compiled model has only the one that it was compiled with"
        hint = (
            "give the values of the compilation: `contextLength`, `concurrency` (its batch size) and `accelerators`"
            " (its tensor parallelism); they stand in neuron_config.json"
        )
        yield Fault(at, message, hint, Severity.WARNING)


def _variants(service: Service, i: int, models: Mapping[str, Model]) -> Iterator[Fault]:
    """Weights that the device cannot read."""
    for application, name, _, path in models_of(service, i):
        model, group = models.get(name), group_of(service, application)
        if model is None or group is None:
            continue
        accelerator = device(group)
        if (group.accelerator is not None and accelerator is None) or suits(accelerator, model.compiled_for):
            continue
        if accelerator is not None and accelerator.compiled:
            message = f"`{name}` has no variant compiled for {accelerator.name}"
            hint = (
                "name a repository with the compiled artefacts in a model of its own, and say"
                f" `compiledFor: [{accelerator.name}]` there"
            )
        else:
            where = f"on {accelerator.name}" if accelerator is not None else "on CPUs"
            message = f"`{name}` is compiled for {', '.join(model.compiled_for)} and does not run {where}"
            hint = f"set `accelerator: {model.compiled_for[0]}`, or serve the model that it was compiled from"
        yield Fault(path, message, hint)


def compilations(model: Model, i: int, entry: LockedModel | None) -> Iterator[Fault]:
    """Broken rules about `compiledFor` of the model at `models[i]`; `entry` is what the lock knows of it."""
    at: Path = ("models", i, "compiledFor")
    compiled = sorted(row.name for row in ACCELERATORS.values() if row.compiled)
    for k, name in enumerate(model.compiled_for):
        if name not in ACCELERATORS:
            yield Fault((*at, k), f"there is no accelerator `{name}`", suggest(name, compiled))
        elif name not in compiled:
            hint = f"leave it out; it is for {', '.join(compiled)}"
            yield Fault((*at, k), f"{name} takes weights as they are: nothing is compiled for it", hint)
    wanted = {suffix for name in model.compiled_for if name in compiled for suffix in ACCELERATORS[name].compiled}
    if wanted and entry is not None and entry.files is not None:
        yield from _artefacts(model, i, sorted(wanted), [file.path for file in entry.files])


def _artefacts(model: Model, i: int, suffixes: Sequence[str], files: Sequence[str]) -> Iterator[Fault]:
    if any(path.endswith(tuple(suffixes)) for path in files):
        return
    message = f"`{model.name}` is said to be compiled, and no file to stage is: none ends in {' or '.join(suffixes)}"
    hint = (
        "such files are programs, taken only when `allow` spells their suffix out, such as `allow: [model.pt]`; take"
        " them from publishers that you trust, and run `modelyard lock` again"
    )
    path: Path = ("models", i, "source")
    yield Fault((*path, "allow") if "allow" in model.source.model_fields_set else path, message, hint)


def nodes(service: Service, i: int, clusters: Sequence[Cluster], lock: Lock) -> Iterator[Fault]:
    """Whether the NodePools that we write for the service's clusters can have a node for its workers."""
    ours = sorted(c.name for c in clusters if c.node_pools is not None and c.name in service.clusters)
    with_pool = [group for group in groups_of(service) if device(group) is not None]
    if not ours or not with_pool:
        return
    yield from _unlabelled(service.node_selector, ("services", i), ours)
    for group in with_pool:
        at = place(service, i, group)
        yield from _unlabelled(group.node_selector, at, ours)
        if applications_on(service, group):
            yield from _too_large(pods.limits(service, group, lock), device(group), at)


def machines(service: Service, i: int, clusters: Sequence[Cluster], lock: Lock) -> Iterator[Fault]:
    """Whether the providers of the service's clusters have machines for its workers."""
    for provider in sorted({cluster.provider for cluster in clusters if cluster.name in service.clusters}):
        for group in groups_of(service):
            if applications_on(service, group) and (group.accelerator is None or device(group) is not None):
                limits = pods.limits(service, group, lock)
                message, hint = PROVIDERS[provider].unfit(limits, group.accelerator)
                if message:
                    path = place(service, i, group)
                    yield Fault((*path, "accelerator") if group.accelerator else path, message, hint)


def _unlabelled(selector: Mapping[str, str], at: Path, clusters: Sequence[str]) -> Iterator[Fault]:
    for key in selector:
        if key not in _KNOWN and not key.startswith(_KNOWN_PREFIXES):
            message = f"no node of the NodePools on {', '.join(clusters)} has the label `{key}`"
            hint = "leave it out: workers go to the pool of their accelerator by themselves"
            yield Fault((*at, "nodeSelector", key), message, hint)


def _too_large(limits: Mapping[str, str], accelerator: Accelerator | None, at: Path) -> Iterator[Fault]:
    if accelerator is None or smallest(accelerator, limits) is not None:
        return
    most = accelerator.nodes[-1]
    message = (
        f"no node with {accelerator.name} has room for a worker of {limits[accelerator.resource]} of them,"
        f" {limits['cpu']} CPUs and {limits['memory']}"
    )
    hint = f"the largest has {most.devices}, {most.cpus} CPUs and {most.memory} GiB, the system's share included"
    yield Fault(at, message, hint)


def smallest(accelerator: Accelerator, limits: Mapping[str, str]) -> Node | None:
    """The first kind of node that holds a pod with these limits; none where there is no such node."""
    devices, cpus = int(limits[accelerator.resource]), cores(limits["cpu"])
    memory = in_bytes(limits["memory"])
    return next((node for node in accelerator.nodes if _holds(node, devices, cpus, memory)), None)


def _holds(node: Node, devices: int, cpus: float, memory: int) -> bool:
    # A node keeps a part of one CPU for itself, and quantities of workers are whole.
    return node.devices >= devices and node.cpus > cpus and node.memory * GIB * USABLE_NODE_MEMORY >= memory


def _field(application: Application, at: Path, name: str) -> Path:
    """The field where models.yaml states it, else the application."""
    return (*at, name) if name in application.model_fields_set else at
