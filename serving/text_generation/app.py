"""Text generation as Ray Serve runs it. Serve imports `app:build`; the environment says which model (README.md).

No `from __future__ import annotations`: Serve validates `args` by the annotation of `build`, as an object.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.serve import Application

from text_generation.api import ingress
from text_generation.replica import Replica


class Arguments(BaseModel):
    """`args:` of the Serve config: none."""

    model_config = ConfigDict(extra="forbid")


@serve.deployment
@serve.ingress(ingress)
class TextGeneration(Replica):
    """A replica behind HTTP."""


def build(_: Arguments) -> Application:
    deployment: Any = TextGeneration  # Ray types the decorator as if it returned the class
    application: Application = deployment.bind()
    return application
