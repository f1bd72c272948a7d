"""Requests come and go in every order, and each gets the answer that it would get alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from text_generation.loading import LoadedModel  # noqa: E402  needs torch
from text_generation.runner import Request, Runner, Running  # noqa: E402
from text_generation.sampling import Draw, Sampling, choose  # noqa: E402
from text_generation.slots import STEP, Shape, Slots  # noqa: E402

from tests.serving.small import CONTEXT, VOCABULARY, alone, small  # noqa: E402

pytestmark = pytest.mark.serving

Prompt = tuple[int, ...]


@pytest.fixture(scope="module", params=["full", "window"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(str(request.param))


@pytest.fixture(scope="module")
def model(folder: Path) -> LoadedModel:
    """A Llama, or a Mistral whose layers see the last seven tokens only."""
    return small(folder, "MistralConfig", sliding_window=7) if "window" in folder.name else small(folder)


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def prompts(count: int, seed: int, longest: int = 40) -> list[Prompt]:
    chance = random.Random(seed)
    return [tuple(chance.randrange(VOCABULARY) for _ in range(chance.randint(1, longest))) for _ in range(count)]


def runner(model: LoadedModel, most: int = 8, limit: int = 8 * CONTEXT, chunk: int = 16) -> Runner:
    return Runner(model.module, Slots(model.shapes, most, limit, model.dtype, model.device), chunk)


def finished(runner: Runner, running: list[Running]) -> list[list[int]]:
    while len(runner):
        runner.step()
    return [one.tokens for one in running]


@pytest.fixture(scope="module")
def answers(folder: Path, model: LoadedModel) -> dict[Prompt, list[int]]:
    """24 tokens after each of these prompts."""
    return {prompt: alone(folder, prompt, 24) for prompt in prompts(12, seed=3)}


def test_together_as_alone(model: LoadedModel, answers: dict[Prompt, list[int]]) -> None:
    work = runner(model, most=12, limit=12 * CONTEXT)
    running = [work.admit(Request(prompt, 24)) for prompt in answers]
    assert finished(work, running) == list(answers.values())


@given(st.randoms(use_true_random=False), st.integers(1, 40))
@settings(max_examples=40)
def test_any_order_of_coming_and_going(
    model: LoadedModel, answers: dict[Prompt, list[int]], chance: random.Random, chunk: int
) -> None:
    """Lengths, arrivals and departures at random: who stays is never disturbed, and no slot is lost."""
    work, waiting, kept = runner(model, most=4, limit=4 * 64, chunk=chunk), list(answers), []
    while waiting or len(work):
        while (
            waiting and work.has_room(request := Request(waiting[0], chance.randint(1, 24))) and chance.random() < 0.7
        ):
            kept.append((waiting.pop(0), work.admit(request), request.max_tokens))
        if len(work) and chance.random() < 0.2:
            gone = chance.choice(list(work))
            work.leave(gone)
            kept = [row for row in kept if row[1] is not gone]
        if len(work):
            work.step()
        assert sorted(one.slot for one in work) == list(range(len(work)))
    for prompt, running, tokens in kept:
        assert running.tokens == answers[prompt][:tokens]


def test_a_short_answer_does_not_wait_for_a_long_one(model: LoadedModel) -> None:
    work = runner(model)
    long = work.admit(Request((1, 2, 3), 200))
    work.step()
    short = work.admit(Request((4, 5), 3))
    for _ in range(3):
        work.step()
    assert short.finish == "length" and list(work) == [long] and len(long.tokens) == 4


def test_a_long_prompt_is_read_in_pieces_between_the_others(model: LoadedModel) -> None:
    work = runner(model, chunk=16)
    first = work.admit(Request((1, 2, 3), 50))
    work.step()
    second = work.admit(Request(tuple(range(90)), 2))
    for step in range(1, 7):
        work.step()
        assert len(first.tokens) == 1 + step and second.read == min(90, 16 * step)
    assert len(second.tokens) == 1


def test_an_end_ends_the_answer(model: LoadedModel, answers: dict[Prompt, list[int]]) -> None:
    prompt, answer = next((p, a) for p, a in answers.items() if a.index(a[5]) == 5)
    work = runner(model)
    running = work.admit(Request(prompt, 24, ends=frozenset({answer[5]})))
    assert finished(work, [running]) == [answer[:6]] and running.finish == "stop"
    last = work.admit(Request(prompt, 6, ends=frozenset({answer[5]})))
    assert finished(work, [last]) == [answer[:6]] and last.finish == "stop", "an end in the last place is an end"


def test_the_cache_stays_within_its_bound(model: LoadedModel) -> None:
    """Each request could be as long as all of the cache: they go one after the other, and none fails."""
    slots = Slots(model.shapes, 8, 100, model.dtype, model.device)
    work = Runner(model.module, slots, chunk=32)
    waiting = [Request(prompt, 30) for prompt in prompts(20, seed=5)]
    together = 0
    while waiting or len(work):
        while waiting and work.has_room(waiting[0]):
            work.admit(waiting.pop(0))
        work.step()
        together = max(together, len(work))
        assert slots.tokens <= 100
    assert together > 1


def test_a_request_that_fits_exactly(model: LoadedModel, folder: Path) -> None:
    """The last token is never read, so prompt and answer may take one token more than the cache."""
    work = runner(model, most=1, limit=20)
    prompt = tuple(range(11))
    assert work.has_room(Request(prompt, 10)) and not work.has_room(Request(prompt, 11))
    assert finished(work, [work.admit(Request(prompt, 10))]) == [alone(folder, prompt, 10)]


def test_bfloat16_differs_by_rounding_only(folder: Path, model: LoadedModel) -> None:
    """Loaded in 16 bits the check inside `load` holds, and most choices are the same."""
    from types import SimpleNamespace
    from typing import Any

    from text_generation.loading import load

    chosen: Any = SimpleNamespace(model=folder, dtype="bfloat16")
    work, exact = runner(load(chosen)), runner(model)
    asked = [Request(prompt, 1) for prompt in prompts(8, seed=9)]
    rounded = finished(work, [work.admit(request) for request in asked])
    same = sum(a == b for a, b in zip(rounded, finished(exact, [exact.admit(r) for r in asked]), strict=True))
    assert same >= 6


def test_seeds(model: LoadedModel) -> None:
    """The same seed gives the same answer whoever else is there; another seed another one."""

    def drawn(seed: int | None, others: int) -> list[int]:
        work = runner(model)
        for prompt in prompts(others, seed=7):
            work.admit(Request(prompt, 12, Sampling(1.5)))
        one = work.admit(Request((3, 1, 4), 20, Sampling(1.0, 0.95, seed)))
        return finished(work, [one])[0]

    assert drawn(11, 0) == drawn(11, 3)
    assert len({tuple(drawn(seed, 0)) for seed in (11, 12, None, None, -5, 2**63)}) == 6


@pytest.mark.parametrize(
    ("top_p", "allowed"),
    [(1.0, {0, 1, 2, 3}), (0.95, {0, 1, 2, 3}), (0.9, {0, 1, 2}), (0.75, {0, 1}), (0.5, {0}), (1e-9, {0})],
)
def test_nucleus(top_p: float, allowed: set[int]) -> None:
    """Chances are 0.5, 0.3, 0.12 and 0.08: the fewest tokens that together reach top_p."""
    logits = torch.tensor([0.5, 0.3, 0.12, 0.08]).log()
    draw = Draw.of(Sampling(1.0, top_p, seed=0), torch.device("cpu"))
    assert {choose(logits[None], [draw])[0] for _ in range(400)} == allowed


def test_temperature() -> None:
    """Chances 0.8 to 0.2: at temperature 0.5 they are 16 to 1; below 0.01 there is no chance."""
    logits = torch.tensor([[0.8, 0.2]]).log()
    draws = [Draw.of(Sampling(heat, seed=1), torch.device("cpu")) for heat in (1.0, 0.5, 0.009, 1e-308)]
    shares = [sum(choose(logits, [draw])[0] for _ in range(2000)) / 2000 for draw in draws]
    assert shares[0] == pytest.approx(0.2, abs=0.03) and shares[1] == pytest.approx(1 / 17, abs=0.02)
    assert shares[2:] == [0, 0]


def test_slots_grow_and_keep_what_is_there() -> None:
    slots = Slots([Shape(2, 4, 3)], most=5, limit=5 * STEP, dtype=torch.float32, device=torch.device("cpu"))
    slots.make_room(1, 3)
    keys, values = torch.rand(2, 3, 4), torch.rand(2, 3, 3)
    slots.extend(0, 0, 0, keys, values)
    slots.make_room(5, STEP)
    slots.move(0, 4, 3)
    slots.swap(4, 2, 3)
    own, theirs = slots.extend(0, 2, 3, torch.zeros(2, 1, 4), torch.zeros(2, 1, 3))
    assert torch.equal(own[:, :3], keys) and torch.equal(theirs[:, :3], values)
    assert (slots.count, slots.columns) == (5, STEP)
    slots.make_room(1, 5 * STEP)
    assert (slots.count, slots.columns) == (1, 5 * STEP), "long instead of many"
    with pytest.raises(ValueError, match="beyond 5 slots"):
        slots.make_room(2, 5 * STEP)
    slots.clear()
    assert slots.tokens == 0
