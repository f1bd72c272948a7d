"""What `images/<service>/` holds: data for `docker buildx bake`, and nothing that is not copied or data."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from generator import assets, naming
from generator.emit import images
from generator.plan import Image
from tests.unit import plans
from tests.unit.test_baking import BARE, FULL, baked_models

ASSETS = assets.find()
MODELS = baked_models()
IMAGE = Image(
    service="chat",
    target="workers",
    reference="registry.example.com/models/chat:0123456789ab",
    base=BARE,
    prestage="registry.example.com/prestage:1@sha256:" + "d" * 64,
    packages="cpu",
    models=MODELS,
    plans={"mistral-7b": '{"model":"mistral-7b"}', "tinyllama": '{"model":"tinyllama"}'},
)


def emitted(*made: Image) -> dict[str, bytes]:
    return dict(images.emit(plans.example_plan(baked=made), ASSETS))


def target(image: Image = IMAGE) -> dict[str, Any]:
    bake = json.loads(emitted(image)["images/chat/docker-bake.json"])
    assert bake["group"] == {"default": {"targets": [image.target]}}
    (found,) = bake["target"].values()
    return dict(found)


def test_nothing_where_nothing_is_baked() -> None:
    assert emitted() == {}


def test_files_of_a_service() -> None:
    files = {path.removeprefix("images/chat/"): content for path, content in emitted(IMAGE).items()}
    assert set(files) == {
        ".dockerignore",
        "Dockerfile",
        "docker-bake.json",
        "plans/mistral-7b.json",
        "plans/tinyllama.json",
        "references",
        "requirements.cpu.txt",
    }
    assert files["Dockerfile"] == ASSETS.read("chart-templates/image/Dockerfile")
    assert files["requirements.cpu.txt"] == ASSETS.read("serving/requirements.cpu.txt")
    assert json.loads(files["plans/tinyllama.json"]) == {"model": "tinyllama"}
    assert files["references"] == b"workers registry.example.com/models/chat:0123456789ab\n"
    assert files[".dockerignore"] == b"*\n!plans\n!requirements.cpu.txt\n"


def test_a_target_says_all_that_its_tag_is_a_digest_of() -> None:
    found = target()
    assert found["args"] == {"BASE": BARE, "PRESTAGE": IMAGE.prestage, "DEVICE": "cpu"}
    assert found["tags"] == [IMAGE.reference] and found["platforms"] == ["linux/amd64"]
    assert found["target"] == "with-packages" and found["dockerfile"] == "Dockerfile" and found["context"] == "."
    assert found["attest"] == ["type=provenance,mode=max", "type=sbom"]


def test_labels_name_base_and_models() -> None:
    name, _, digest = BARE.partition("@")
    tiny, mistral = MODELS
    assert target()["labels"] == {
        "org.opencontainers.image.title": "chat",
        "org.opencontainers.image.description": "Ray Serve, with the models that it serves",
        "org.opencontainers.image.base.name": name,
        "org.opencontainers.image.base.digest": digest,
        "dev.modelyard.model.tinyllama": f"{tiny.repo}@{tiny.commit}",
        "dev.modelyard.model.mistral-7b": f"{mistral.repo}@{mistral.commit}",
    }


def test_a_base_with_packages_gets_none() -> None:
    complete = replace(IMAGE, base=FULL, packages=None)
    assert target(complete)["target"] == "models-only" and "DEVICE" not in target(complete)["args"]
    assert not [path for path in emitted(complete) if "requirements" in path]


@pytest.mark.parametrize(("model", "secret"), [(MODELS[0], None), (MODELS[1], ["id=hf-token,env=HF_TOKEN"])])
def test_only_a_model_with_a_token_has_a_secret(model: Any, secret: list[str] | None) -> None:
    assert target(replace(IMAGE, models=(model,))).get("secret") == secret


def test_load_tests_are_named() -> None:
    tested = tuple(replace(model, load_test=True) for model in MODELS)
    assert target(replace(IMAGE, models=tested))["args"]["LOAD_TEST"] == "tinyllama mistral-7b"


def test_two_bases_are_two_targets_of_one_folder() -> None:
    other = replace(IMAGE, target="gpu", packages="gpu", reference="registry.example.com/models/chat:ba9876543210")
    files = emitted(other, IMAGE)
    bake = json.loads(files["images/chat/docker-bake.json"])
    assert bake["group"]["default"]["targets"] == ["gpu", "workers"] == sorted(bake["target"])
    assert files["images/chat/references"].decode().split() == ["gpu", other.reference, "workers", IMAGE.reference]
    assert {"images/chat/requirements.cpu.txt", "images/chat/requirements.gpu.txt"} <= set(files)


def test_models_lie_where_every_pod_looks() -> None:
    """The Dockerfile is static: the place in it is that of the naming."""
    dockerfile = ASSETS.read("chart-templates/image/Dockerfile").decode()
    assert f" /tmp/models {naming.MODELS_MOUNT}\n" in dockerfile
    assert naming.model_path("tiny", "a" * 40) == f"{naming.MODELS_MOUNT}/tiny/{'a' * 12}"
