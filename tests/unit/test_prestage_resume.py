"""A killed run's parts in S3 are taken up where their digest is proved, and only there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from generator.prestage import digest
from generator.prestage.place import S3Prefix
from generator.prestage.plan import Plan
from generator.prestage.targets import s3
from generator.prestage.targets.s3 import S3Target
from tests.standins.seaweedfs import SeaweedFS
from tests.unit import prestaging, s3world
from tests.unit.prestaging import BYTES, OTHER, WEIGHTS, plan
from tests.unit.s3world import LARGE, NOTE, PART, Place, done, stage

PLAN = plan(LARGE)
SMALL_PART = prestaging.PART  # enough while nothing is completed


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return prestaging.folder(tmp_path / "source", LARGE)


@pytest.fixture
def empty(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Place:
    return s3world.place(seaweedfs, monkeypatch, sha256(request.node.nodeid.encode()).hexdigest()[:12])


def broken_off(plan: Plan, place: Place, source: Path, part: int) -> None:
    """A run that ends after two parts of the weights."""
    whole = (source / WEIGHTS).read_bytes()
    (source / WEIGHTS).write_bytes(whole[: 2 * part])
    ended = prestaging.stage(plan, place.url, source, workers=1, tries=1, part=part)
    (source / WEIGHTS).write_bytes(whole)
    assert ended.error and WEIGHTS in ended.error.reason


@pytest.fixture
def place(empty: Place, source: Path) -> Place:
    """What such a run has left."""
    broken_off(PLAN, empty, source, PART)
    assert empty.note()["files"][WEIGHTS]["done"] == 2 and WEIGHTS not in empty.paths()
    return empty


def complete(place: Place) -> bool:
    return place.staged() == LARGE and place.uploads() == [] and NOTE not in place.paths()


def test_proved_parts_are_taken_up(place: Place, source: Path) -> None:
    ended = done(PLAN, place.url, source)
    assert ended.of("resumed", "bytes") == [2 * PART] and ended.of("retry") == [] and complete(place)
    there = sum(map(len, LARGE.values())) - ended.tally.copied
    assert there >= 2 * PART + len(LARGE["config.json"])


def test_the_note_survives_another_failure(place: Place, source: Path) -> None:
    broken_off(PLAN, place, source, PART)
    assert done(PLAN, place.url, source).of("resumed", "bytes") == [2 * PART] and complete(place)


def test_another_part_size_begins_anew(place: Place, source: Path) -> None:
    ended = done(PLAN, place.url, source, part=PART + 2**20)
    assert ended.of("resumed") == [] and complete(place)


@pytest.mark.parametrize("facts", [{"state": "0" * 64}, {"crc32": "00000000"}], ids=["state", "crc32"])
def test_a_wrong_state_costs_time_and_no_more(place: Place, source: Path, facts: dict[str, str]) -> None:
    """What was hashed from it never becomes visible; the file is fetched again."""
    changed(**facts)(place)
    ended = stage(PLAN, place.url, source)
    assert ended.error is None, ended.error.reason
    assert complete(place) and len(ended.of("retry")) == 1


@pytest.fixture
def without_libcrypto(monkeypatch: pytest.MonkeyPatch, place: Place) -> Iterator[None]:
    """The second run's image has none."""

    def missing() -> None:
        raise OSError("no libcrypto")

    monkeypatch.setattr(digest, "_libcrypto", missing)
    digest.resumable.cache_clear()
    yield
    digest.resumable.cache_clear()


def test_without_libcrypto_it_begins_anew(place: Place, source: Path, without_libcrypto: None) -> None:
    ended = stage(PLAN, place.url, source)
    assert ended.error is None and ended.of("resumed") == [] and complete(place)


def test_notes_are_written_while_a_run_goes_on(empty: Place, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed has no time to write one."""
    monkeypatch.setattr(s3, "_NOTE_BYTES", PART)
    monkeypatch.setattr(S3Target, "save", lambda self: None)
    broken_off(PLAN, empty, source, PART)
    assert empty.note()["files"][WEIGHTS]["done"] == 2


def changed(**facts: Any) -> Callable[[Place], None]:
    def change(place: Place) -> None:
        note = place.note()
        note["files"][WEIGHTS] |= facts
        place.put(NOTE, json.dumps(note).encode())

    return change


def aborted(place: Place) -> None:
    (upload,) = place.uploads()
    place.client.abort_multipart_upload(Bucket=s3world.BUCKET, Key=place.key(WEIGHTS), UploadId=upload)


def another_upload(*parts: bytes) -> Callable[[Place], None]:
    return lambda place: changed(upload=place.begin(WEIGHTS, dict(enumerate(parts, 1))))(place)


FIRST, SECOND, WRONG = BYTES[:SMALL_PART], BYTES[SMALL_PART : 2 * SMALL_PART], OTHER[SMALL_PART : 2 * SMALL_PART]


DOUBTS: dict[str, Callable[[Place], None]] = {
    "no note": lambda place: place.delete(NOTE),
    "no JSON": lambda place: place.put(NOTE, b"{"),
    "no note of ours": lambda place: place.put(NOTE, b'{"version": 1, "files": {"a": 5}}'),
    "another version": lambda place: place.put(NOTE, json.dumps({**place.note(), "version": 2}).encode()),
    "another digest": changed(digest=f"sha256:{'0' * 64}"),
    "another part size": changed(part=6 * 2**20),
    "more parts": changed(done=3),
    "no parts": changed(done=0),
    "fewer parts": changed(done=1),
    "half a part": changed(done=1.5),
    "another upload": changed(upload="nobody"),
    "a lacking part": another_upload(FIRST),
    "another part": another_upload(FIRST, WRONG),
    "a shorter part": another_upload(FIRST, SECOND[:-1]),
    "other parts": changed(etags="0" * 64),
    "a short state": changed(state="00"),
    "a state that is none": changed(state=None),
    "an aborted upload": aborted,
}


def adopted(place: Place) -> int:
    """How many parts a run would take up."""
    target = S3Target(s3_prefix(place), prestaging.settings())
    target.survey(0)
    (weights,) = (file for file in prestaging.plan().files or () if file.path == WEIGHTS)
    return target.upload(weights, SMALL_PART, "").done


def s3_prefix(place: Place) -> S3Prefix:
    return S3Prefix(s3world.BUCKET, place.prefix)


@pytest.mark.parametrize("doubt", ["none", "no other", *DOUBTS])
def test_parts_in_doubt_are_not(empty: Place, tmp_path: Path, doubt: str) -> None:
    broken_off(prestaging.plan(), empty, prestaging.folder(tmp_path / "small"), SMALL_PART)
    {"none": changed(), "no other": another_upload(FIRST, SECOND), **DOUBTS}[doubt](empty)
    assert adopted(empty) == (0 if doubt in DOUBTS else 2)
