"""Text generation with several models, which share the requests by weight.

Each model is a deployment with an environment of its own: a model that changes restarts alone. The weights stand in
`user_config`, which Serve hands to the running replicas of the router (Ray 2.60 serve/_private/config.py:
`user_config` is reconfigured, `args` and `runtime_env` restart).
"""

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

ROUTER = Helper("Router", replicas=2, cpus=0.5, memory=512 * 2**20)


def serve(deployment: Deployment) -> dict[str, Any]:
    weights = {model.name: model.weight for model in deployment.models}
    sticky = {"sticky": deployment.sticky} if deployment.sticky is not None else {}
    env = {"ROUTER_NAME": deployment.name, **environment(deployment)}
    backends = [
        replica(deployment, f"TextGeneration-{model.name}", model_environment(model)) for model in deployment.models
    ]
    front = helper(deployment, ROUTER, {"weights": weights, **sticky})
    args = {"models": [model.name for model in deployment.models]}
    return entry(deployment, "router", env, [front, *backends], args)


APP = App(
    name="router",
    packages=("common", "router", "text_generation"),
    image=ray_image,
    needs_accelerator=False,
    max_accelerators=1,
    serve=serve,
    needs=frozenset({"backends"}),
    takes=frozenset({"sticky", "kv_cache_tokens"}),
    helpers=(ROUTER,),
    suits_all=False,
)
