"""`ray.serve.llm` (vLLM): no code of ours, OpenAI-compatible, for accelerators.

vLLM sizes its KV cache from the accelerator's memory, so there is no `kvCacheTokens` here.

Of devices, ray.serve.llm knows GPUs and TPUs (Ray 2.60 llm/_internal/serve/core/configs/accelerators.py): it gives
each rank a bundle, and reads the engine's configuration in a task that asks for a part of a GPU. Any other device is
asked for by the replica's own actor, in one bundle with neither: Ray takes that for CPUs, starts no such task, and
leaves the executor to vLLM's platform, which runs all cores in one process (vllm-neuron, optimum-neuron). Ray tells
the actor which cores are its own (NEURON_RT_VISIBLE_CORES), and the engine's process inherits it.

A replica goes where its bundles go, so these name the worker group; the ingress in front of it is an actor without.
"""

from __future__ import annotations

import json
from typing import Any

from generator import naming
from generator.apps.base import App, Deployment, devices, drain, placed, scaling, selector
from generator.catalog import RAY_GPU
from generator.plan import Process


def serve(deployment: Deployment) -> dict[str, Any]:
    config = {
        "model_loading_config": {"model_id": deployment.model.name, "model_source": deployment.model.path},
        "engine_kwargs": _engine(deployment),
        **_placement(deployment),
        "deployment_config": _deployment(deployment),
    }
    return {
        "name": deployment.name,
        "route_prefix": deployment.route,
        "import_path": "ray.serve.llm:build_openai_app",
        "runtime_env": {"env_vars": {**_compiled(deployment), "HF_HUB_OFFLINE": "1"}},
        "args": {"llm_configs": [config], **_ingress(deployment)},
    }


def alone(deployment: Deployment) -> Process:
    """vLLM's own server (vllm/entrypoints/openai/api_server.py), with the options that Ray would give its engine.

    `--root-path` is FastAPI's: routes answer below it, and at the root as well.
    """
    options = {"model": deployment.model.path, "served-model-name": deployment.model.name}
    options |= {"port": str(naming.KSERVE_PORT)} | ({"root-path": deployment.route} if deployment.route != "/" else {})
    for name, value in _engine(deployment).items():
        options[name.replace("_", "-")] = json.dumps(value) if isinstance(value, dict) else str(value)
    parallel = deployment.accelerators > 1
    if parallel:
        options["distributed-executor-backend"] = "mp"  # Ray is in the image, and no Ray cluster here
    words = (word for name, value in options.items() for word in (f"--{name}", value))
    return Process(
        command=("python", "-m", "vllm.entrypoints.openai.api_server", *words),
        env={
            "HF_HUB_OFFLINE": "1",
            "VLLM_CACHE_ROOT": "/tmp/vllm/cache",  # noqa: S108  an emptyDir of the pod's own
            "VLLM_CONFIG_ROOT": "/tmp/vllm/config",  # noqa: S108
            "VLLM_NO_USAGE_STATS": "1",
        },
        health="/health",
        drain=drain(deployment.max_tokens),
        shares=parallel,
    )


def _engine(deployment: Deployment) -> dict[str, Any]:
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
    return engine


def _deployment(deployment: Deployment) -> dict[str, Any]:
    config = {
        **scaling(deployment),
        "max_ongoing_requests": deployment.concurrency,
        "graceful_shutdown_timeout_s": drain(deployment.max_tokens),
    }
    if deployment.group:
        config["placement_group_bundle_label_selector"] = [selector(deployment)]
    return config if _plans_itself(deployment) else config | {"ray_actor_options": devices(deployment)}


def _ingress(deployment: Deployment) -> dict[str, Any]:
    return {"ingress_deployment_config": {"ray_actor_options": placed(deployment)}} if deployment.group else {}


def _placement(deployment: Deployment) -> dict[str, Any]:
    """One bundle: Ray adds what the actor asks for, and would add a bundle for each rank without it."""
    if _plans_itself(deployment):
        return {}
    return {"placement_group_config": {"bundles": [{"CPU": 0}], "strategy": "STRICT_PACK"}}


def _plans_itself(deployment: Deployment) -> bool:
    """Whether ray.serve.llm asks for the devices."""
    return deployment.accelerator is None or deployment.accelerator.ray == RAY_GPU


def _compiled(deployment: Deployment) -> dict[str, str]:
    """Where the compiled model is. Without it vllm-neuron compiles, beside the weights, where nobody can write."""
    variable = deployment.accelerator.artefacts if deployment.accelerator is not None else None
    return {variable: deployment.model.path} if variable is not None else {}


APP = App(
    name="vllm",
    packages=(),
    image=lambda accelerated: "vllm",
    needs_accelerator=True,
    max_accelerators=64,
    serve=serve,
    alone=alone,
)
