"""Our transformers application, for CPUs, small models and whatever vLLM does not serve."""

from __future__ import annotations

from typing import Any

from generator.apps.base import App, Deployment, number, scaling

# Answers queue behind the ones in work; beyond this many the replica says 503 instead of growing a backlog.
QUEUE_PER_SLOT = 4


def serve(deployment: Deployment) -> dict[str, Any]:
    actor: dict[str, Any] = {"num_cpus": number(deployment.cpus)}
    if deployment.accelerators:
        actor["num_gpus"] = deployment.accelerators
    return {
        "name": deployment.name,
        "route_prefix": deployment.route,
        "import_path": "text_generation.app:build",
        "runtime_env": {"working_dir": deployment.working_dir, "env_vars": _environment(deployment)},
        "deployments": [
            {
                "name": "TextGeneration",
                **scaling(deployment),
                "max_ongoing_requests": deployment.concurrency,
                "max_queued_requests": deployment.concurrency * QUEUE_PER_SLOT,
                "ray_actor_options": actor,
            }
        ],
    }


def _environment(deployment: Deployment) -> dict[str, str]:
    values = {"MODEL_ID": deployment.model_path, "MAX_TOKENS": str(deployment.max_tokens), "HF_HUB_OFFLINE": "1"}
    if deployment.context_length is not None:
        values["CONTEXT_LENGTH"] = str(deployment.context_length)
    return values


APP = App(
    name="text-generation",
    packages=("common", "text_generation"),
    image=lambda accelerated: "gpu" if accelerated else "cpu",
    needs_accelerator=False,
    max_accelerators=1,
    serve=serve,
)
