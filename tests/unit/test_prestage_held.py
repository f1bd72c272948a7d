"""A run with --hold copies everything and shows nothing; the load test, or a run without, lets readers see it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from generator.errors import UserError
from generator.gc import prefixes, removal
from generator.gc.bucket import Bucket
from generator.prestage import manifest
from generator.prestage import run as flow
from generator.prestage.exits import PrestageExit
from generator.prestage.limits import Verify
from tests.standins.s3proxy import Change, S3Proxy, S3Request, refusal
from tests.standins.seaweedfs import SeaweedFS
from tests.unit import loadtesting, prestaging, s3world
from tests.unit.prestaging import Ended, judge
from tests.unit.s3world import MANIFEST, NOTE, Place, done, stage

HELD = manifest.HELD
MODEL = loadtesting.model()
PLAN = prestaging.plan(MODEL)
SMALL = prestaging.plan({path: MODEL[path] for path in MODEL if path != "tokenizer.json"})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return prestaging.folder(tmp_path / "source", MODEL)


@pytest.fixture
def place(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Place:
    return s3world.place(seaweedfs, monkeypatch, sha256(request.node.nodeid.encode()).hexdigest()[:12])


@pytest.fixture
def proxied(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch, place: Place) -> Iterator[S3Proxy]:
    with S3Proxy(seaweedfs.url, lambda asked, length: None) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


def test_a_held_copy_is_whole_and_nobody_sees_it(place: Place, source: Path) -> None:
    ended = done(PLAN, place.url, source, hold=True)
    assert place.staged() == MODEL and ended.tally.held and not ended.tally.already
    assert HELD in place.paths() and MANIFEST not in place.paths() and NOTE not in place.paths()


def test_readers_take_it_for_none(place: Place, source: Path, tmp_path: Path) -> None:
    done(PLAN, place.url, source, hold=True)
    copied = stage(PLAN, tmp_path / "copy", place.url)
    assert (
        copied.error and copied.error.exit is PrestageExit.NOT_FOUND and "its manifest comes last" in copied.error.hint
    )
    key = f"models/tiny/{'0' * 12}"
    items = [prefixes.Item(f"{key}/{path}", 1, datetime.now(UTC)) for path in place.paths()]
    assert [prefix.complete for prefix in prefixes.held(items).prefixes] == [False]
    chosen = prestaging.settings(verify=Verify.FULL)
    flow.preview(PLAN, str(source), place.url, chosen)
    last = prestaging.said(chosen)[-1]
    assert (last["complete"], last["held"], last["copy"]) == (False, True, 0)


def test_the_load_test_publishes_it(place: Place, source: Path) -> None:
    done(PLAN, place.url, source, hold=True)
    body = place.get(HELD)
    ended = judge(PLAN, place.url)
    assert ended.error is None, ended.error.reason
    assert place.get(MANIFEST) == body and HELD not in place.paths()
    assert ended.of("published", "target") == [place.url] and not ended.tally.held
    assert (
        done(PLAN, place.url, "/nowhere").tally.already and done(PLAN, place.url, "/nowhere", hold=True).tally.already
    )


def test_a_faulty_one_stays_as_it_is(place: Place, source: Path) -> None:
    bad = {**MODEL, "config.json": b"{}"}
    plan = prestaging.plan(bad)
    done(plan, place.url, prestaging.folder(source, bad), hold=True)
    for _ in range(2):
        ended = judge(plan, place.url)
        assert ended.error and ended.error.exit is PrestageExit.INTEGRITY
        assert HELD in place.paths() and MANIFEST not in place.paths()


def test_a_second_run_finds_it(place: Place, source: Path) -> None:
    done(PLAN, place.url, source, hold=True)
    ended = done(PLAN, place.url, "/nowhere", hold=True)
    assert ended.tally.already and ended.tally.held and ended.tally.copied == 0
    assert ended.of("already", "by") == ["its manifest, which waits for the load test"] and HELD in place.paths()


def test_a_run_without_hold_finishes_it(place: Place, source: Path) -> None:
    done(PLAN, place.url, source, hold=True)
    ended = done(PLAN, place.url, "/nowhere")
    assert ended.tally.copied == 0 and not ended.tally.held
    assert MANIFEST in place.paths() and HELD not in place.paths()


@pytest.mark.parametrize("hold", [True, False])
def test_what_is_damaged_since_is_copied_again(place: Place, source: Path, hold: bool) -> None:
    done(PLAN, place.url, source, hold=True)
    place.delete("config.json")
    ended = done(PLAN, place.url, source, hold=hold)
    assert ended.of("damaged") == ["config.json"] and place.staged() == MODEL
    assert (MANIFEST in place.paths(), HELD in place.paths()) == (not hold, hold)


def test_hold_on_a_published_copy_says_already(place: Place, source: Path) -> None:
    done(PLAN, place.url, source)
    before = place.get(MANIFEST)
    ended = done(PLAN, place.url, "/nowhere", hold=True)
    assert ended.tally.already and not ended.tally.held
    assert place.get(MANIFEST) == before and HELD not in place.paths()


def test_more_files_of_a_published_copy_are_held(place: Place, source: Path) -> None:
    """What is in service stays in service; the load test is of all."""
    done(SMALL, place.url, source)
    before = place.get(MANIFEST)
    ended = done(PLAN, place.url, source, hold=True)
    assert ended.tally.held and ended.tally.copied == len(MODEL["tokenizer.json"])
    assert place.get(MANIFEST) == before and HELD in place.paths()
    assert judge(PLAN, place.url).error is None
    assert [entry["path"] for entry in place.manifest()["files"]] == sorted(MODEL) and HELD not in place.paths()


def test_more_files_of_a_held_copy(place: Place, source: Path) -> None:
    done(SMALL, place.url, source, hold=True)
    assert done(PLAN, place.url, source, hold=True).tally.copied == len(MODEL["tokenizer.json"])
    assert judge(PLAN, place.url).error is None
    assert [entry["path"] for entry in place.manifest()["files"]] == sorted(MODEL)


def test_runs_at_once_make_one_held_copy(place: Place, source: Path) -> None:
    ended = list[Ended]()
    runs = [threading.Thread(target=lambda: ended.append(done(PLAN, place.url, source, hold=True))) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(120)
    assert len(ended) == 3 and all(one.tally.held for one in ended)
    assert sorted(place.paths()) == sorted([*MODEL, HELD]) and place.uploads() == []


def test_who_comes_second_says_so(place: Place, source: Path, proxied: S3Proxy) -> None:
    """Another run holds, or has published, the same copy right before ours would write."""
    left = [True]

    def change(asked: S3Request, length: int) -> None:
        if left[0] and asked.operation == "PutObject" and asked.key == place.key(HELD):
            left[0] = False
            other = replace_prefix(place)
            done(SMALL, other.url, source, hold=True)
            place.put(HELD, other.get(HELD))

    proxied.change = change
    ended = done(PLAN, place.url, source, hold=True)
    assert ended.tally.held and judge(PLAN, place.url).error is None
    assert [entry["path"] for entry in place.manifest()["files"]] == sorted(MODEL)


def replace_prefix(place: Place) -> Place:
    return place.beside("-other")


def test_a_role_that_may_not_delete_leaves_it_behind(place: Place, source: Path, proxied: S3Proxy) -> None:
    """The copy is published all the same, and the next run does not mind."""
    done(PLAN, place.url, source, hold=True)
    proxied.change = lambda asked, length: refusal(403, "AccessDenied") if asked.operation == "DeleteObject" else None
    ended = judge(PLAN, place.url)
    assert ended.error is None and "leftovers stay" in ended.of("warning", "reason")[0]
    assert {MANIFEST, HELD} <= set(place.paths())
    proxied.change = lambda asked, length: None
    assert done(PLAN, place.url, "/nowhere", hold=True).tally.already and HELD not in place.paths()


def test_an_answer_that_is_lost(place: Place, source: Path, proxied: S3Proxy) -> None:
    """The real manifest was written, and nobody heard of it."""
    done(PLAN, place.url, source, hold=True)
    left = [True]

    def change(asked: S3Request, length: int) -> Change | None:
        if left[0] and asked.operation == "PutObject":
            left[0] = False
            return Change(drop="after")
        return None

    proxied.change = change
    ended = judge(PLAN, place.url)
    assert ended.error is None, ended.error.reason
    assert MANIFEST in place.paths() and HELD not in place.paths()


ACTS: dict[str, Callable[[Path, Path], Ended]] = {
    "the load test": lambda target, source: judge(PLAN, target),
    "a run": lambda target, source: prestaging.done(PLAN, target, source),
}


@pytest.mark.parametrize("act", ACTS)
def test_volumes_hold_too(tmp_path: Path, source: Path, act: str) -> None:
    target = tmp_path / "target"
    assert prestaging.done(PLAN, target, source, hold=True).tally.held
    assert (target / HELD).is_file() and not (target / MANIFEST).exists()
    assert prestaging.done(PLAN, target, "/nowhere", hold=True).tally.already
    ended = ACTS[act](target, source)
    assert ended.error is None and (target / MANIFEST).is_file() and not (target / HELD).exists()
    assert prestaging.staged(target) == MODEL


def test_another_commit_in_the_way(place: Place, source: Path) -> None:
    done(PLAN, place.url, source, hold=True)
    other = replace(PLAN, commit="d" * 40)
    for ended in (stage(other, place.url, source), judge(other, place.url)):
        assert ended.error and ended.error.exit is PrestageExit.INTEGRITY and "holds commit" in ended.error.reason


def test_removal_begins_with_it(place: Place, source: Path, proxied: S3Proxy) -> None:
    """A load test that comes meanwhile finds nothing to publish."""
    key = f"models/tiny/{sha256(place.prefix.encode()).hexdigest()[:12]}"
    mine = Place(place.client, key)
    done(PLAN, mine.url, source, hold=True)

    def change(asked: S3Request, length: int) -> Change | None:
        deletes = [one for one in proxied.asked if one.operation == "DeleteObjects"]
        return refusal(403, "AccessDenied") if asked.operation == "DeleteObjects" and len(deletes) > 1 else None

    proxied.change = change
    with pytest.raises(UserError):
        removal.remove(Bucket(s3world.BUCKET), key, timedelta(days=1), datetime.now(UTC) + timedelta(days=2))
    assert HELD not in mine.paths() and set(MODEL) == set(mine.paths())
    ended = judge(PLAN, mine.url)
    assert ended.error and ended.error.exit is PrestageExit.NOT_FOUND
