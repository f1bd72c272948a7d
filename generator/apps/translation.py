"""Translation and other text-to-text work with an encoder-decoder model of transformers."""

from __future__ import annotations

from typing import Any

from generator.apps.base import App, Deployment, entry, environment, model_environment, ray_image, replica


def serve(deployment: Deployment) -> dict[str, Any]:
    env = model_environment(deployment.model) | environment(deployment)
    return entry(deployment, "translation", env, [replica(deployment, "Translation")])


APP = App(
    name="translation",
    packages=("common", "text_generation", "translation"),
    image=ray_image,
    needs_accelerator=False,
    max_accelerators=1,
    serve=serve,
    one_window=False,
    suits_all=False,
)
