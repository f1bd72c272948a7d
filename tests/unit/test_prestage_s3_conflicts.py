"""Several runs and strangers at one prefix: whoever comes second looks at what is there, and one copy remains."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from generator.prestage.plan import Plan
from tests.standins.s3proxy import S3Proxy, S3Request
from tests.standins.seaweedfs import SeaweedFS
from tests.unit import prestaging, s3world
from tests.unit.prestaging import FILES, OTHER, WEIGHTS, Ended, plan
from tests.unit.s3world import LARGE, MANIFEST, Place, done

PLAN, LARGE_PLAN = plan(), plan(LARGE)
SMALL = "config.json"


@pytest.fixture
def place(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Place:
    return s3world.place(seaweedfs, monkeypatch, sha256(request.node.nodeid.encode()).hexdigest()[:12])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return prestaging.folder(tmp_path / "source")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A model with a file of three parts."""
    return prestaging.folder(tmp_path / "large", LARGE)


@pytest.fixture
def proxied(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch, place: Place) -> Iterator[S3Proxy]:
    """The engine's requests go through it; `act` is called before each."""
    with S3Proxy(seaweedfs.url, lambda asked, length: None) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.mark.parametrize("path", [WEIGHTS, SMALL])
@pytest.mark.parametrize("right", [True, False])
def test_an_object_of_somebody_else_is_judged_by_its_bytes(place: Place, large: Path, path: str, right: bool) -> None:
    wrong = s3world.OTHER if path == WEIGHTS else b"[]"
    place.put(path, LARGE[path] if right else wrong)
    ended = done(LARGE_PLAN, place.url, large)
    assert place.staged() == LARGE
    assert ended.of("kept" if right else "damaged") == [path]


def test_metadata_alone_convinces_nobody(place: Place, source: Path) -> None:
    """Of another plan's digest, or of a copy whose bytes were changed with their metadata kept."""
    done(PLAN, place.url, source)
    place.put(WEIGHTS, OTHER, Metadata={"modelyard-digest": "sha256:" + "0" * 64, "modelyard-sha256": "0" * 64})
    place.delete(MANIFEST)
    assert done(PLAN, place.url, source).of("damaged") == [WEIGHTS]
    assert place.staged() == FILES


def once(place: Place, operation: str, path: str, act: Callable[[], None]) -> Callable[[S3Request, int], None]:
    """Something happens right before this request."""
    left = [True]

    def change(asked: S3Request, length: int) -> None:
        if left[0] and asked.operation == operation and asked.key == place.key(path):
            left[0] = False
            act()

    return change


@pytest.mark.parametrize(("operation", "path"), [("PutObject", SMALL), ("CompleteMultipartUpload", WEIGHTS)])
@pytest.mark.parametrize("right", [True, False])
def test_who_comes_second_looks_at_the_first(
    place: Place, large: Path, proxied: S3Proxy, operation: str, path: str, right: bool
) -> None:
    body = LARGE[path] if right else s3world.OTHER if path == WEIGHTS else b"[]"
    proxied.change = once(place, operation, path, lambda: place.put(path, body))
    ended = done(LARGE_PLAN, place.url, large)
    assert place.staged() == LARGE and place.uploads() == []
    assert ended.of("kept" if right else "damaged") == [path]


def test_an_upload_that_somebody_aborts_is_begun_again(place: Place, large: Path, proxied: S3Proxy) -> None:
    def abort() -> None:
        for upload in place.uploads():
            place.client.abort_multipart_upload(Bucket=s3world.BUCKET, Key=place.key(WEIGHTS), UploadId=upload)

    proxied.change = once(place, "CompleteMultipartUpload", WEIGHTS, abort)
    done(LARGE_PLAN, place.url, large)
    assert place.staged() == LARGE and place.uploads() == []


def test_runs_at_once_make_one_copy(place: Place, large: Path) -> None:
    ended = list[Ended]()
    runs = [threading.Thread(target=lambda: ended.append(done(LARGE_PLAN, place.url, large))) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(120)
    assert len(ended) == 4 and place.staged() == LARGE
    assert place.uploads() == [] and sorted(place.paths()) == sorted([*LARGE, MANIFEST])


def test_the_loser_says_who_won(place: Place, source: Path, proxied: S3Proxy) -> None:
    other = place.beside("-winner")
    done(PLAN, other.url, source)
    body = other.get(MANIFEST)
    for path in FILES:
        place.put(path, FILES[path])
    proxied.change = once(place, "PutObject", MANIFEST, lambda: place.put(MANIFEST, body))
    ended = done(PLAN, place.url, source)
    assert ended.of("already", "by") == ["another run, which finished first"]
    assert place.get(MANIFEST) == body


def test_two_choices_end_in_one_manifest(place: Place, source: Path, proxied: S3Proxy) -> None:
    """Another run with a smaller plan writes its manifest first; ours adds to it."""
    small = plan({SMALL: FILES[SMALL]})
    proxied.change = once(place, "PutObject", MANIFEST, lambda: stage_beside(small, place, source))
    done(PLAN, place.url, source)
    assert [entry["path"] for entry in place.manifest()["files"]] == sorted(FILES)


def stage_beside(chosen: Plan, place: Place, source: Path) -> None:
    other = place.beside("-small")
    done(chosen, other.url, source)
    place.put(MANIFEST, other.get(MANIFEST))
