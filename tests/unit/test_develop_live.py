"""Which version runs, whatever is written. Real changes on a real Ray: tests/e2e/test_develop.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from generator.develop import version
from generator.develop.live import UntouchedError, loop
from generator.develop.version import Version
from generator.errors import UserError
from tests.unit.developing import repository


@dataclass
class Place:
    """Takes a version as its code says: `ok`, `refused` before anything changes, `fails` afterwards."""

    deployed: list[str] = field(default_factory=list)
    dead: bool = False

    def deploy(self, version: Version) -> Mapping[str, str]:
        code = version.files["x"].decode()
        self.deployed.append(code)
        if code == "refused":
            raise UntouchedError.of("refused")
        if code == "fails":
            raise UserError.of("does not start")
        return {}

    def check(self) -> None:
        if self.dead:
            raise UserError.of("gone")


@pytest.fixture
def first(tmp_path: Path) -> Version:
    return replace(version.read(repository(tmp_path), "chat"), files={"x": b"ok"})


def run(place: Place, first: Version, *codes: str) -> tuple[list[str], list[str]]:
    """What is said and what is told where each code in turn is written; `unreadable` is no Python."""
    said: list[str] = []
    told: list[str] = []
    files: Iterator[str] = iter(codes)

    def read() -> Version:
        code = next(files)
        if code == "unreadable":
            raise UserError.of("is no Python")
        return replace(first, files={"x": code.encode()})

    changes = [(Path("serving/common/x.py"),)] * len(codes)
    loop(place, first, read, changes, said.append, lambda error: told.append(str(error)))
    return [line for line in said if line != "common/x.py changed"], told


@pytest.mark.parametrize(
    ("codes", "deployed", "said", "told"),
    [
        (["new"], ["new"], ["reloaded"], []),
        (["ok"], [], ["which changes nothing of the service"], []),
        (["unreadable", "new"], ["new"], ["the version before goes on serving", "reloaded"], ["is no Python"]),
        (["refused"], ["refused"], ["the version before goes on serving"], ["refused"]),
        (
            ["new", "fails", "new"],
            ["new", "fails", "new"],
            [
                "reloaded",
                "going back to the version before",
                "the version before serves",
                "which changes nothing of the service",
            ],
            ["does not start"],
        ),
    ],
    ids=["changed", "same", "unreadable", "refused", "fails"],
)
def test_what_runs(first: Version, codes: list[str], deployed: list[str], said: list[str], told: list[str]) -> None:
    place = Place()
    assert run(place, first, *codes) == (said, told)
    assert place.deployed == deployed


def test_a_place_that_is_gone_ends_it(first: Version) -> None:
    place = Place(dead=True)
    with pytest.raises(UserError, match="gone"):
        run(place, first, "fails")
    assert place.deployed == ["fails"]
