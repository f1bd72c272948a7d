"""Images with models inside: what goes into each, the tag that says so, and the rules for it.

A base is Ray's own image, which gets the packages of the applications, or one that holds them. The models lie where
every other cache puts them, so nothing that a service is told of its models differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from generator import naming, plan
from generator.assets import Assets
from generator.catalog import RAY_IMAGE_ROLES
from generator.errors import Fault
from generator.spec import ImageCache, Service, Spec
from generator.yamlio import canonical_json

DOCKERFILE = "chart-templates/image/Dockerfile"
REQUIREMENTS: Mapping[str, str] = {
    "cpu": "serving/requirements.cpu.txt",
    "gpu": "serving/requirements.gpu.txt",
}
"""Assets with every package of our applications, by device."""
# What they hold and are for; a test compares it with them.
RAY_VERSION, PYTHON_TAG = "2.60.0", "py311"
PLATFORM = "linux/amd64"

_BARE = re.compile(r"(.+/)?rayproject/ray(:(?P<tag>[^@]+))?(@.+)?")
_HEAD = "_head"  # no worker group is named so


@dataclass(frozen=True, slots=True)
class Recipe:
    """The files that builds take: the Dockerfile, and requirements by device."""

    dockerfile: bytes
    requirements: Mapping[str, bytes]


def read(assets: Assets) -> Recipe:
    """The recipe of this installation."""
    return Recipe(assets.read(DOCKERFILE), {device: assets.read(path) for device, path in REQUIREMENTS.items()})


def bake(
    services: Iterable[plan.Service], prestages: Mapping[str, plan.Prestage], recipe: Recipe
) -> tuple[tuple[plan.Service, ...], tuple[plan.Image, ...]]:
    """The services with the images that they get, and these images. `prestages` by model."""
    made: dict[str, plan.Image] = {}
    served = []
    for service in services:
        images = _images(service, prestages, recipe)
        served.append(_with(service, {base: image.reference for base, image in images.items()}))
        made |= {image.reference: made.get(image.reference, image) for image in images.values()}
    return tuple(served), tuple(sorted(made.values(), key=lambda image: (image.service, image.target)))


Base = tuple[str, str | None]
"""An image, and the device whose packages it gets; None for one that has them."""


def _base(image: str, accelerator: str | None) -> Base:
    bare = _BARE.fullmatch(image) is not None
    return image, ("gpu" if accelerator else "cpu") if bare else None


def _bases(service: plan.Service) -> Mapping[Base, str]:
    """What the pods of the service run, by the first worker group that does."""
    found: dict[Base, str] = {}
    for group in service.groups:
        found.setdefault(_base(group.image, group.accelerator), group.name)
    found.setdefault(_base_of_head(service), _HEAD)
    return found


def _base_of_head(service: plan.Service) -> Base:
    """That of workers, where there is one: packages for devices do no harm where there is none."""
    own = _base(service.image, None)
    bases = [_base(group.image, group.accelerator) for group in service.groups]
    return own if own in bases else next((base for base in bases if base[0] == service.image), own)


def _with(service: plan.Service, references: Mapping[Base, str]) -> plan.Service:
    if not references:
        return service
    groups = tuple(replace(group, image=references[_base(group.image, group.accelerator)]) for group in service.groups)
    return replace(service, image=references[_base_of_head(service)], groups=groups)


def _images(service: plan.Service, prestages: Mapping[str, plan.Prestage], recipe: Recipe) -> Mapping[Base, plan.Image]:
    """One for each base; all hold all models, as Ray places replicas where there is room."""
    cache = service.cache
    if not isinstance(cache, plan.Baked):
        return {}
    models = {model.name: model for application in service.applications for model in application.models}
    known = plan.Image(
        service=service.name,
        target="",
        reference="",
        base="",
        prestage=next(prestages[name].image for name in models),
        packages=None,
        models=tuple(models[name] for name in sorted(models)),
        plans={name: prestages[name].plan for name in sorted(models)},
    )
    found = {}
    for (image, packages), target in _bases(service).items():
        made = replace(known, target=target, base=image, packages=packages)
        reference = naming.baked_image(cache.repository, service.name, _inputs(made, recipe))
        found[image, packages] = replace(made, reference=reference)
    return found


def _inputs(image: plan.Image, recipe: Recipe) -> bytes:
    """All that decides what is in the image, as canonical JSON."""
    requirements = sha256(recipe.requirements[image.packages]).hexdigest() if image.packages else None
    return canonical_json(
        {
            "dockerfile": sha256(recipe.dockerfile).hexdigest(),
            "base": image.base,
            "prestage": image.prestage,
            "requirements": requirements,
            "platform": PLATFORM,
            "plans": dict(image.plans),
            "paths": {model.name: model.path for model in image.models},
            "tested": [model.name for model in image.models if model.load_test],
        }
    ).encode()


def faults(spec: Spec) -> Iterator[Fault]:
    """Broken rules of what is baked."""
    caches = {cache.name: cache for cache in spec.caches if isinstance(cache, ImageCache)}
    if not caches:
        return
    baked = {model.name: caches[model.cache] for model in spec.models if model.cache in caches}
    for i, service in enumerate(spec.services):
        yield from _names(service, i, [baked[n] for a in service.applications for n in a.models if n in baked][:1])
    for i, model in enumerate(spec.models):
        if model.name in baked and model.refresh is not None:
            message = f"`{model.name}` lies in images, where no schedule of a cluster stages a new commit"
            hint = "leave `refresh` out: the job that proposes newer revisions (docs/ci.md) has the image built"
            yield Fault(("models", i, "refresh"), message, hint)
    yield from _bare(spec)


def _names(service: Service, i: int, caches: Iterable[ImageCache]) -> Iterator[Fault]:
    limit = naming.IMAGE_REPOSITORY
    for cache in caches:
        over = limit.over(naming.image_repository(cache.repository, service.name))
        if over > 0:
            message = (
                f"its image would be named `<repository of {cache.name}>/{service.name}`, {over} characters over: "
            )
            yield Fault(("services", i, "name"), message + limit.because, "shorten it, or the cache's `repository`")


def _bare(spec: Spec) -> Iterator[Fault]:
    """Ray's own image gets our packages, which want a Python and replace its Ray; they hold no vLLM."""
    for role in RAY_IMAGE_ROLES:
        named = getattr(spec.platform.images, role)
        found = _BARE.fullmatch(named.image) if named else None
        if named is None or found is None:
            continue
        path = ("platform", "images", role)
        if role not in REQUIREMENTS:
            message = f"{named.image} holds no vLLM, and none is added to it"
            yield Fault((*path, "image"), message, "name an image that holds it, such as rayproject/ray-llm")
            continue
        if found["tag"] and PYTHON_TAG not in found["tag"]:
            message = f"the packages that are added to {named.image} are for Python {PYTHON_TAG[2]}.{PYTHON_TAG[3:]}"
            hint = f"name the one with `-{PYTHON_TAG}`: rayproject/ray:{RAY_VERSION}-{PYTHON_TAG}-cpu"
            yield Fault((*path, "image"), message, hint)
        if named.ray_version != RAY_VERSION:
            message = f"the packages that are added to {named.image} hold Ray {RAY_VERSION}, which runs then"
            yield Fault((*path, "rayVersion"), message, f"write {RAY_VERSION}, or name an image with all packages")
