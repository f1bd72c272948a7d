"""A model behind a handle: how it is when it says so, when it is busy and when it is gone."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from text_generation import remote
from text_generation.backend import Asked, Health
from text_generation.remote import Remote


class Full(Exception):
    """The queue at the handle is full."""


class Handle:
    """Answers as Serve's handles do: by objects that are awaitable."""

    def __init__(self) -> None:
        self.said: Any = Health(ready=True, running=2)
        self.health = SimpleNamespace(remote=lambda: Awaited(self.said))
        self.complete = SimpleNamespace(remote=lambda *asked: ("complete", asked))
        self.answer = SimpleNamespace(remote=lambda *asked: ("answer", asked))

    def options(self, *, stream: bool) -> Any:
        return SimpleNamespace(answer=SimpleNamespace(remote=lambda *asked: ("stream" * stream, asked)))


class Awaited:
    def __init__(self, said: Any) -> None:
        self.said = said

    def __await__(self) -> Any:
        if self.said is None:
            yield from asyncio.Event().wait().__await__()
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


def said(subject: Remote) -> Health:
    return asyncio.run(subject.health())


def test_requests_go_through_the_handle() -> None:
    subject, asked = Remote(Handle(), Full), Asked("x")
    answer: Any = subject.complete(asked)
    assert answer == ("complete", (asked, {}))
    assert subject.answer(asked) == ("stream", (asked, {}))


def test_health_is_what_the_model_says() -> None:
    assert said(Remote(Handle(), Full)) == Health(ready=True, running=2)


@pytest.mark.parametrize("busy", [None, Full("full")])
def test_a_busy_model_is_as_it_was(busy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PATIENCE", 0.01)
    handle = Handle()
    subject = Remote(handle, Full)
    handle.said = busy
    assert said(subject).reason == f"does not say how it is: {'Full' if busy else 'TimeoutError'}"
    handle.said = Health(ready=True)
    assert said(subject).ready
    handle.said = busy
    assert said(subject).ready
    monkeypatch.setattr(remote, "REMEMBERED", 0.0)
    assert not said(subject).ready


def test_a_model_that_is_gone_is_not_ready() -> None:
    handle = Handle()
    subject = Remote(handle, Full)
    assert said(subject).ready
    handle.said = OSError("gone")
    assert said(subject) == Health(ready=False, reason="cannot be reached: OSError")
