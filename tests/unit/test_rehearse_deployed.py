"""Which services a tree has, and what becomes of their templates. Expansion by helm and kro: tests/e2e."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.errors import UserError
from generator.rehearse import deployed
from generator.rehearse.deployed import Place
from tests.conftest import ROOT

CASES = ROOT / "tests" / "cases"


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("plain-helm", [Place("main", "chat", "services-helm")]),
        ("gpu-locked", [Place("gpu", "large", "services-kro"), Place("gpu", "small", "services-kro")]),
        ("minimal", []),
    ],
)
def test_places(case: str, expected: list[Place]) -> None:
    assert list(deployed.places(CASES / case / "expected")) == expected


def test_no_tree(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rendered tree") as error:
        deployed.places(tmp_path)
    assert "modelyard render" in error.value.diagnostics[0].hint


PLACES = (
    Place("east", "chat", "services-kro"),
    Place("east", "search", "services-kro"),
    Place("west", "chat", "services-helm"),
)


@pytest.mark.parametrize(
    ("service", "cluster", "expected"),
    [
        (None, None, PLACES),
        ("chat", None, (PLACES[0], PLACES[2])),
        (None, "east", PLACES[:2]),
        ("chat", "west", PLACES[2:]),
    ],
)
def test_chosen(service: str | None, cluster: str | None, expected: tuple[Place, ...]) -> None:
    assert deployed.chosen(PLACES, service, cluster, Path("rendered")) == expected


@pytest.mark.parametrize(
    ("service", "cluster", "message", "hint"),
    [
        ("chatt", None, "no service `chatt`", "did you mean `chat`?"),
        ("other", None, "no service `other`", "known here: chat, search"),
        ("search", "west", "no service `search` on cluster `west`", "known here: chat"),
        (None, "wst", "no cluster `wst`", "did you mean `west`?"),
    ],
)
def test_what_is_not_there(service: str | None, cluster: str | None, message: str, hint: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        deployed.chosen(PLACES, service, cluster, Path("rendered"))
    assert error.value.diagnostics[0].hint == hint


def test_a_tree_without_services() -> None:
    with pytest.raises(UserError, match="has no service"):
        deployed.chosen((), None, None, Path("rendered"))


def test_helm_that_cannot_be_started() -> None:
    tree = CASES / "plain-helm" / "expected"
    with pytest.raises(UserError, match="cannot run helm: No such file"):
        deployed.deploy(tree, deployed.places(tree)[0], "/nowhere/helm")


def test_a_tree_that_lacks_a_file(tmp_path: Path) -> None:
    (tmp_path / ".modelyard").mkdir()
    (tmp_path / "bootstrap" / "applications").mkdir(parents=True)
    with pytest.raises(UserError, match="is missing"):
        deployed.deploy(tmp_path, Place("a", "b", "services-kro"), "helm")
