"""Our transformers application, for CPUs, small models and whatever vLLM does not serve."""

from __future__ import annotations

from typing import Any

from generator.apps.base import App, Deployment, entry, environment, model_environment, ray_image, replica


def serve(deployment: Deployment) -> dict[str, Any]:
    env = model_environment(deployment.model) | environment(deployment)
    return entry(deployment, "text_generation", env, [replica(deployment, "TextGeneration")])


APP = App(
    name="text-generation",
    packages=("common", "text_generation"),
    image=ray_image,
    needs_accelerator=False,
    max_accelerators=1,
    serve=serve,
    takes=frozenset({"kv_cache_tokens"}),
)
