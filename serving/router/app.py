"""Text generation with several models: one deployment in front, which chooses, and one for each model.

Ray Serve imports `router.app:build`. No `from __future__ import annotations`: Serve validates `args` by the annotation
of `build`, as an object.
"""

import os
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve import Application
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle
from text_generation.api import ingress
from text_generation.remote import Remote
from text_generation.replica import Replica

from router.router import Router as Routing


class Arguments(BaseModel):
    """`args:` of the Serve config. Their deployments have the models' names and environments of their own."""

    model_config = ConfigDict(extra="forbid", strict=True)

    models: list[str] = Field(min_length=2)


@serve.deployment
@serve.ingress(ingress)
class Router(Routing):
    """The routing of router.py with Serve's handles; Serve calls `reconfigure` with the user_config."""

    def __init__(self, names: list[str], *handles: DeploymentHandle[Any]) -> None:
        models = {name: Remote(handle, BackPressureError) for name, handle in zip(names, handles, strict=True)}
        super().__init__(os.environ.get("ROUTER_NAME", "router"), models)


def build(arguments: Arguments) -> Application:
    backends = [serve.deployment(Replica, name=f"TextGeneration-{name}").bind() for name in arguments.models]  # type: ignore[attr-defined]
    deployment: Any = Router  # Ray types the decorator as if it returned the class
    application: Application = deployment.bind(arguments.models, *backends)
    return application
