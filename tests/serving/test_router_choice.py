"""Shares and stickiness of the router, as properties of its choice."""

from __future__ import annotations

import math
from typing import Any

import pytest
from common.errors import StartRefused
from hypothesis import given, settings
from hypothesis import strategies as st
from router import config
from router.choice import choose, draw, score

KEYS = [f"user-{number}".encode() for number in range(4000)]
MODELS = st.lists(st.text("abcdefgh-", min_size=1, max_size=8), min_size=2, max_size=6, unique=True)
WEIGHTS = st.integers(0, 1000)


@st.composite
def routings(draw_from: st.DrawFn) -> dict[str, int]:
    models = draw_from(MODELS)
    weights = draw_from(st.lists(WEIGHTS, min_size=len(models), max_size=len(models)).filter(any))
    return dict(zip(models, weights, strict=True))


@given(routings(), st.binary(max_size=64), st.randoms())
def test_the_choice_is_of_key_and_weights_alone(weights: dict[str, int], key: bytes, chance: Any) -> None:
    shuffled = list(weights.items())
    chance.shuffle(shuffled)
    chosen = choose(key, weights)
    assert weights[chosen] > 0
    assert choose(key, dict(shuffled)) == chosen


@given(routings(), st.integers(0, 1000), st.data())
@settings(max_examples=50)
def test_a_new_weight_moves_keys_to_or_from_that_model_only(
    weights: dict[str, int], weight: int, data: st.DataObject
) -> None:
    changed = data.draw(st.sampled_from(sorted(weights)))
    after = weights | {changed: weight}
    if not any(after.values()):
        return
    for key in KEYS[:200]:
        old, new = choose(key, weights), choose(key, after)
        if old != new:
            assert (new if weight > weights[changed] else old) == changed


@given(routings(), st.integers(1, 1000), st.binary(max_size=16))
@settings(max_examples=50)
def test_a_model_that_comes_or_goes_moves_no_others(weights: dict[str, int], weight: int, key: bytes) -> None:
    assert choose(key, weights | {"new": weight}) in {"new", choose(key, weights)}


@pytest.mark.parametrize(
    "weights",
    [{"a": 90, "b": 10}, {"a": 1, "b": 1}, {"a": 1, "b": 999}, {"a": 5, "b": 3, "c": 2}, {"a": 1, "b": 0, "c": 3}],
)
def test_shares_are_those_of_the_weights(weights: dict[str, int]) -> None:
    """Of 4,000 keys each model has its share, within four standard deviations; the keys are fixed."""
    whole = sum(weights.values())
    chosen = [choose(key, weights) for key in KEYS]
    for model, weight in weights.items():
        share = weight / whole
        spread = 4 * math.sqrt(len(KEYS) * share * (1 - share))
        assert abs(chosen.count(model) - len(KEYS) * share) <= spread


def test_a_change_moves_the_share_that_must_move() -> None:
    """From 90:10 to 80:20 a tenth of the keys moves, all of them from the first model to the second."""
    moves = [
        (old, new)
        for key in KEYS
        if (old := choose(key, {"a": 90, "b": 10})) != (new := choose(key, {"a": 80, "b": 20}))
    ]
    assert set(moves) == {("a", "b")}
    assert abs(len(moves) - len(KEYS) / 10) <= 4 * math.sqrt(len(KEYS) * 0.1 * 0.9)


def test_the_same_shares_in_other_numbers_move_nothing() -> None:
    assert all(choose(key, {"a": 9, "b": 1}) == choose(key, {"a": 900, "b": 100}) for key in KEYS)


def test_the_choice_is_the_same_on_every_machine() -> None:
    """Pinned: another hash would send every user to another model with the next release."""
    assert [choose(key, {"a": 50, "b": 50}) for key in KEYS[:8]] == [*"bbbaabaa"]
    assert 0 < draw(b"", "a") < 1
    assert score(b"x", "a", 2) == 2 * score(b"x", "a", 1) > 0


def test_no_weight_at_all() -> None:
    with pytest.raises(ValueError, match="no model has a weight above 0"):
        choose(b"x", {"a": 0})


def test_user_config() -> None:
    routing = config.read({"weights": {"b": 1, "a": 0}, "sticky": "X-User"}, ["a", "b"])
    assert (list(routing.weights.items()), routing.sticky) == ([("a", 0), ("b", 1)], "x-user")
    assert config.read({"weights": {"a": 1, "b": 0}}, ["a", "b"]).sticky is None


@pytest.mark.parametrize(
    ("given_config", "reason"),
    [
        (None, "has the keys weights and sticky"),
        ({"weight": {}}, "has the keys weights and sticky"),
        ({}, "names no models, the models are a, b"),
        ({"weights": {"a": 1}}, "names a, the models are a, b"),
        ({"weights": {"a": 1, "b": 1, "c": 1}}, "names a, b, c"),
        ({"weights": {"a": -1, "b": 1}}, "the weight of a is -1"),
        ({"weights": {"a": True, "b": 1}}, "the weight of a is True"),
        ({"weights": {"a": 1, "b": 1001}}, "the weight of b is 1001"),
        ({"weights": {"a": 0, "b": 0}}, "every weight is 0"),
        ({"weights": {"a": 1, "b": 0}, "sticky": ""}, "not the name of a header"),
        ({"weights": {"a": 1, "b": 0}, "sticky": 5}, "not the name of a header"),
    ],
)
def test_a_faulty_user_config_is_refused(given_config: Any, reason: str) -> None:
    with pytest.raises(StartRefused, match=reason):
        config.read(given_config, ["a", "b"])
