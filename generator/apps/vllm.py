"""`ray.serve.llm` (vLLM): no code of ours, OpenAI-compatible, for accelerators."""

from __future__ import annotations

from typing import Any

from generator.apps.base import App, Deployment, scaling


def serve(deployment: Deployment) -> dict[str, Any]:
    engine: dict[str, Any] = {
        "tensor_parallel_size": deployment.accelerators,
        "max_num_seqs": deployment.concurrency,
    }
    if deployment.context_length is not None:
        engine["max_model_len"] = deployment.context_length
    config = {
        "model_loading_config": {"model_id": deployment.model, "model_source": deployment.model_path},
        "engine_kwargs": engine,
        "deployment_config": {**scaling(deployment), "max_ongoing_requests": deployment.concurrency},
    }
    return {
        "name": deployment.name,
        "route_prefix": deployment.route,
        "import_path": "ray.serve.llm:build_openai_app",
        "runtime_env": {"env_vars": {"HF_HUB_OFFLINE": "1"}},
        "args": {"llm_configs": [config]},
    }


APP = App(
    name="vllm",
    packages=(),
    image=lambda accelerated: "vllm",
    needs_accelerator=True,
    max_accelerators=16,
    serve=serve,
)
