"""Translation behind Ray Serve, which imports `translation.app:build`; the environment says which model (README.md).

No `from __future__ import annotations`: Serve validates `args` by the annotation of `build`, as an object.
"""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from common import metrics
from common.errors import PromptRefused
from common.manifest import check
from common.metrics import RayMetrics
from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.serve import Application
from starlette.applications import Starlette
from text_generation.settings import Settings

from translation.api import MOST_TEXTS, Backend, Ready, create
from translation.desk import Desk
from translation.texts import Job, Languages
from translation.texts import Translation as Translated

GATHERED = 0.01  # seconds that the first text of a batch waits for others


class Arguments(BaseModel):
    """`args:` of the Serve config: none."""

    model_config = ConfigDict(extra="forbid", strict=True)


def ingress() -> Starlette:
    """Serve calls it in the replica."""
    return create(lambda: cast(Backend, serve.get_replica_context().servable_object))


@serve.deployment
@serve.ingress(ingress)
class Translation:
    """One model. A thread translates, so the event loop stays free for health checks and cancellation."""

    def __init__(self) -> None:
        settings = Settings.read(os.environ)
        staged = check(settings.model, verify=settings.verify)
        os.environ["HF_HUB_OFFLINE"] = "1"  # huggingface_hub reads it once, when it is imported
        # Here and not above: building the application imports this module where no torch is needed.
        from translation.translator import Translator, load

        self.name = settings.name or (staged.model if staged else settings.model.name)
        model = load(settings)
        self._load = dict(model.seconds)
        self._translator = Translator(model, settings.max_tokens, settings.context_length)
        self._load["warm_up"] = self._translator.warm_up()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="translate")
        self._sink = RayMetrics(self.name)
        for phase, seconds in self._load.items():
            self._sink.tell(metrics.LOAD, seconds, phase=phase)
        self._sink.tell(metrics.FROM_CACHE, 1 if staged else 0)
        batched: Any = self._batched
        batched.set_max_batch_size(settings.slots)
        # A list has to fit, whatever the bounds say.
        self._desk = Desk(batched, max(settings.slots + settings.queue, MOST_TEXTS), self._sink)

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=GATHERED)
    async def _batched(self, jobs: list[Job]) -> list[Translated | PromptRefused]:
        self._sink.tell(metrics.BATCH_SIZE, len(jobs))
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._worker, self._translator.translate, jobs)
        finally:
            self._sink.tell(metrics.BATCH_SIZE, 0)

    async def translate(self, texts: Sequence[str], languages: Languages) -> Sequence[Translated | PromptRefused]:
        return await self._desk.translate(texts, languages)

    def ready(self) -> Ready:
        alive = self._translator.alive()
        reason = "" if alive else "a batch has not moved for long"
        return Ready(ready=alive, reason=reason, pending=self._desk.pending, load=self._load)

    def check_health(self) -> None:
        """Serve restarts a replica for which this raises."""
        if not self._translator.alive():
            raise RuntimeError("a batch has not moved for long")


def build(_: Arguments) -> Application:
    deployment: Any = Translation  # Ray types the decorator as if it returned the class
    application: Application = deployment.bind()
    return application
