"""A slice of `python -m tests.faults.serving`, and applications that are broken on purpose, which have to be caught.

What a section promises in milliseconds is judged by the command, on a machine that does nothing else; so are changes of
the revision and drains, which take half a minute each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.serving import SECTIONS
from tests.faults.serving_alterations import altered
from tests.faults.serving_load import Measured
from tests.faults.serving_refusals import broken_models
from tests.faults.serving_scene import SERVING, Scene, archive, scene

pytestmark = [pytest.mark.serving, pytest.mark.alone]

SEED = 20261
SLICE = (("malformed", 150), ("stallers", 32), ("overload", 4), ("kills", 1))


@pytest.fixture(scope="module")
def place() -> Iterator[Scene]:
    with scene() as made:
        yield made


@pytest.fixture(scope="module")
def broken(place: Scene, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The same cluster, with an application that is broken in two ways."""
    folder = tmp_path_factory.mktemp("broken")
    names = ("leaks slots", "fails on bad input")
    place.revise(place.models[0], archive(folder, altered(SERVING, names, folder / "serving")))
    return place


def run(place: Scene, section: str, count: int) -> Measured:
    return SECTIONS[section].run(place, count, SEED)


@pytest.mark.parametrize(("section", "count"), SLICE)
def test_the_promises_hold(place: Scene, section: str, count: int) -> None:
    found = run(place, section, count)
    assert not found.wrong, "\n".join(found.wrong)
    assert found.count >= count


def test_every_broken_folder_is_refused() -> None:
    found = broken_models(SERVING, every=6)
    assert not found.wrong, "\n".join(found.wrong)
    assert found.notes["started"] == 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("names", "told"),
    [(["trusts every folder"], "not refused with a reason"), (["calls home"], "it opens a network socket")],
    ids=["trusts", "calls home"],
)
def test_an_application_that_starts_too_easily_is_caught(tmp_path: Path, names: list[str], told: str) -> None:
    found = broken_models(altered(SERVING, names, tmp_path / "serving"), every=8)
    assert any(told in wrong for wrong in found.wrong), found


@pytest.mark.long
@pytest.mark.parametrize(
    ("section", "count", "told"),
    [
        ("malformed", 30, "500 (500"),
        ("stallers", 16, "slots are taken after"),
    ],
)
def test_a_broken_application_is_caught(broken: Scene, section: str, count: int, told: str) -> None:
    found = run(broken, section, count)
    assert any(told in wrong for wrong in found.wrong), found
