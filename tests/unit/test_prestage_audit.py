"""Copies that say they are complete are looked at as closely as asked, and previews touch nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from generator.prestage import run as flow
from generator.prestage.exits import PrestageExit
from generator.prestage.limits import Verify
from tests.standins.s3proxy import Change, S3Proxy, S3Request
from tests.standins.seaweedfs import SeaweedFS
from tests.unit import prestaging, s3world
from tests.unit.prestaging import FILES, OTHER, WEIGHTS, done, plan, staged
from tests.unit.s3world import MANIFEST, Place

PLAN = plan()
SMALL = "config.json"
SIZES = sum(map(len, FILES.values()))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return prestaging.folder(tmp_path / "source")


@pytest.fixture
def empty(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Place:
    return s3world.place(seaweedfs, monkeypatch, sha256(request.node.nodeid.encode()).hexdigest()[:12])


@pytest.fixture
def place(empty: Place, source: Path) -> Place:
    """A complete copy."""
    s3world.done(PLAN, empty.url, source)
    return empty


@pytest.fixture
def proxied(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch, place: Place) -> Iterator[S3Proxy]:
    with S3Proxy(seaweedfs.url, lambda asked, length: None) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


DAMAGE: dict[str, tuple[Callable[[Place], None], str, frozenset[Verify]]] = {
    "deleted": (lambda place: place.delete(SMALL), SMALL, frozenset(Verify)),
    "another size": (lambda place: place.put(SMALL, b"{ }"), SMALL, frozenset(Verify)),
    "same size": (lambda place: place.put(WEIGHTS, OTHER), WEIGHTS, frozenset((Verify.CHECKSUM, Verify.FULL))),
    "same size, a checksum": (
        lambda place: place.put(WEIGHTS, OTHER, ChecksumAlgorithm="CRC32"),
        WEIGHTS,
        frozenset((Verify.CHECKSUM, Verify.FULL)),
    ),
    "same size, another checksum": (
        lambda place: place.put(WEIGHTS, OTHER, ChecksumAlgorithm="SHA256"),
        WEIGHTS,
        frozenset((Verify.CHECKSUM, Verify.FULL)),
    ),
}


@pytest.mark.parametrize("verify", Verify)
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_and_mended(place: Place, source: Path, damage: str, verify: Verify) -> None:
    act, path, found_by = DAMAGE[damage]
    before = place.get(MANIFEST)
    act(place)
    ended = s3world.done(PLAN, place.url, source, verify=verify)
    assert (set(ended.of("damaged")) == {path}) is (verify in found_by)
    assert (place.staged() == FILES) is (verify in found_by)
    assert ended.tally.already is (verify not in found_by) and place.get(MANIFEST) == before


@pytest.mark.parametrize(
    ("verify", "reads", "looks"), [(Verify.SIZE, 0, 0), (Verify.CHECKSUM, 0, 3), (Verify.FULL, 3, 0)]
)
def test_looking_costs_what_was_asked_for(
    place: Place, proxied: S3Proxy, verify: Verify, reads: int, looks: int
) -> None:
    s3world.done(PLAN, place.url, "/nowhere", verify=verify)
    keys = {place.key(path) for path in FILES}
    asked = [one.operation for one in proxied.asked if one.key in keys]
    assert (asked.count("GetObject"), asked.count("HeadObject")) == (reads, looks)


def test_an_object_without_a_checksum_is_read(place: Place, proxied: S3Proxy) -> None:
    """It was copied by other means, and is right."""
    place.put(SMALL, FILES[SMALL], ChecksumAlgorithm="SHA256")
    ended = s3world.done(PLAN, place.url, "/nowhere")
    assert ended.tally.already
    assert place.key(SMALL) in {one.key for one in proxied.asked if one.operation == "GetObject"}


def previewed(target: object, source: object = None, **facts: Any) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """What is wrong, and what is said."""
    chosen = prestaging.settings(**{"part": s3world.PART, **facts})
    wrong = flow.preview(PLAN, str(source) if source else None, str(target) if target else None, chosen)
    return wrong, prestaging.said(chosen)


def actions(said: list[dict[str, Any]]) -> dict[str, str]:
    return {line["path"]: line["action"] for line in said if line["event"] == "planned"}


@pytest.mark.parametrize("verify", Verify)
def test_an_audit_names_what_is_wrong_and_mends_nothing(place: Place, verify: Verify) -> None:
    place.put(WEIGHTS, OTHER)
    place.delete(SMALL)
    wrong, said = previewed(place.url, verify=verify)
    assert set(wrong) == ({SMALL} if verify is Verify.SIZE else {SMALL, WEIGHTS})
    assert {path for path, action in actions(said).items() if action == "copy"} == set(wrong)
    assert verify is not Verify.FULL or sha256(FILES[WEIGHTS]).hexdigest() in wrong[WEIGHTS]
    assert place.get(WEIGHTS) == OTHER and SMALL not in place.paths()


def test_a_right_copy_has_nothing_wrong(place: Place, proxied: S3Proxy) -> None:
    wrong, said = previewed(place.url, verify=Verify.FULL)
    assert wrong == {} and set(actions(said).values()) == {"keep"}
    assert (said[-1]["complete"], said[-1]["copy"], said[-1]["bytes"]) == (True, 0, SIZES)
    assert {one.method for one in proxied.asked} <= {"GET", "HEAD"}


def test_a_preview_of_a_part(empty: Place, source: Path) -> None:
    empty.put(SMALL, FILES[SMALL])
    wrong, said = previewed(empty.url, source)
    assert wrong == {} and actions(said) == {path: "keep" if path == SMALL else "copy" for path in FILES}
    assert (said[-1]["complete"], said[-1]["copy"]) == (False, SIZES - len(FILES[SMALL]))
    assert empty.paths() == [SMALL] and empty.uploads() == []


def test_a_preview_of_nothing(source: Path, tmp_path: Path) -> None:
    for target in (None, tmp_path / "none"):
        _, said = previewed(target, source)
        assert set(actions(said).values()) == {"copy"} and said[-1]["copy"] == SIZES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_s3_to_s3_and_to_a_volume(place: Place, tmp_path: Path) -> None:
    """Replication: what a manifest lists is held against it again."""
    region, volume = place.beside("-region"), tmp_path / "volume"
    s3world.done(PLAN, region.url, place.url)
    s3world.done(plan(None), region.beside("-2").url, region.url)
    done(PLAN, volume, region.url)
    assert region.staged() == region.beside("-2").staged() == staged(volume) == FILES
    assert region.manifest()["files"] == place.manifest()["files"] == prestaging.manifest(volume)["files"]


def test_a_part_of_a_prefix_can_be_taken(place: Place) -> None:
    some = {path: FILES[path] for path in (SMALL, WEIGHTS)}
    s3world.done(plan(some), place.beside("-some").url, place.url)
    assert place.beside("-some").staged() == some


LACKS: dict[str, tuple[Callable[[Place], None], PrestageExit]] = {
    "no manifest": (lambda place: place.delete(MANIFEST), PrestageExit.NOT_FOUND),
    "a broken manifest": (lambda place: place.put(MANIFEST, b"{"), PrestageExit.INTEGRITY),
    "another content": (lambda place: place.put(WEIGHTS, OTHER), PrestageExit.INTEGRITY),
    "a deleted file": (lambda place: place.delete(WEIGHTS), PrestageExit.INTEGRITY),
    "a shorter file": (lambda place: place.put(WEIGHTS, OTHER[:5000]), PrestageExit.INTEGRITY),
    "an empty file": (lambda place: place.put(WEIGHTS, b""), PrestageExit.INTEGRITY),
}


@pytest.mark.parametrize("lack", LACKS)
def test_a_source_that_is_not_what_it_says(place: Place, lack: str) -> None:
    act, exit = LACKS[lack]
    act(place)
    ended = s3world.stage(PLAN, place.beside("-copy").url, place.url)
    assert ended.error and ended.error.exit is exit and ended.error.hint
    assert MANIFEST not in place.beside("-copy").paths()


@pytest.mark.parametrize("other", [plan(commit="d" * 40), plan({**FILES, "more.json": b"{}"})], ids=["commit", "more"])
def test_a_source_of_another_model(place: Place, other: Any) -> None:
    ended = s3world.stage(other, place.beside("-copy").url, place.url)
    assert ended.error and ended.error.exit is PrestageExit.NOT_FOUND and "--source" in ended.error.hint


def test_a_source_that_is_no_bucket(place: Place) -> None:
    ended = s3world.stage(PLAN, place.beside("-copy").url, "s3://no-such-bucket/models/m")
    assert ended.error and ended.error.exit is PrestageExit.NOT_FOUND


class CutWeights:
    """The first read of the weights ends halfway."""

    def __init__(self, place: Place) -> None:
        self.key, self._left = place.key(WEIGHTS), [Change(cut=True)]

    def __call__(self, asked: S3Request, length: int) -> Change | None:
        return self._left.pop() if self._left and asked.key == self.key else None


def test_a_line_to_the_source_that_breaks_is_taken_up_where_it_did(
    place: Place, seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cut = CutWeights(place)
    with S3Proxy(seaweedfs.url, cut) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        ended = done(PLAN, tmp_path / "volume", place.url)
        assert staged(tmp_path / "volume") == FILES and len(ended.of("retry")) == 1
        asked = [one.headers["range"] for one in proxy.asked if one.key == cut.key]
    starts = sorted(int(text.removeprefix("bytes=").partition("-")[0]) for text in asked)
    assert any(start % prestaging.PART for start in starts)
