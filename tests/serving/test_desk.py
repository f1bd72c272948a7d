"""Between requests and batches: room, who left, and what the metrics hear."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest
from common.errors import Overloaded, PromptRefused
from common.metrics import Metric
from translation.desk import Answer, Desk
from translation.texts import Job, Languages, Translation

ENGLISH = Languages("en", "fr")


def run(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test, in an event loop of its own."""

    @wraps(test)
    def whole(**given: Any) -> None:
        asyncio.run(test(**given))

    return whole


class Sink:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told = Counter[str]()
        self.last: dict[str, float] = {}

    def tell(self, metric: Metric, value: float, **labels: str) -> None:
        self.told[" ".join((metric.name, *labels.values()))] += 1 if metric.kind == "histogram" else int(value)
        self.last[metric.name] = value


class Batches:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.open = asyncio.Event()
        self.answer: Any = lambda job: Translation(job.text.upper(), "stop", 2, 3)

    async def __call__(self, job: Job) -> Answer:
        self.jobs.append(job)
        await self.open.wait()
        answer: Answer = self.answer(job)
        return answer


def desk(room: int = 4) -> tuple[Desk, Batches, Sink]:
    batches, sink = Batches(), Sink()
    return Desk(batches, room, sink), batches, sink


async def arrived(batches: Batches, count: int) -> None:
    while len(batches.jobs) < count:
        await asyncio.sleep(0)


@run
async def test_answers_come_in_the_order_of_the_texts() -> None:
    subject, batches, sink = desk()
    batches.open.set()
    answers = await subject.translate(["a", "b", "c"], ENGLISH)
    assert [answer.text for answer in answers if isinstance(answer, Translation)] == ["A", "B", "C"]
    assert {job.languages for job in batches.jobs} == {ENGLISH}
    assert sink.told["modelyard_requests_total stop"] == sink.told["modelyard_request_seconds stop"] == 1
    assert (sink.told["modelyard_tokens_total prompt"], sink.told["modelyard_tokens_total completion"]) == (6, 9)


@run
async def test_more_than_there_is_room_for_is_turned_away_whole() -> None:
    subject, batches, sink = desk(room=4)
    first = asyncio.create_task(subject.translate(["a", "b", "c"], ENGLISH))
    await arrived(batches, 3)
    with pytest.raises(Overloaded) as raised:
        await subject.translate(["d", "e"], ENGLISH)
    assert raised.value.retry_after == 1
    assert (subject.pending, len(batches.jobs), sink.told["modelyard_requests_total overloaded"]) == (3, 3, 1)
    batches.open.set()
    await first
    assert (subject.pending, sink.last["modelyard_queue_depth"]) == (0, 0)
    assert len(await subject.translate(["d", "e"], ENGLISH)) == 2


@run
async def test_who_leaves_marks_the_jobs_and_makes_room() -> None:
    subject, batches, sink = desk()
    task = asyncio.create_task(subject.translate(["a", "b"], ENGLISH))
    await arrived(batches, 2)
    assert not any(job.left.is_set() for job in batches.jobs)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(job.left.is_set() for job in batches.jobs)
    assert (subject.pending, sink.told["modelyard_requests_total cancelled"]) == (0, 1)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Translation("x", "length", 1, 1), "length"),
        (PromptRefused("too long"), "refused"),
        (RuntimeError("broken"), "error"),
    ],
)
@run
async def test_the_reason_of_a_request_is_the_worst(answer: Any, reason: str) -> None:
    subject, batches, sink = desk()

    def odd(job: Job) -> Answer:
        if job.text != "b":
            return Translation(job.text, "stop", 1, 1)
        if isinstance(answer, RuntimeError):
            raise answer
        given: Answer = answer
        return given

    batches.answer = odd
    batches.open.set()
    try:
        await subject.translate(["a", "b"], ENGLISH)
    except RuntimeError:
        assert reason == "error"
    assert sink.told[f"modelyard_requests_total {reason}"] == 1
    assert subject.pending == 0
