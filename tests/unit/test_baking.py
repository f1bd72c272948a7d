"""Images with models inside: which there are, and what their tags depend on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from generator import assets, baking
from generator.baking import Recipe, bake
from generator.plan import Baked, Image, Model, Prestage, Service
from tests.unit import plans

ROOT = Path(__file__).parents[2]
CACHE = Baked("baked", "image", "registry.example.com/models")
RECIPE = Recipe(b"FROM scratch\n", {"cpu": b"ray==1\n", "gpu": b"ray==1 # gpu\n"})
BARE = f"docker.io/rayproject/ray:2.60.0-py311-cpu@sha256:{'b' * 64}"
FULL = plans.CPU_IMAGE


def baked_models(**changes: Any) -> tuple[Model, ...]:
    """Two models that images hold; `changes` are those of the first."""
    return replace(plans.TINYLLAMA, cache=CACHE, **changes), replace(plans.MISTRAL, cache=CACHE)


def served(models: tuple[Model, ...], image: str = BARE, **changes: Any) -> Service:
    applications = tuple(plans.application(model, "text-generation", f"/{index}") for index, model in enumerate(models))
    known = replace(plans.CHAT, applications=applications, cache=models[0].cache, image=image)
    groups = tuple(replace(group, image=image) for group in known.groups)
    return replace(known, **{"groups": groups, **changes})


def staged(models: tuple[Model, ...], image: str = "prestage@sha256:1") -> dict[str, Prestage]:
    return {m.name: replace(plans.staged(m), image=image, plan=f'{{"commit": "{m.commit}"}}') for m in models}


def images(service: Service, recipe: Recipe = RECIPE, **changes: str) -> tuple[Image, ...]:
    models = {m.name: m for application in service.applications for m in application.models}
    return bake([service], staged(tuple(models.values()), **changes), recipe)[1]


def test_pods_run_the_image_that_is_made() -> None:
    models = baked_models()
    (service,), (image,) = bake([served(models)], staged(models), RECIPE)
    assert {service.image, *(group.image for group in service.groups)} == {image.reference}
    assert re.fullmatch(r"registry\.example\.com/models/chat:[0-9a-f]{12}", image.reference)
    assert (image.base, image.prestage, image.packages) == (BARE, "prestage@sha256:1", "cpu")
    assert [model.name for model in image.models] == list(image.plans) == ["mistral-7b", "tinyllama"]


def test_services_of_other_caches_stay_as_they_are() -> None:
    assert bake([plans.CHAT], staged((plans.TINYLLAMA,)), RECIPE) == ((plans.CHAT,), ())


@pytest.mark.parametrize(
    ("base", "packages"),
    [
        (BARE, "cpu"),
        ("rayproject/ray:2.60.0-py311", "cpu"),
        ("mirror.example.com/hub/rayproject/ray:2.60.0-py311-cpu", "cpu"),
        (FULL, None),
        ("docker.io/rayproject/ray-llm:2.60.0-py311-cu128", None),
        ("registry.example.com/notrayproject/ray:1", None),
    ],
)
def test_only_a_base_without_packages_gets_them(base: str, packages: str | None) -> None:
    (image,) = images(served(baked_models(), base))
    assert image.packages == packages


def test_one_image_for_each_base() -> None:
    known = plans.CHAT.groups[0]
    groups = (
        replace(known, name="cpu", image=FULL),
        replace(known, name="gpu", image=BARE, accelerator="nvidia-t4"),
        replace(known, name="more", image=FULL),
    )
    models = baked_models()
    (service,), made = bake([served(models, FULL, groups=groups)], staged(models), RECIPE)
    assert [(image.target, image.base, image.packages) for image in made] == [("cpu", FULL, None), ("gpu", BARE, "gpu")]
    assert [group.image for group in service.groups] == [made[index].reference for index in (0, 1, 0)]
    assert service.image == made[0].reference != made[1].reference


def test_pods_with_and_without_devices_on_the_same_base() -> None:
    """Ray's own image gets other packages for GPUs; the head is among those that have none."""
    known = served(baked_models()).groups[0]
    groups = (replace(known, name="gpu", accelerator="nvidia-t4"), replace(known, name="cpu"))
    models = baked_models()
    (service,), made = bake([served(models, groups=groups)], staged(models), RECIPE)
    assert [(image.target, image.packages) for image in made] == [("cpu", "cpu"), ("gpu", "gpu")]
    assert [group.image for group in service.groups] == [made[1].reference, made[0].reference]
    assert service.image == made[0].reference


def test_the_head_runs_what_workers_run() -> None:
    groups = (replace(served(baked_models()).groups[0], accelerator="nvidia-t4"),)
    (image,) = images(served(baked_models(), groups=groups))
    assert (image.target, image.packages) == ("workers", "gpu")


def test_a_head_of_another_base_has_an_image_of_its_own() -> None:
    service = served(baked_models(), groups=(replace(plans.CHAT.groups[0], image=FULL),))
    assert [image.target for image in images(service)] == ["_head", "workers"]


def test_sizes_of_one_service_share_an_image() -> None:
    models = baked_models()
    small, large = served(models), served(models, head={"cpu": "2", "memory": "8Gi"}, clusters=("production",))
    services, made = bake([small, large], staged(models), RECIPE)
    assert len(made) == 1 and {service.image for service in services} == {made[0].reference}


CHANGES: Mapping[str, tuple[Image, ...]] = {
    "base": images(served(baked_models(), BARE.replace("b" * 64, "c" * 64))),
    "prestage image": images(served(baked_models()), image="prestage@sha256:2"),
    "Dockerfile": images(served(baked_models()), replace(RECIPE, dockerfile=b"FROM other\n")),
    "requirements": images(served(baked_models()), replace(RECIPE, requirements={"cpu": b"ray==2\n"})),
    "commit": images(served(baked_models(commit="f" * 40))),
    "path": images(served(baked_models(path="/elsewhere"))),
    "load test": images(served(baked_models(load_test=True))),
    "models": images(served(baked_models()[:1])),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_tag_changes_with_what_is_in_the_image(what: str) -> None:
    (known,), (changed,) = images(served(baked_models())), CHANGES[what]
    assert known.reference.partition(":")[0] == changed.reference.partition(":")[0]
    assert known.reference != changed.reference


@pytest.mark.parametrize(
    "changed",
    [
        images(served(baked_models(), title="Chat")),
        images(served(baked_models(title="Tiny", license="mit", labels={"team": "a"}))),
        images(served(baked_models()), replace(RECIPE, requirements={**RECIPE.requirements, "gpu": b"other"})),
        images(served(tuple(reversed(baked_models())))),
    ],
    ids=["title of the service", "facts of a model", "packages of another device", "order of applications"],
)
def test_the_tag_stays_where_nothing_in_the_image_changes(changed: tuple[Image, ...]) -> None:
    (known,), (other,) = images(served(baked_models())), changed
    assert known.reference == other.reference


def test_what_the_rules_say_of_the_requirements() -> None:
    """The Ray inside of them, and the Python that they are for."""
    for path in baking.REQUIREMENTS.values():
        text = assets.find().read(path).decode()
        assert re.search(r"(?m)^ray==(\S+)", text)[1] == baking.RAY_VERSION  # type: ignore[index]
        python = re.search(r"--python-version (\d)\.(\d+)", text)
        assert python is not None and f"py{python[1]}{python[2]}" == baking.PYTHON_TAG


def test_the_recipe_is_that_of_the_installation() -> None:
    recipe = baking.read(assets.find())
    assert recipe.dockerfile == (ROOT / baking.DOCKERFILE).read_bytes()
    assert set(recipe.requirements) == {"cpu", "gpu"}
