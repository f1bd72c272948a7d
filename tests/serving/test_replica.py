"""A replica with a real engine, without Ray."""

from __future__ import annotations

import asyncio
import pickle
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from common import metrics
from common.errors import Overloaded, PromptRefused, StartRefused, Unavailable
from text_generation.backend import Asked, Complete, Done, Event, Message, Piece, Started

from tests.serving.models import CONTEXT, PROMPT, decoded, greedy, llama
from tests.serving.recorded import Recorded

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from text_generation.replica import Replica  # noqa: E402

pytestmark = pytest.mark.serving

VARIABLES = ("MODEL_NAME", "MAX_TOKENS", "CONTEXT_LENGTH", "DTYPE", "CONCURRENCY", "QUEUE", "KV_CACHE_TOKENS")


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without an end-of-text token: it stops at max_tokens only."""
    torch.set_num_threads(1)
    return llama(tmp_path_factory.mktemp("endless"))


@pytest.fixture(scope="module")
def ending(tmp_path_factory: pytest.TempPathFactory, endless: Path) -> Path:
    """The same weights; the text ends with the first new token after the fourth of the answer to PROMPT."""
    ids = greedy(endless, PROMPT, 40)
    end = next(token for place, token in enumerate(ids) if place > 3 and token not in ids[:place])
    return llama(tmp_path_factory.mktemp("ending"), ends=[end])


Start = Callable[..., tuple[Replica, Recorded]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts replicas, and ends them."""
    running: list[Replica] = []
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def started(model: Path, **env: str) -> tuple[Replica, Recorded]:
        told = Recorded()
        monkeypatch.setattr(metrics, "RayMetrics", lambda _: told)
        for name, value in {"MODEL_ID": str(model), "MODELYARD_VERIFY": "sizes", **env}.items():
            monkeypatch.setenv(name, value)
        running.append(Replica())
        return running[-1], told

    yield started
    for replica in running:
        replica.__del__()


def complete(replica: Replica, asked: Asked) -> Complete:
    return asyncio.run(replica.complete(asked, {}))


async def answered(replica: Replica, asked: Asked) -> list[Event]:
    async with aclosing(replica.answer(asked, {})) as events:
        return [event async for event in events]


def test_the_answer_is_what_the_model_says(start: Start, ending: Path) -> None:
    replica, told = start(ending, MODEL_NAME="tiny-1")
    ids = greedy(ending, PROMPT, 64)
    done = complete(replica, Asked(PROMPT, max_tokens=64))
    assert done == Complete("tiny-1", decoded(ending, ids[:-1]), "stop", 3, len(ids))
    assert [labels for _, labels in told.of(metrics.REQUESTS)] == [{"reason": "stop"}]
    assert [value for value, labels in told.of(metrics.TOKENS) if labels["kind"] == "prompt"] == [1, 3]  # warm-up first


def test_the_pieces_are_the_answer(start: Start, endless: Path) -> None:
    replica, _ = start(endless)
    asked = Asked(PROMPT, max_tokens=50)
    events = asyncio.run(answered(replica, asked))
    whole = complete(replica, asked)
    assert events[0] == Started("tiny", 3)
    assert events[-1] == Done("length", 50)
    assert "".join(event.text for event in events if isinstance(event, Piece)) == whole.text
    assert len(events) > 3
    assert (whole.finish_reason, whole.completion_tokens) == ("length", 50)


def test_events_and_requests_travel() -> None:
    for each in (Asked((Message("user", "hi"),)), Started("m", 1), Piece("a"), Done("stop", 1)):
        assert pickle.loads(pickle.dumps(each)) == each  # noqa: S301  our own


def test_a_stop_sequence_ends_the_answer(start: Start, endless: Path) -> None:
    replica, told = start(endless)
    text = complete(replica, Asked(PROMPT, max_tokens=200)).text
    stop = text[30:34]
    asked = Asked(PROMPT, max_tokens=200, stop=(stop,))
    done = complete(replica, asked)
    assert (done.text, done.finish_reason) == (text[: text.index(stop)], "stop")
    assert done.completion_tokens < 200
    streamed = asyncio.run(answered(replica, asked))
    assert "".join(event.text for event in streamed if isinstance(event, Piece)) == done.text
    assert [labels["reason"] for _, labels in told.of(metrics.REQUESTS)] == ["length", "stop", "stop"]


def test_a_chat_is_its_template(start: Start, endless: Path) -> None:
    replica, _ = start(endless)
    chat = complete(replica, Asked((Message("user", "hi"),), max_tokens=8))
    text = complete(replica, Asked("<|im_start|>user\nhi<|im_end|><|im_start|>assistant\n", max_tokens=8))
    assert (chat.text, chat.prompt_tokens) == (text.text, text.prompt_tokens)


def test_tokens_are_a_prompt(start: Start, endless: Path) -> None:
    replica, _ = start(endless)
    text = complete(replica, Asked(PROMPT, max_tokens=8))
    ids = tuple(replica._texts.tokenizer.encode(PROMPT).ids)
    assert complete(replica, Asked(ids, max_tokens=8)).text == text.text


def test_a_seed_repeats_an_answer(start: Start, endless: Path) -> None:
    replica, _ = start(endless)
    asked = [Asked(PROMPT, max_tokens=20, temperature=2.0, seed=seed) for seed in (1, 1, 2)]
    one, again, other = (complete(replica, each).text for each in asked)
    assert one == again != other


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Asked("a", usual=5), 5),
        (Asked("a", usual=500), 64),
        (Asked("a"), 64),
        (Asked("a", max_tokens=7, usual=5), 7),
        (Asked((1,) * 90), 10),
    ],
)
def test_default_lengths(start: Start, endless: Path, asked: Asked, expected: int) -> None:
    replica, _ = start(endless, MAX_TOKENS="64", CONTEXT_LENGTH="100")
    assert complete(replica, asked).completion_tokens == expected


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (Asked("a", max_tokens=65), "max_tokens is 65, at most 64 are allowed"),
        (Asked((1,) * 90, max_tokens=11), "90 tokens of prompt and 11 more exceed the context of 100"),
        (Asked((1,) * 100), "100 tokens of prompt and 1 more exceed the context of 100"),
        (Asked((1,) * 70, max_tokens=20), "70 tokens of prompt and 20 more exceed the cache of 80"),
        (Asked(()), "the prompt has no tokens"),
        (Asked((5, 10**6)), "token 1000000 is not one of the model's"),
        (Asked((Message("assistant", "x"),)), "the user speaks first"),
    ],
)
def test_refused(start: Start, endless: Path, asked: Asked, reason: str) -> None:
    replica, told = start(endless, MAX_TOKENS="64", CONTEXT_LENGTH="100", KV_CACHE_TOKENS="80")
    with pytest.raises(PromptRefused, match=reason):
        complete(replica, asked)
    with pytest.raises(PromptRefused, match=reason):
        asyncio.run(answered(replica, asked))
    assert [labels for _, labels in told.of(metrics.REQUESTS)] == [{"reason": "refused"}] * 2


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.01)


def test_who_leaves_frees_a_slot_and_who_is_too_many_is_told(start: Start, endless: Path) -> None:
    replica, told = start(endless, MAX_TOKENS=str(CONTEXT), CONCURRENCY="1", QUEUE="1")
    long = Asked(PROMPT, max_tokens=CONTEXT - 10)

    async def pending(running: int, waiting: int) -> bool:
        health = await replica.health()
        return (health.running, health.waiting) == (running, waiting)

    async def run() -> None:
        stream = replica.answer(long, {})
        assert isinstance(await anext(stream), Started)
        whole = asyncio.create_task(replica.complete(long, {}))
        await until(lambda: pending(1, 1))
        with pytest.raises(Overloaded):
            await replica.complete(long, {})
        await stream.aclose()
        await until(lambda: pending(1, 0))
        whole.cancel()
        await until(lambda: pending(0, 0))

    asyncio.run(run())
    reasons = [labels["reason"] for _, labels in told.of(metrics.REQUESTS)]
    assert reasons == ["overloaded", "cancelled", "cancelled"]


def test_an_engine_that_ends(start: Start, endless: Path) -> None:
    replica, _ = start(endless)
    assert asyncio.run(replica.health()).ready
    replica.check_health()
    replica._engine.close()
    assert asyncio.run(replica.health()).reason == "the engine does not answer"
    with pytest.raises(RuntimeError, match="does not answer"):
        replica.check_health()
    with pytest.raises(Unavailable, match="closed"):
        complete(replica, Asked("a"))


def test_what_a_start_tells(start: Start, endless: Path, tmp_path: Path) -> None:
    replica, told = start(endless, MODELYARD_VERIFY="digests")
    load = {labels["phase"]: value for value, labels in told.of(metrics.LOAD)}
    assert {"import", "read", "build", "warm_up"} <= set(load)
    assert all(seconds > 0 for seconds in load.values())
    assert asyncio.run(replica.health()).load == load
    assert told.of(metrics.FROM_CACHE) == [(1.0, {})]
    assert told.of(metrics.KV_CACHE)[0] == (8 * CONTEXT, {"state": "limit"})
    assert replica.models() == ("tiny",)  # by its manifest
    unstaged = shutil.copytree(endless, tmp_path / "copy", ignore=shutil.ignore_patterns(".modelyard"))
    replica, told = start(unstaged, MODELYARD_VERIFY="off")
    assert told.of(metrics.FROM_CACHE) == [(0.0, {})]
    assert replica.models() == ("copy",)


@pytest.mark.parametrize(
    ("env", "change", "reason"),
    [
        ({}, lambda copy: (copy / ".modelyard/manifest.json").unlink(), "staging has not ended"),
        ({}, lambda copy: (copy / "model.safetensors").write_bytes(b"short"), "model.safetensors has 5 bytes"),
        ({"CONTEXT_LENGTH": "4096"}, lambda _: None, "CONTEXT_LENGTH is 4096, the model's own is 2048"),
        ({"MODEL_ID": "/nowhere"}, lambda _: None, "MODEL_ID is not a folder"),
    ],
)
def test_starts_that_are_refused(
    start: Start, endless: Path, tmp_path: Path, env: dict[str, str], change: Callable[[Path], Any], reason: str
) -> None:
    copy = shutil.copytree(endless, tmp_path / "copy")
    change(copy)
    with pytest.raises(StartRefused, match=reason):
        start(copy, **env)
