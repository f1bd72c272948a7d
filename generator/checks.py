"""Cross-checks: what one field cannot know of another. Pure; each rule is a function in `RULES`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from generator import applications, baking, clusters, devices, inference, memory, naming, rayclusters, stated, storage
from generator.applications import models_of, name_of, repeats
from generator.catalog import ACCELERATORS, MINIMUM_RAY, RAY_IMAGE_ROLES
from generator.errors import Fault, Path, Severity
from generator.lock import Lock, LockedModel, ModelSource
from generator.spec import Model, Service, Spec
from generator.suggest import suggest

COMMIT_LENGTH = 40
SHORTEST_COMMIT = 7  # what Git shows of one
KINDS = ("clusters", "caches", "models", "services")


@dataclass(frozen=True, slots=True)
class Scene:
    """What the rules look at: `names` of what exists by kind, items that are faulty themselves included."""

    spec: Spec
    lock: Lock
    models: Mapping[str, Model]
    names: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, spec: Spec, lock: Lock, ghosts: frozenset[str] = frozenset()) -> Scene:
        """`ghosts` are the faulty items that had to be set aside, as `kind/name`."""
        names = {
            kind: frozenset(item.name for item in getattr(spec, kind))
            | {ghost.removeprefix(f"{kind}/") for ghost in ghosts if ghost.startswith(f"{kind}/")}
            for kind in KINDS
        }
        return cls(spec, lock, {model.name: model for model in spec.models}, names)


def check(spec: Spec, lock: Lock | None, ghosts: frozenset[str] = frozenset()) -> Iterator[Fault]:
    """Every broken rule of the catalogue; without a lock (it cannot be read) what depends on it is not looked at."""
    scene = Scene.of(spec, lock or Lock(), ghosts)
    for rule in RULES:
        if lock is not None or rule not in LOCKED:
            yield from (f for f in rule(scene) if lock is not None or f.severity is Severity.ERROR)


def is_commit(revision: str) -> bool:
    return len(revision) == COMMIT_LENGTH and all(c in "0123456789abcdef" for c in revision)


def asked(model: Model) -> ModelSource:
    """What models.yaml asks the Hub for, as the lock records it."""
    source = model.source
    return ModelSource(source.huggingface, source.revision, source.allow, source.ignore)


def locked(scene: Scene, model: Model) -> LockedModel | None:
    """The lock's entry of `model` when it answers to what models.yaml asks now."""
    entry = scene.lock.models.get(model.name)
    return entry if entry is not None and entry.source == asked(model) else None


def _names(scene: Scene) -> Iterator[Fault]:
    for kind in KINDS:
        yield from _repeated((kind,), [item.name for item in getattr(scene.spec, kind)], kind.removesuffix("s"))
    for i, service in enumerate(scene.spec.services):
        yield from applications.names(service, i)


def _repeated(path: Path, names: Sequence[str], what: str) -> Iterator[Fault]:
    for i in repeats(names):
        yield Fault((*path, i, "name"), f"{what} `{names[i]}` stands twice", f"give the second {what} another name")


def _limits(scene: Scene) -> Iterator[Fault]:
    limits = (("models", naming.MODEL_NAME), ("services", naming.SERVICE_NAME), ("clusters", naming.CLUSTER_NAME))
    for kind, limit in limits:
        for i, item in enumerate(getattr(scene.spec, kind)):
            over = limit.over(item.name)
            if over > 0:
                yield Fault((kind, i, "name"), limit.message(item.name), f"shorten it by {over}")


def _references(scene: Scene) -> Iterator[Fault]:
    for i, model in enumerate(scene.spec.models):
        yield from _refer(scene, "caches", model.cache, ("models", i, "cache"))
        for j, cluster in enumerate(model.clusters or ()):
            yield from _refer(scene, "clusters", cluster, ("models", i, "clusters", j))
    for i, service in enumerate(scene.spec.services):
        for j, cluster in enumerate(service.clusters):
            yield from _refer(scene, "clusters", cluster, ("services", i, "clusters", j))
        for _, name, _, path in models_of(service, i):
            yield from _refer(scene, "models", name, path)


def _refer(scene: Scene, kind: str, name: str, path: Path) -> Iterator[Fault]:
    if name not in scene.names[kind]:
        yield Fault(path, f"there is no {kind.removesuffix('s')} `{name}`", suggest(name, scene.names[kind]))


def _staged(scene: Scene) -> Iterator[Fault]:
    for i, service in enumerate(scene.spec.services):
        for _, name, _, path in models_of(service, i):
            model = scene.models.get(name)
            if model is None or model.clusters is None:
                continue
            missing = [c for c in service.clusters if c not in model.clusters and c in scene.names["clusters"]]
            if missing:
                message = (
                    f"model `{model.name}` is not staged on {', '.join(missing)}, where service `{service.name}` runs"
                )
                yield Fault(path, message, f"add {missing[0]} to the model's `clusters`")
        yield from _one_cache(scene, i, service)


def _one_cache(scene: Scene, i: int, service: Service) -> Iterator[Fault]:
    used = {scene.models[name].cache for _, name, _, _ in models_of(service, i) if name in scene.models}
    if len(used) > 1:
        message = f"service `{service.name}` reads models from several caches: {', '.join(sorted(used))}"
        yield Fault(
            ("services", i, "applications"), message, "serve them from two services, or stage them in one cache"
        )


def _routes(scene: Scene) -> Iterator[Fault]:
    for i, service in enumerate(scene.spec.services):
        routes = [application.route for application in service.applications]
        for j in repeats(routes):
            first = name_of(service, service.applications[routes.index(routes[j])])
            message = f"route `{routes[j]}` is taken by application `{first}` of this service"
            yield Fault(("services", i, "applications", j, "route"), message, "give each application its own `route`")
    yield from _hosts(scene)


def _hosts(scene: Scene) -> Iterator[Fault]:
    taken: dict[tuple[str, str], str] = {}
    for i, service in enumerate(scene.spec.services):
        host = service.ingress.host if service.ingress else None
        for cluster in service.clusters if host else ():
            other = taken.setdefault((cluster, str(host)), service.name)
            if other != service.name:
                message = f"host `{host}` on {cluster} is that of service `{other}`"
                yield Fault(("services", i, "ingress", "host"), message, "one host for one service")


def _pinned(scene: Scene) -> Iterator[Fault]:
    for i, model in enumerate(scene.spec.models):
        entry = scene.lock.models.get(model.name)
        path: Path = (
            ("models", i, "source", "revision")
            if "revision" in model.source.model_fields_set
            else ("models", i, "source")
        )
        fix = f"run `modelyard lock {model.name}` and commit models.lock.yaml"
        if entry is not None and entry.source != asked(model):
            yield Fault(path, f"models.lock.yaml answers another source of `{model.name}`", fix)
        elif entry is None and not is_commit(model.source.revision):
            revision = model.source.revision
            short = len(revision) >= SHORTEST_COMMIT and set(revision) <= set("0123456789abcdef")
            why = "a branch can move" if not short else f"the Hub knows commits by {COMMIT_LENGTH} digits"
            message = f"revision `{revision}` of `{model.name}` is not locked: {why}"
            yield Fault(path, message, fix + ", or write the 40-digit commit")


def _gated(scene: Scene) -> Iterator[Fault]:
    for i, model in enumerate(scene.spec.models):
        entry = locked(scene, model)
        if entry is not None and entry.gated and model.source.token_secret is None:
            message = f"{model.source.huggingface} is gated and `{model.name}` names no token"
            hint = f"accept the licence at https://huggingface.co/{model.source.huggingface} and add `tokenSecret:`"
            yield Fault(("models", i, "source"), message, hint)


def _applications(scene: Scene) -> Iterator[Fault]:
    for i, service in enumerate(scene.spec.services):
        yield from applications.rules(service, i)
        for application, name, at, path in models_of(service, i):
            model = scene.models.get(name)
            if model is not None:
                yield from memory.faults(service, application, name, at, path, locked(scene, model))


def _accelerator(scene: Scene) -> Iterator[Fault]:
    for i, service in enumerate(scene.spec.services):
        if service.accelerator is not None and service.accelerator not in ACCELERATORS:
            message = f"there is no accelerator `{service.accelerator}`"
            yield Fault(("services", i, "accelerator"), message, suggest(service.accelerator, sorted(ACCELERATORS)))


def _devices(scene: Scene) -> Iterator[Fault]:
    for i, service in enumerate(scene.spec.services):
        yield from devices.rules(service, i, scene.models, scene.spec.platform)
        yield from devices.nodes(service, i, scene.spec.clusters, scene.lock)
        yield from devices.machines(service, i, scene.spec.clusters, scene.lock)
    for i, model in enumerate(scene.spec.models):
        yield from devices.compilations(model, i, locked(scene, model))


def _rayclusters(scene: Scene) -> Iterator[Fault]:
    for i, service in enumerate(scene.spec.services):
        yield from rayclusters.rules(service, i, scene.spec)
        yield from rayclusters.crowded(service, i, scene.spec.clusters, scene.lock)


def _inference(scene: Scene) -> Iterator[Fault]:
    yield from inference.rules(scene.spec)


def _platform(scene: Scene) -> Iterator[Fault]:
    code, repository = scene.spec.platform.code, scene.spec.platform.repository
    if scene.spec.platform.backstage is not None and "/" not in naming.host_and_path(repository.url)[1]:
        message = f"Backstage opens pull requests by owner and repository, and `{repository.url}` names one part only"
        yield Fault(
            ("platform", "repository", "url"), message, "write host/owner/repository, or leave `backstage:` out"
        )
    if code.delivery == "url" and code.base_url is None:
        yield Fault(
            ("platform", "code"), "`delivery: url` needs `baseUrl`", "the address where rendered/serve/ is published"
        )
    for role in RAY_IMAGE_ROLES:
        image = getattr(scene.spec.platform.images, role)
        if image is not None and tuple(map(int, image.ray_version.split(".")[:2])) < MINIMUM_RAY:
            wanted = ".".join(map(str, MINIMUM_RAY))
            message = f"Ray {image.ray_version} is older than {wanted}: its dashboard deletes jobs unauthenticated"
            yield Fault(
                ("platform", "images", role, "rayVersion"), message, f"use an image with Ray {wanted}.0 or newer"
            )


def _clusters(scene: Scene) -> Iterator[Fault]:
    yield from clusters.rules(scene.spec)
    yield from stated.faults(scene.spec)


def _storage(scene: Scene) -> Iterator[Fault]:
    yield from storage.rules(scene.spec)


def _sizes(scene: Scene) -> Iterator[Fault]:
    entries = {model.name: locked(scene, model) for model in scene.spec.models}
    yield from storage.sizes(scene.spec, {name: entry.size if entry else None for name, entry in entries.items()})


def _baked(scene: Scene) -> Iterator[Fault]:
    yield from baking.faults(scene.spec)


def _refresh(scene: Scene) -> Iterator[Fault]:
    for i, model in enumerate(scene.spec.models):
        if model.refresh is None:
            continue
        branch = model.refresh.revision or model.source.revision
        if is_commit(branch):
            message = f"`{model.name}` stands at a commit, which never moves: there is nothing to look for"
            hint = "name the branch to follow: `refresh: {schedule: ..., revision: main}`, or leave `refresh` out"
            yield Fault(("models", i, "refresh"), message, hint)


Rule = Callable[[Scene], Iterable[Fault]]
RULES: tuple[Rule, ...] = (
    _names,
    _limits,
    _references,
    _staged,
    _routes,
    _pinned,
    _gated,
    _accelerator,
    _devices,
    _applications,
    _rayclusters,
    _inference,
    _platform,
    _refresh,
    _clusters,
    _storage,
    _sizes,
    _baked,
)
LOCKED: tuple[Rule, ...] = (_pinned, _sizes)
"""Rules that say nothing of a lock that cannot be read."""
