"""A graph of two deployments: a preprocessor in front, text generation behind it.

Ray Serve imports `composition.app:build`. No `from __future__ import annotations`: Serve validates `args` by the
annotation of `build`, as an object.
"""

from typing import Any, cast

from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.exceptions import RayActorError
from ray.serve import Application
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle
from starlette.applications import Starlette
from text_generation.remote import Remote
from text_generation.replica import Replica

from composition.api import create
from composition.preprocessor import Preprocessor as Processing

UNAVAILABLE = (BackPressureError, DeploymentUnavailableError, RayActorError)


class Arguments(BaseModel):
    """`args:` of the Serve config: none."""

    model_config = ConfigDict(extra="forbid", strict=True)


def ingress() -> Starlette:
    """Serve calls it in the replica."""
    return create(lambda: cast(Processing, serve.get_replica_context().servable_object), UNAVAILABLE)


@serve.deployment
@serve.ingress(ingress)
class Preprocessor(Processing):
    """The preprocessor with a handle of Serve."""

    def __init__(self, model: DeploymentHandle[Any]) -> None:
        super().__init__(Remote(model, BackPressureError))


def build(_: Arguments) -> Application:
    deployment: Any = Preprocessor  # Ray types the decorator as if it returned the class
    model: Any = serve.deployment(Replica, name="TextGeneration")
    application: Application = deployment.bind(model.bind())
    return application
