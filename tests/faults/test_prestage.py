"""A slice of `python -m tests.faults.prestage`, and clients that are broken on purpose, which have to be caught."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from tests.faults.prestage import run
from tests.faults.prestage_scenes import BUCKET, World, at_the_end, model, world
from tests.faults.prestage_sections import Found
from tests.standins.seaweedfs import SeaweedFS

pytestmark = pytest.mark.alone

Background = dict[tuple[str, str], Future[Found]]

SEED = 20260


SLICE = (("kills", 8), ("races", 2), ("terms", 7), ("s3-faults", 60), ("hub-faults", 60), ("corruptions", 30))
BROKEN = (
    ("manifest first", "kills", 12, "a manifest, but no model-"),
    ("no sweep", "kills", 12, "is left"),
    ("no comparison", "corruptions", 11, "is visible and wrong"),
    ("no pause", "hub-faults", 40, "in a row came 0.0"),
)
PATIENT = ("corruptions", "hub-faults", "s3-faults")  # sections whose runs mostly wait: they do so behind the others


@pytest.fixture(scope="module")
def place(seaweedfs: SeaweedFS) -> Iterator[World]:
    with world(seaweedfs) as made:
        yield made


@pytest.fixture(scope="module")
def background(place: World) -> Iterator[Background]:
    """What the patient sections find, by what is broken and by name."""
    cases = [("", name, count) for name, count in SLICE]
    cases += [(broken, name, count) for broken, name, count, _ in BROKEN]
    with ThreadPoolExecutor(2) as pool:
        yield {
            (broken, name): pool.submit(_run, place, broken, name, count)
            for broken, name, count in cases
            if name in PATIENT
        }


def _run(place: World, broken: str, section: str, count: int) -> Found:
    return run(place, section, count, SEED, broken=[broken] if broken else [])


def _found(place: World, background: Background, broken: str, section: str, count: int) -> Found:
    waited_for = background.get((broken, section))
    return waited_for.result() if waited_for else _run(place, broken, section, count)


@pytest.mark.parametrize(("section", "count"), SLICE)
def test_the_promises_hold(place: World, background: Background, section: str, count: int) -> None:
    found = _found(place, background, "", section, count)
    assert not found.wrong, "\n".join(found.wrong)
    assert found.count >= count


@pytest.mark.long
@pytest.mark.parametrize(("broken", "section", "count", "told"), BROKEN)
def test_a_broken_client_is_caught(
    place: World, background: Background, broken: str, section: str, count: int, told: str
) -> None:
    found = _found(place, background, broken, section, count)
    assert any(told in wrong for wrong in found.wrong), found


def test_clients_of_the_nursery_are_the_program(place: World, tmp_path: Path) -> None:
    """The same run as `python -m generator.prestage` in a process of its own."""
    events = []
    for name in ("forked", "alone"):
        with place.trial(f"nursery-{name}") as trial:
            made = model(trial.hub, "org/m", (7 * 2**20,), Random(1))
            if name == "forked":
                client = trial.start(made.plan())
                assert client.wait(60) == 0, client.said()
                said = client.output.read_text()
            else:
                (tmp_path / "plan.json").write_bytes(made.plan())
                command = [sys.executable, "-m", "generator.prestage", str(tmp_path / "plan.json")]
                own = {"HF_ENDPOINT": trial.hub.url, "PATH": os.environ["PATH"]}
                said = subprocess.run(
                    [*command, "--target", f"s3://{BUCKET}/{trial.prefix}"],
                    env={**place.environment, **own},
                    capture_output=True,
                    text=True,
                    check=True,
                    timeout=60,
                ).stdout
            assert at_the_end(trial, made) == []
            events.append(sorted((event["event"], *sorted(event)) for event in map(json.loads, said.splitlines())))
    assert events[0] == events[1]
