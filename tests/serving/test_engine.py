"""The engine under an event loop: who waits, who leaves, what happens when a step fails or the engine is closed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from common.errors import Overloaded

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from text_generation.engine import Engine, Limits, Pending, Request, Step  # noqa: E402  needs torch
from text_generation.loading import LoadedModel  # noqa: E402
from text_generation.observer import Reason  # noqa: E402

from tests.serving.small import CONTEXT, alone, small  # noqa: E402

pytestmark = pytest.mark.serving
LIMITS = Limits(slots=2, queue=2, kv_tokens=2 * CONTEXT, context_length=CONTEXT)
LONG = Request((1, 2, 3), 400)
SHORT = Request((5, 6), 4)


class Notes:
    """What the engine tells, in a list; `gate` holds the engine after a step."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.gate = threading.Event()
        self.gate.set()

    def stepped(self, running: int, waiting: int, new_tokens: int, cached: int) -> None:
        self.said.append(("stepped", running, waiting, new_tokens, cached))
        self.gate.wait(30)

    def started(self, prompt_tokens: int, waited: float) -> None:
        self.said.append(("started", prompt_tokens))

    def first_token(self, seconds: float) -> None:
        self.said.append(("first", seconds > 0))

    def finished(self, reason: Reason, tokens: int, seconds: float) -> None:
        self.said.append(("finished", reason, tokens))

    def ends(self) -> list[tuple[Any, ...]]:
        return [note for note in self.said if note[0] == "finished"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def model(folder: Path) -> LoadedModel:
    return small(folder)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def engine(model: LoadedModel, notes: Notes) -> Iterator[Engine]:
    made = Engine(model, LIMITS, notes)
    yield made
    notes.gate.set()
    made.close()


async def tokens(engine: Engine, request: Request) -> list[Step]:
    async with engine.generate(request) as answer:
        return [step async for step in answer]


def length(steps: list[Step]) -> int:
    return sum(len(step.tokens) for step in steps)


async def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def test_steps(engine: Engine, notes: Notes, folder: Path) -> None:
    steps = asyncio.run(tokens(engine, SHORT))
    assert [token for step in steps for token in step.tokens] == alone(folder, SHORT.prompt, 4)
    assert [step.finish for step in steps] == [None] * (len(steps) - 1) + ["length"]
    assert notes.said[1:3] == [("started", 2), ("first", True)]
    assert ("stepped", 1, 0, 1, 2) in notes.said and notes.ends() == [("finished", "length", 4)]


def test_tokens_in_bulk(engine: Engine) -> None:
    steps = asyncio.run(tokens(engine, Request((1, 2), 20, every=8)))
    assert [len(step.tokens) for step in steps] in ([8, 8, 4], [16, 4], [8, 12], [20])


def test_what_came_meanwhile_is_joined(engine: Engine, notes: Notes) -> None:
    """Who reads slowly gets fewer and longer steps, and never waits for what is there."""

    async def slowly() -> list[Step]:
        async with engine.generate(Request((1, 2), 20)) as answer:
            await until(lambda: bool(notes.ends()))
            await asyncio.sleep(0)
            return [step async for step in answer]

    (step,) = asyncio.run(slowly())
    assert len(step.tokens) == 20 and step.finish == "length"


def test_many_at_once_each_gets_its_own(engine: Engine, folder: Path) -> None:
    async def ask(prompt: tuple[int, ...]) -> list[int]:
        while True:
            try:
                return [token for step in await tokens(engine, Request(prompt, 9)) for token in step.tokens]
            except Overloaded as error:
                assert error.retry_after == 1
                await asyncio.sleep(0.001)

    async def all_of_them() -> list[list[int]]:
        return await asyncio.gather(*(ask((n, n + 1)) for n in range(12)))

    assert asyncio.run(all_of_them()) == [alone(folder, (n, n + 1), 9) for n in range(12)]


def test_the_queue_is_bounded(engine: Engine, notes: Notes) -> None:
    async def fill() -> None:
        answers = [engine.generate(LONG) for _ in range(4)]
        await until(lambda: engine.pending() == Pending(2, 2))
        with pytest.raises(Overloaded, match="2 requests wait already"):
            engine.generate(SHORT)
        for answer in answers:
            await answer.aclose()
        await until(lambda: engine.pending() == Pending(0, 0))

    asyncio.run(fill())
    assert sorted(notes.ends()) != [] and {end[1] for end in notes.ends()} == {"cancelled"} and len(notes.ends()) == 4


def test_who_leaves_frees_the_slot_for_who_waits(engine: Engine) -> None:
    async def leave() -> None:
        one, two = engine.generate(LONG), engine.generate(LONG)
        await anext(one)
        await anext(two)
        waiting = asyncio.create_task(tokens(engine, SHORT))
        await until(lambda: engine.pending().waiting == 1)
        await one.aclose()
        assert length(await waiting) == 4
        await two.aclose()
        await until(lambda: engine.pending() == Pending(0, 0))

    asyncio.run(leave())


def test_a_cancelled_task_leaves(engine: Engine) -> None:
    async def cancel() -> None:
        task = asyncio.create_task(tokens(engine, LONG))
        await until(lambda: engine.pending().running == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: engine.pending() == Pending(0, 0))

    asyncio.run(cancel())


def test_a_loop_that_is_gone_disturbs_nobody(engine: Engine, notes: Notes, folder: Path) -> None:
    async def begin() -> None:
        await anext(engine.generate(LONG))

    asyncio.run(begin())
    assert length(asyncio.run(tokens(engine, SHORT))) == 4
    assert engine.alive()


@pytest.mark.parametrize(
    "request_", [Request((), 4), Request((1,), 0), Request((1,) * CONTEXT, 1), Request((1,), CONTEXT)], ids=range(4)
)
def test_what_cannot_fit(engine: Engine, request_: Request) -> None:
    async def ask() -> None:
        engine.generate(request_)

    with pytest.raises(ValueError, match=r"a request has a prompt|tokens exceed the context of 512"):
        asyncio.run(ask())


def test_what_just_fits(engine: Engine) -> None:
    (step,) = asyncio.run(tokens(engine, Request((1,) * (CONTEXT - 1), 1)))
    assert step.finish == "length"


def test_a_failed_step_fails_who_is_in_work_and_nobody_else(
    model: LoadedModel, engine: Engine, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(engine._runner, "step", broken)
        for _ in range(3):
            assert engine.alive()
            with pytest.raises(RuntimeError, match="generation failed: out of memory"):
                asyncio.run(tokens(engine, SHORT))
        assert not engine.alive()
    assert length(asyncio.run(tokens(engine, SHORT))) == 4
    assert engine.alive()
    assert [end[1] for end in notes.ends()] == ["error"] * 3 + ["length"]


def test_a_stalled_engine_is_not_alive(engine: Engine, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stall() -> None:
        notes.gate.clear()
        answer = engine.generate(LONG)
        await anext(answer)
        assert engine.alive()
        monkeypatch.setattr("text_generation.engine.STALLED", 0.0)
        assert not engine.alive()
        notes.gate.set()
        await answer.aclose()
        await until(engine.alive)

    asyncio.run(stall())


def test_close(model: LoadedModel) -> None:
    async def closing() -> None:
        engine = Engine(model, LIMITS)
        answers = [engine.generate(LONG) for _ in range(3)]
        await anext(answers[0])
        await asyncio.to_thread(engine.close)
        for answer in answers:
            with pytest.raises(RuntimeError, match="the engine is closed"):
                async for _ in answer:
                    pass
        with pytest.raises(RuntimeError, match="the engine is closed"):
            engine.generate(SHORT)
        assert not engine.alive() and engine.pending() == Pending(0, 0)

    asyncio.run(closing())
