"""Faults are drawn as the seed says, and hot loops are found."""

from __future__ import annotations

import pytest

from tests.standins.faultplan import REDIRECT, FaultPlan, Tried, hot_loops


def test_the_draw_does_not_depend_on_the_order_of_threads() -> None:
    things = [f"thing {number}" for number in range(50)]
    first, second = FaultPlan("1", 0.5), FaultPlan("1", 0.5)
    drawn = {thing: first.draw(thing, ["a", "b"])[0] for thing in things}
    assert {thing: second.draw(thing, ["a", "b"])[0] for thing in reversed(things)} == drawn
    assert set(drawn.values()) == {"", "a", "b"}
    assert [FaultPlan("2", 0.5).draw(thing, ["a", "b"])[0] for thing in things] != list(drawn.values())


def test_redirects_are_followed_at_once_but_not_for_ever() -> None:
    def chain(hops: int) -> list[Tried]:
        return [Tried("a", number / 100, REDIRECT) for number in range(hops)]

    pauses = [Tried("a", 1.0 + number, REDIRECT if number % 2 else "503") for number in range(5)]
    assert not list(hot_loops([*chain(10), *pauses]))
    assert list(hot_loops(chain(80)))


@pytest.mark.parametrize(("gap", "hot"), [(0.1, 2), (1.0, 0)])
def test_uploads_are_begun_again_only_after_a_failure(gap: float, hot: int) -> None:
    tried = [Tried("CreateMultipartUpload a", number * gap, "") for number in range(5)]
    assert len(list(hot_loops(tried))) == hot


@pytest.mark.parametrize(("rate", "least", "most"), [(0.0, 0, 0), (0.2, 150, 250), (1.0, 1000, 1000)])
def test_rate(rate: float, least: int, most: int) -> None:
    plan = FaultPlan("1", rate)
    for number in range(1000):
        plan.draw(str(number), ["a"])
    assert least <= plan.faults.total() <= most


def test_the_first_tries_of_everything() -> None:
    plan = FaultPlan("1", 0.0, first=2)
    assert [plan.draw(thing, ["a"])[0] for thing in "xxxyyy"] == ["a", "a", "", "a", "a", ""]


def test_a_weight_of_nothing_and_no_kind_that_fits() -> None:
    plan = FaultPlan("1", 1.0, weights={"a": 0.0})
    assert {plan.draw("x", ["a", "b"])[0] for _ in range(20)} == {"b"}
    assert plan.draw("x", [])[0] == plan.draw("x", ["a"])[0] == ""


@pytest.mark.parametrize(
    ("times", "faults", "hot"),
    [
        ((0, 0.1, 0.2, 1.3, 2.4), "xxxxx", 0),
        ((0, 0.1, 0.2, 0.9), "xxxx", 1),
        ((0, 1, 2, 3, 3.5, 4), "xxxxxx", 2),
        ((0, 0.1, 0.2, 0.3, 0.4), "xx.xx", 0),  # a success in between
        ((0, 1, 2, 2.5, 2.6), "xxx..", 1),  # the try after the third counts, what follows a success does not
    ],
)
def test_hot_loops(times: tuple[float, ...], faults: str, hot: int) -> None:
    tried = [Tried("a", at, fault.strip(".")) for at, fault in zip(times, faults, strict=True)]
    others = [Tried("b", at + 0.01, "") for at in times]
    assert len(list(hot_loops([*tried, *others]))) == hot
