"""Text generation behind a prompt: one deployment writes the prompt around a text, another answers it."""

from __future__ import annotations

from typing import Any

from generator.apps.base import (
    App,
    Deployment,
    Helper,
    entry,
    environment,
    helper,
    model_environment,
    ray_image,
    replica,
)

PREPROCESSOR = Helper("Preprocessor", replicas=1, cpus=0.5, memory=512 * 2**20)


def serve(deployment: Deployment) -> dict[str, Any]:
    env = model_environment(deployment.model) | environment(deployment)
    front = helper(deployment, PREPROCESSOR, {"prompt": deployment.prompt})
    return entry(deployment, "composition", env, [front, replica(deployment, "TextGeneration")])


APP = App(
    name="composition",
    packages=("common", "composition", "text_generation"),
    image=ray_image,
    needs_accelerator=False,
    max_accelerators=1,
    serve=serve,
    needs=frozenset({"model", "prompt"}),
    takes=frozenset({"kv_cache_tokens"}),
    helpers=(PREPROCESSOR,),
    suits_all=False,
)
