"""`ray.serve.llm` (vLLM): no code of ours, OpenAI-compatible, for accelerators.

vLLM sizes its KV cache from the accelerator's memory, so there is no `kvCacheTokens` here.
"""

from __future__ import annotations

from typing import Any

from generator.apps.base import App, Deployment, drain, scaling


def serve(deployment: Deployment) -> dict[str, Any]:
    engine: dict[str, Any] = {
        "tensor_parallel_size": deployment.accelerators,
        "max_num_seqs": deployment.concurrency,
        # The server-wide limit of an answer's length (vLLM docs, EngineArgs generation_config).
        "override_generation_config": {"max_new_tokens": deployment.max_tokens},
    }
    if deployment.model.context_length is not None:
        engine["max_model_len"] = deployment.model.context_length
    if deployment.dtype != "auto":
        engine["dtype"] = deployment.dtype
    lifetime = {"graceful_shutdown_timeout_s": drain(deployment.max_tokens)}
    config = {
        "model_loading_config": {"model_id": deployment.model.name, "model_source": deployment.model.path},
        "engine_kwargs": engine,
        "deployment_config": {**scaling(deployment), "max_ongoing_requests": deployment.concurrency, **lifetime},
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
