"""The engine: a thread that runs the model for everybody, and what an event loop sees of it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from common.errors import Overloaded

from text_generation.loading import LoadedModel
from text_generation.observer import Observer, Reason, Silent
from text_generation.runner import Finish, Request, Runner, Running
from text_generation.slots import Slots

__all__ = ["Answer", "Engine", "Limits", "Pending", "Request", "Step"]

STALLED = 120.0  # seconds without the end of a step, after which the engine counts as dead
FAILURES = 3  # failed steps in a row, the same
GAP = 0.01  # seconds between two of those who come back together
GATHERING = 0.15  # seconds at most until they are all there
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of an engine; `kv_tokens` is of all slots together, `chunk` of the prompts' tokens in one step."""

    slots: int
    queue: int
    kv_tokens: int
    context_length: int
    chunk: int = 512


@dataclass(frozen=True, slots=True)
class Step:
    """New tokens, at least one; `finish` is set in the last step."""

    tokens: tuple[int, ...]
    finish: Finish | None


@dataclass(frozen=True, slots=True)
class Pending:
    """Requests in slots, and in the queue."""

    running: int
    waiting: int


@dataclass(slots=True, eq=False)
class _Inbox:
    """What has come and was not taken yet; used in the event loop only."""

    filled: asyncio.Event = field(default_factory=asyncio.Event)
    tokens: list[int] = field(default_factory=list)
    finish: Finish | None = None
    error: Exception | None = None

    def put(self, news: Step | Exception) -> None:
        if isinstance(news, Exception):
            self.error = news
        else:
            self.tokens += news.tokens
            self.finish = news.finish
        self.filled.set()

    def take(self) -> Step:
        step = Step(tuple(self.tokens), self.finish)
        self.tokens.clear()
        if self.error is None:
            self.filled.clear()
        return step


@dataclass(slots=True, eq=False)
class _Ticket:
    """A request between the event loop and the thread, which has `delivered` so many of its tokens."""

    request: Request
    loop: asyncio.AbstractEventLoop
    inbox: _Inbox = field(default_factory=_Inbox)
    asked: float = field(default_factory=time.monotonic)
    running: Running | None = None
    delivered: int = 0


class Answer(AsyncIterator[Step]):
    """The steps of one answer. To leave it early, close it: its slot is free before the next step."""

    def __init__(self, engine: Engine, ticket: _Ticket) -> None:
        self._engine, self._ticket, self._over = engine, ticket, False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def __anext__(self) -> Step:
        """What has come since the last call, joined. Raises RuntimeError when the engine fails or is closed."""
        if self._over:
            raise StopAsyncIteration
        inbox = self._ticket.inbox
        try:
            await inbox.filled.wait()
        except BaseException:
            await self.aclose()
            raise
        if not inbox.tokens and inbox.error is not None:
            self._over = True
            raise inbox.error
        step = inbox.take()
        self._over = step.finish is not None
        return step

    async def aclose(self) -> None:
        if not self._over:
            self._over = True
            self._engine._leave(self._ticket)


class Engine:
    """Generates for many callers at a time. Its methods may be called from any thread with an event loop."""

    def __init__(self, model: LoadedModel, limits: Limits, observer: Observer | None = None) -> None:
        self.limits = limits
        self.context_length, self.vocabulary = limits.context_length, model.vocabulary
        self._observer = observer or Silent()
        slots = Slots(model.shapes, limits.slots, limits.kv_tokens, model.dtype, model.device)
        self._runner = Runner(model.module, slots, limits.chunk)
        self._queue: deque[_Ticket] = deque()
        self._tickets: dict[Running, _Ticket] = {}
        self._changed = threading.Condition()
        self._closed, self._failures, self._since = False, 0, time.monotonic()
        self._leaving: list[_Ticket] = []
        self._wave = 0  # how many were answered by the step that left nothing to do
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def generate(self, request: Request) -> Answer:
        """Call in a running event loop. Raises Overloaded when slots and queue are full, ValueError when the request
        cannot fit at all, RuntimeError after `close`.
        """
        if not request.prompt or request.max_tokens < 1:
            raise ValueError("a request has a prompt and asks for a token")
        if request.longest >= min(self.context_length, self.limits.kv_tokens + 1):
            raise ValueError(f"{request.longest + 1} tokens exceed the context of {self.context_length}")
        loop = asyncio.get_running_loop()
        ticket = _Ticket(request, loop)
        with self._changed:
            if self._closed:
                raise RuntimeError("the engine is closed")
            if len(self._tickets) + len(self._queue) >= self.limits.slots + self.limits.queue:
                raise Overloaded(f"{len(self._queue)} requests wait already")
            self._queue.append(ticket)
            self._changed.notify()
        return Answer(self, ticket)

    def pending(self) -> Pending:
        with self._changed:
            return Pending(len(self._tickets), len(self._queue))

    def alive(self) -> bool:
        """Whether the thread lives, takes its steps in time, and they succeed."""
        with self._changed:
            busy = bool(self._tickets or self._queue)
            in_time = not busy or time.monotonic() - self._since < STALLED
            return self._thread.is_alive() and in_time and self._failures < FAILURES

    def close(self) -> None:
        """Ends the thread after its step; the callers that are left get RuntimeError."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _leave(self, ticket: _Ticket) -> None:
        with self._changed:
            self._leaving.append(ticket)
            self._changed.notify()

    def _work(self) -> None:
        with torch.inference_mode():
            while self._admit():
                try:
                    self._deliver(self._runner.step())
                    self._failures = 0
                except Exception as error:
                    log.exception("a step failed")
                    self._failures += 1
                    self._fail(error)
            self._fail(RuntimeError("the engine is closed"))

    def _admit(self) -> bool:
        """Waits for work; takes who left out, and who waits in. False when the engine is closed."""
        with self._changed:
            self._drop_leavers()
            while not (self._closed or self._queue or self._tickets):
                self._observer.stepped(0, 0, 0, 0)
                self._changed.wait()
                self._drop_leavers()
                self._gather()
            self._wave = 0
            while self._queue and not self._closed and self._runner.has_room(self._queue[0].request):
                ticket = self._queue.popleft()
                ticket.running = self._runner.admit(ticket.request)
                self._tickets[ticket.running] = ticket
                self._observer.started(len(ticket.request.prompt), time.monotonic() - ticket.asked)
            self._since = time.monotonic()
            return not self._closed

    def _gather(self) -> None:
        """Those who were answered together come back together, one after the other: they are taken in one step.

        One after the other they would be so many steps apart for good, and each step costs nearly the same for one
        request as for all.
        """
        begun = time.monotonic()
        while 0 < len(self._queue) < self._wave and not self._closed and time.monotonic() - begun < GATHERING:
            there = len(self._queue)
            self._changed.wait(GAP)
            self._drop_leavers()
            if len(self._queue) <= there:
                return

    def _drop_leavers(self) -> None:
        for ticket in self._leaving:
            if (running := ticket.running) is not None:
                if running in self._tickets:  # else it has ended meanwhile
                    self._runner.leave(running)
                    self._forget(running, "cancelled")
            elif ticket in self._queue:
                self._queue.remove(ticket)
                self._observer.finished("cancelled", 0, time.monotonic() - ticket.asked)
        self._leaving.clear()

    def _deliver(self, told: list[Running]) -> None:
        """Wakes each event loop once."""
        ready: dict[asyncio.AbstractEventLoop, list[tuple[_Ticket, Step]]] = {}
        for running in told:
            ticket = self._tickets[running]
            if len(running.tokens) == 1:
                self._observer.first_token(time.monotonic() - ticket.asked)
            finish = running.finish
            if finish or len(running.tokens) - ticket.delivered >= ticket.request.every:
                step = Step(tuple(running.tokens[ticket.delivered :]), finish)
                ticket.delivered = len(running.tokens)
                ready.setdefault(ticket.loop, []).append((ticket, step))
            if finish:
                with self._changed:
                    self._forget(running, finish)
        self._wave = 0 if self._tickets else sum(running.finish is not None for running in told)
        for loop, steps in ready.items():
            _wake(loop, steps)
        self._observer.stepped(len(self._tickets), len(self._queue), len(told), self._runner.cached)

    def _forget(self, running: Running, reason: Reason) -> None:
        ticket = self._tickets.pop(running)
        self._observer.finished(reason, len(running.tokens), time.monotonic() - ticket.asked)

    def _fail(self, error: Exception) -> None:
        """Everybody in work is told; after `close`, who waits too."""
        with self._changed:
            failed = list(self._tickets.values())
            for running in list(self._tickets):
                self._runner.leave(running)
                self._forget(running, "error")
            if self._closed:
                failed += self._queue
                self._queue.clear()
        for ticket in failed:
            _wake(ticket.loop, [(ticket, RuntimeError(f"generation failed: {error}"))])


def _wake(loop: asyncio.AbstractEventLoop, steps: Sequence[tuple[_Ticket, Step | Exception]]) -> None:
    try:
        loop.call_soon_threadsafe(_put, steps)
    except RuntimeError:  # the loop is closed, and with it everybody who could read
        log.warning("nobody is left to read %d answers", len(steps))


def _put(steps: Sequence[tuple[_Ticket, Step | Exception]]) -> None:
    for ticket, news in steps:
        ticket.inbox.put(news)
