"""Our transformers application, for CPUs, small models and whatever vLLM does not serve."""

from __future__ import annotations

from typing import Any

from generator import naming
from generator.apps.base import App, Deployment, drain, entry, environment, model_environment, ray_image, replica
from generator.plan import Process


def serve(deployment: Deployment) -> dict[str, Any]:
    env = model_environment(deployment.model) | environment(deployment)
    return entry(deployment, "text_generation", env, [replica(deployment, "TextGeneration")])


def alone(deployment: Deployment) -> Process:
    """serving/text_generation/server.py, straight out of the zip: Python imports from zips, and no data lies beside."""
    ends = drain(deployment.max_tokens)
    options = {"port": str(naming.KSERVE_PORT), "route": deployment.route, "drain": str(ends)}
    archive = deployment.working_dir.removeprefix("file://")
    return Process(
        command=("python", "-m", "text_generation.server", *(w for k, v in options.items() for w in (f"--{k}", v))),
        env={
            **model_environment(deployment.model),
            **environment(deployment),
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": f"{archive}:{naming.IMAGE_PACKAGES}",
        },
        health="/healthz",
        drain=ends,
        shares=False,
    )


APP = App(
    name="text-generation",
    packages=("common", "text_generation"),
    image=ray_image,
    needs_accelerator=False,
    max_accelerators=1,
    serve=serve,
    alone=alone,
    takes=frozenset({"kv_cache_tokens"}),
)
