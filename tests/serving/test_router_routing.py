"""The router between models that are objects of this process: who is asked, what comes back, what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from common.errors import Overloaded, StartRefused, Unavailable
from router.choice import choose
from router.router import Router
from text_generation.backend import Asked, Complete, Done, Event, Health, Piece, Started


class Events:
    """A stream that knows whether it was cancelled."""

    def __init__(self, events: list[Event | Exception]) -> None:
        self.left, self.cancelled = iter(events), False

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._walk(self.left)

    async def _walk(self, events: Iterator[Event | Exception]) -> AsyncIterator[Event]:
        for event in events:
            if isinstance(event, Exception):
                raise event
            yield event

    def cancel(self) -> None:
        self.cancelled = True


class Model:
    """Answers with its name, or with a fault."""

    def __init__(self, name: str, fault: Exception | None = None) -> None:
        self.name, self.fault, self.asked = name, fault, list[Asked]()
        self.streams: list[Events] = []
        self.said = Health(ready=True, running=1, waiting=2)

    async def complete(self, asked: Asked) -> Complete:
        self.asked.append(asked)
        if self.fault:
            raise self.fault
        return Complete(self.name, "text", "stop", 3, 4)

    def answer(self, asked: Asked) -> Events:
        self.asked.append(asked)
        parts: list[Event | Exception] = [Started(self.name, 3), Piece("a"), Piece("b"), Done("stop", 4)]
        self.streams.append(Events([self.fault] if self.fault else parts))
        return self.streams[-1]

    async def health(self) -> Health:
        return self.said


def router(**weights: int) -> tuple[Router, dict[str, Model]]:
    models = {name: Model(name) for name in weights}
    subject = Router("all", models)
    subject.reconfigure({"weights": weights, "sticky": "X-User"})
    return subject, models


def answered_by(subject: Router, headers: dict[str, str], model: str | None = None) -> str:
    return asyncio.run(subject.complete(Asked("x", model=model), headers)).model


def test_models_are_listed_with_the_name_of_all() -> None:
    assert list(router(a=1, b=2)[0].models()) == ["all", "a", "b"]


@pytest.mark.parametrize("named", [None, "all"])
def test_a_header_decides(named: str | None) -> None:
    subject, _ = router(a=50, b=50)
    users = [f"user-{number}" for number in range(40)]
    answers = {user: answered_by(subject, {"x-user": user}, named) for user in users}
    assert answers == {user: choose(user.encode(), {"a": 50, "b": 50}) for user in users}
    assert set(answers.values()) == {"a", "b"}


@pytest.mark.parametrize("headers", [{}, {"x-user": ""}])
def test_without_the_header_chance_decides(headers: dict[str, str]) -> None:
    """Never once the same model in 64 tries: one in 2**63."""
    subject, _ = router(a=50, b=50)
    assert {answered_by(subject, headers) for _ in range(64)} == {"a", "b"}


def test_a_drained_model_is_reached_by_its_name_only() -> None:
    subject, _ = router(a=0, b=3)
    assert {answered_by(subject, {"x-user": str(n)}) for n in range(40)} == {"b"}
    assert answered_by(subject, {"x-user": "1"}, "a") == "a"


def test_the_model_is_told_its_own_name() -> None:
    subject, models = router(a=1, b=0)
    answered_by(subject, {}, "all")
    assert models["a"].asked == [Asked("x", model="a")]


def test_new_weights_count_at_once_and_faulty_ones_never() -> None:
    subject, _ = router(a=1, b=0)
    subject.reconfigure({"weights": {"a": 0, "b": 1}})
    with pytest.raises(StartRefused):
        subject.reconfigure({"weights": {"a": 0, "b": 0}})
    assert answered_by(subject, {}) == "b"


def test_no_weights_yet() -> None:
    subject = Router("all", {"a": Model("a")})
    with pytest.raises(Unavailable, match="no weights yet"):
        answered_by(subject, {})
    assert answered_by(subject, {}, "a") == "a"
    assert not asyncio.run(subject.health()).ready


@pytest.mark.parametrize("streamed", [False, True])
def test_faults_of_a_model_pass(streamed: bool) -> None:
    subject, models = router(a=1, b=0)
    models["a"].fault = Overloaded("full", 3)
    with pytest.raises(Overloaded) as raised:
        asyncio.run(stream(subject)) if streamed else answered_by(subject, {})
    assert raised.value is models["a"].fault


async def stream(subject: Router, most: int = 10) -> list[Event]:
    """Leaves after `most` events, as the HTTP layer does."""
    found: list[Event] = []
    events: Any = subject.answer(Asked("x"), {})
    try:
        async for event in events:
            found.append(event)
            if len(found) == most:
                break
    finally:
        await events.aclose()
    return found


def test_a_stream_passes_through() -> None:
    subject, _ = router(a=1, b=0)
    assert asyncio.run(stream(subject)) == [Started("a", 3), Piece("a"), Piece("b"), Done("stop", 4)]


def test_who_leaves_a_stream_cancels_it() -> None:
    subject, models = router(a=1, b=0)
    assert len(asyncio.run(stream(subject, 2))) == 2
    assert [events.cancelled for events in models["a"].streams] == [True]


def health(subject: Router) -> Health:
    return asyncio.run(subject.health())


def test_health_is_that_of_the_models_with_a_share() -> None:
    subject, models = router(a=1, b=1, c=0)
    models["c"].said = Health(ready=False, reason="stalled")
    assert health(subject) == Health(ready=True, running=2, waiting=4)
    models["a"].said = Health(ready=False, reason="stalled")
    assert health(subject) == Health(ready=True, reason="a: stalled", running=1, waiting=2)
    models["b"].said = Health(ready=False, reason="gone")
    assert health(subject) == Health(ready=False, reason="a: stalled; b: gone")
