"""`images/<service>/`: what builds the image of a service with its models inside.

The Dockerfile is a static file; what differs is data: `docker-bake.json` for `docker buildx bake`, a plan for each
model, and `references`, a line `<target> <image>` for each image, which a shell can read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from generator import baking
from generator.assets import Assets
from generator.plan import Image, Plan

SECRET = "id=hf-token,env=HF_TOKEN"  # noqa: S105  the name of one
ATTESTED = ("type=provenance,mode=max", "type=sbom")


def emit(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """A folder for each service that reads its models from its image."""
    for service, group in groupby(plan.baked, key=lambda image: image.service):
        images, folder = tuple(group), f"images/{service}"
        devices = sorted({image.packages for image in images if image.packages})
        yield f"{folder}/Dockerfile", assets.read(baking.DOCKERFILE)
        yield f"{folder}/.dockerignore", _lines("*", "!plans", *(f"!{_requirements(device)}" for device in devices))
        yield f"{folder}/docker-bake.json", _pretty(_bake(images))
        yield f"{folder}/references", _lines(*(f"{image.target} {image.reference}" for image in images))
        for device in devices:
            yield f"{folder}/{_requirements(device)}", assets.read(baking.REQUIREMENTS[device])
        for model, text in images[0].plans.items():
            yield f"{folder}/plans/{model}.json", text.encode()


def _requirements(device: str) -> str:
    return f"requirements.{device}.txt"


def _lines(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _pretty(data: object) -> bytes:
    return json.dumps(data, indent=2, sort_keys=True).encode() + b"\n"


def _bake(images: Sequence[Image]) -> dict[str, Any]:
    """A Bake file (docker/buildx, Bake file reference). No value holds `${`, which Bake would take for its own."""
    return {
        "group": {"default": {"targets": [image.target for image in images]}},
        "target": {image.target: _target(image) for image in images},
    }


def _target(image: Image) -> dict[str, Any]:
    tested = " ".join(model.name for model in image.models if model.load_test)
    args = {
        "BASE": image.base,
        "PRESTAGE": image.prestage,
        **({"DEVICE": image.packages} if image.packages else {}),
        **({"LOAD_TEST": tested} if tested else {}),
    }
    return {
        "context": ".",
        "dockerfile": "Dockerfile",
        "target": "with-packages" if image.packages else "models-only",
        "args": args,
        "tags": [image.reference],
        "labels": _labels(image),
        "platforms": [baking.PLATFORM],
        "attest": list(ATTESTED),
        **({"secret": [SECRET]} if any(model.token for model in image.models) else {}),
    }


def _labels(image: Image) -> dict[str, str]:
    """The keys of the OCI image specification (annotations.md, v1.1), and a model a label."""
    name, _, digest = image.base.partition("@")
    return {
        "org.opencontainers.image.title": image.service,
        "org.opencontainers.image.description": "Ray Serve, with the models that it serves",
        "org.opencontainers.image.base.name": name,
        **({"org.opencontainers.image.base.digest": digest} if digest else {}),
        **{f"dev.modelyard.model.{model.name}": f"{model.repo}@{model.commit}" for model in image.models},
    }
