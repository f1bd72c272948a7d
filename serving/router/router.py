"""A backend of the HTTP layer that holds no model: it passes a request on to one of several, and its answer back."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from common.errors import Unavailable
from text_generation.backend import Asked, Complete, Event, Health

from router import config
from router.choice import choose


class Model(Protocol):
    """A deployment of text generation (text_generation.remote.Remote)."""

    def complete(self, asked: Asked) -> Awaitable[Complete]:
        """The whole answer."""

    def answer(self, asked: Asked) -> Any:
        """Asynchronous iterator of events with a method `cancel`."""

    async def health(self) -> Health:
        """Raises nothing."""


class Router:
    """`name` stands for all: a request that names it, or none, goes by weight; one that names a model goes there."""

    def __init__(self, name: str, models: Mapping[str, Model]) -> None:
        self._name, self._models = name, models
        self._routing: config.Routing | None = None

    def reconfigure(self, user_config: Any) -> None:
        """Takes effect with the next request. Raises StartRefused, and goes on as before."""
        self._routing = config.read(user_config, list(self._models))

    def models(self) -> Sequence[str]:
        return (self._name, *self._models)

    def chosen(self, asked: Asked, headers: Mapping[str, str]) -> str:
        """The model for a request. Raises Unavailable before the first `reconfigure`."""
        if asked.model in self._models:
            return str(asked.model)
        if self._routing is None:
            raise Unavailable("the router has no weights yet")
        sticky = headers.get(self._routing.sticky, "") if self._routing.sticky else ""
        return choose(sticky.encode() if sticky else secrets.token_bytes(16), self._routing.weights)

    async def complete(self, asked: Asked, headers: Mapping[str, str]) -> Complete:
        model = self.chosen(asked, headers)
        return await self._models[model].complete(replace(asked, model=model))

    async def answer(self, asked: Asked, headers: Mapping[str, str]) -> AsyncIterator[Event]:
        model = self.chosen(asked, headers)
        events = self._models[model].answer(replace(asked, model=model))
        try:
            async for event in events:
                yield event
        finally:
            events.cancel()  # of no effect when it has ended

    async def health(self) -> Health:
        """Ready while a model that has a share is."""
        weights = self._routing.weights if self._routing else {}
        names = [name for name in self._models if weights.get(name)]
        each = dict(zip(names, await asyncio.gather(*(self._models[name].health() for name in names)), strict=True))
        faults = "; ".join(f"{name}: {health.reason}" for name, health in each.items() if not health.ready)
        return Health(
            ready=any(health.ready for health in each.values()),
            reason=faults if each else "the router has no weights yet",
            running=sum(health.running for health in each.values()),
            waiting=sum(health.waiting for health in each.values()),
        )
