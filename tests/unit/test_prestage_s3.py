"""A prefix of a real S3 server: what is written there, found there, replaced there and swept."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from generator.prestage.exits import PrestageExit
from generator.prestage.plan import Plan
from tests.standins.s3proxy import Change, S3Proxy, S3Request, refusal
from tests.standins.seaweedfs import SeaweedFS
from tests.unit import prestaging, s3world
from tests.unit.prestaging import FILES, OTHER, WEIGHTS, plan
from tests.unit.s3world import LARGE, MANIFEST, NOTE, Place, done, stage

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


def operations(proxy: S3Proxy) -> list[str]:
    return [asked.operation for asked in proxy.asked]


def crc32(stated: str) -> str:
    return base64.b64decode(stated).hex()


def test_a_model_is_staged(place: Place, large: Path) -> None:
    ended = done(LARGE_PLAN, place.url, large)
    assert place.staged() == LARGE and sorted(place.paths()) == sorted([*LARGE, MANIFEST])
    assert place.uploads() == [] and ended.tally.copied == sum(map(len, LARGE.values()))
    listed = {entry["path"]: (entry["size"], entry["sha256"], entry["crc32"]) for entry in place.manifest()["files"]}
    assert listed == {p: (len(b), sha256(b).hexdigest(), f"{zlib.crc32(b):08x}") for p, b in LARGE.items()}
    for path, body in LARGE.items():
        head = place.head(path)
        assert crc32(head["ChecksumCRC32"]) == f"{zlib.crc32(body):08x}"
        assert head["Metadata"]["modelyard-sha256"] == sha256(body).hexdigest()


def test_the_manifest_comes_last(place: Place, large: Path, proxied: S3Proxy) -> None:
    done(LARGE_PLAN, place.url, large)
    writes = ("PutObject", "CompleteMultipartUpload", "UploadPart")
    written = [asked for asked in proxied.asked if asked.operation in writes]
    assert written[-1].key.endswith(MANIFEST) and written[-1].headers["if-none-match"] == "*"
    final = [asked for asked in written if asked.operation != "UploadPart"]
    assert all(asked.headers.get("if-none-match") == "*" for asked in final)


def test_every_byte_is_sent_with_a_checksum(place: Place, large: Path, proxied: S3Proxy) -> None:
    done(LARGE_PLAN, place.url, large)
    sent = [
        asked for asked in proxied.asked if asked.operation in ("PutObject", "UploadPart", "CompleteMultipartUpload")
    ]
    assert len(sent) == 2 + 3 + 1 + 1 and all("x-amz-checksum-crc32" in asked.headers for asked in sent)


@pytest.mark.parametrize("listed", [True, False])
def test_a_second_run_copies_nothing(place: Place, source: Path, proxied: S3Proxy, listed: bool) -> None:
    chosen = PLAN if listed else plan(None)
    done(chosen, place.url, source)
    proxied.asked.clear()
    again = done(chosen, place.url, "/nowhere")
    assert again.tally.already and again.of("already", "by") == ["its manifest"]
    assert not {*operations(proxied)} - {"GetObject", "HeadObject", "ListObjectsV2", "ListMultipartUploads"}
    assert [asked.key for asked in proxied.asked if asked.operation == "GetObject"] == [place.key(MANIFEST)]


def test_a_larger_plan_extends_the_copy(place: Place, source: Path) -> None:
    done(plan({SMALL: FILES[SMALL]}), place.url, source)
    ended = done(PLAN, place.url, source)
    assert ended.of("file") == sorted(FILES.keys() - {SMALL}) and place.staged() == FILES
    assert [entry["path"] for entry in place.manifest()["files"]] == sorted(FILES)
    assert done(plan({SMALL: FILES[SMALL]}), place.url, "/nowhere").tally.already


@pytest.mark.parametrize(
    ("chosen", "already"),
    [(plan(None), True), (plan(None, allow=("*.md",)), False), (plan(None, ignore=("sub/",)), False)],
)
def test_without_a_list_a_manifest_of_the_same_choice_is_trusted(
    place: Place, source: Path, chosen: Plan, already: bool
) -> None:
    done(plan(None), place.url, source)
    assert done(chosen, place.url, source).tally.already is already
    assert place.staged() == FILES


@pytest.mark.parametrize("other", [plan(commit="d" * 40), plan({**FILES, WEIGHTS: OTHER})], ids=["commit", "digest"])
def test_another_model_is_not_mixed_in(place: Place, source: Path, other: Plan) -> None:
    done(PLAN, place.url, source)
    before = place.get(MANIFEST)
    ended = stage(other, place.url, source)
    assert ended.error and ended.error.exit is PrestageExit.INTEGRITY and ended.error.hint
    assert place.staged() == FILES and place.get(MANIFEST) == before


def test_a_manifest_that_is_none_is_not_replaced(place: Place, source: Path) -> None:
    place.put(MANIFEST, b"{}")
    ended = stage(PLAN, place.url, source)
    assert ended.error and ended.error.exit is PrestageExit.INTEGRITY and place.url in ended.error.reason
    assert place.paths() == [MANIFEST]


def test_leftovers_of_dead_runs_are_swept(place: Place, source: Path) -> None:
    other = place.beside("-other")
    kept = other.begin(WEIGHTS)
    for path in (WEIGHTS, SMALL, "of-another-plan.bin"):
        place.begin(path, {1: b"x"})
    place.put(NOTE, b"not even a note")
    done(PLAN, place.url, source)
    assert place.uploads() == [] and NOTE not in place.paths() and place.staged() == FILES
    assert other.uploads() == [kept]


@pytest.mark.parametrize(
    ("operation", "told"), [("ListMultipartUploads", "AccessDenied"), ("DeleteObject", "leftovers")]
)
def test_a_role_that_may_not_sweep_still_copies(
    place: Place, source: Path, proxied: S3Proxy, operation: str, told: str
) -> None:
    place.put(NOTE, b"{}")
    denied = refusal(403, "AccessDenied")
    proxied.change = lambda asked, length: denied if asked.operation == operation else None
    ended = done(PLAN, place.url, source)
    assert place.staged() == FILES and told in str(ended.of("warning", "reason"))


def test_what_passes_is_tried_again(place: Place, large: Path, proxied: S3Proxy) -> None:
    left = {"PutObject": 2, "UploadPart": 2, "CompleteMultipartUpload": 1, "HeadObject": 1, "CreateMultipartUpload": 1}

    def busy(asked: S3Request, length: int) -> Change | None:
        if left.get(asked.operation, 0):
            left[asked.operation] -= 1
            return refusal(503, "SlowDown")
        return None

    proxied.change = busy
    ended = done(LARGE_PLAN, place.url, large, workers=1)
    assert place.staged() == LARGE and len(ended.of("retry")) == 7


def test_flipped_bits_do_not_arrive(place: Place, large: Path, proxied: S3Proxy) -> None:
    left = ["PutObject", "UploadPart"]

    def flip(asked: S3Request, length: int) -> Change | None:
        if asked.operation in left and length > 8 and not asked.key.endswith(NOTE):
            left.remove(asked.operation)
            return Change(flip=60)
        return None

    proxied.change = flip
    ended = done(LARGE_PLAN, place.url, large, workers=1)
    assert left == [] and place.staged() == LARGE and len(ended.of("retry")) == 2


def test_an_empty_file_is_a_file(place: Place, tmp_path: Path) -> None:
    files = {**FILES, "merges.txt": b""}
    done(plan(files), place.url, prestaging.folder(tmp_path / "source", files))
    assert place.staged() == files


def environment(**changes: str | None) -> Callable[[pytest.MonkeyPatch], None]:
    def change(monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in changes.items():
            monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)

    return change


@pytest.mark.parametrize(
    ("change", "exit", "named"),
    [
        (environment(AWS_SECRET_ACCESS_KEY="wrong"), PrestageExit.STORAGE, "Pod Identity"),
        (environment(AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None), PrestageExit.STORAGE, "Pod Identity"),
        (environment(AWS_ENDPOINT_URL="nonsense"), PrestageExit.PLAN, "AWS_ENDPOINT_URL"),
        (environment(AWS_PROFILE="nobody"), PrestageExit.PLAN, "AWS_"),
    ],
    ids=["secret", "credentials", "endpoint", "profile"],
)
def test_settings_that_are_wrong_are_named(
    place: Place,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[pytest.MonkeyPatch], None],
    exit: PrestageExit,
    named: str,
) -> None:
    change(monkeypatch)
    ended = stage(PLAN, place.url, source)
    assert ended.error and ended.error.exit is exit and named in ended.error.hint and ended.of("retry") == []


def test_the_region_of_the_job_is_used(
    place: Place, source: Path, proxied: S3Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sets AWS_REGION, as the Pod Identity agent does."""
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    done(PLAN, place.url, source)
    scopes = {asked.headers["authorization"].split("/")[2] for asked in proxied.asked}
    assert scopes == {"eu-central-1"}


def test_a_bucket_that_is_not_there_is_named(place: Place, source: Path) -> None:
    ended = stage(PLAN, "s3://no-such-bucket/models/m", source)
    assert ended.error and ended.error.exit is PrestageExit.STORAGE
    assert "NoSuchBucket" in ended.error.reason and "terraform" in ended.error.hint


@pytest.mark.parametrize(
    ("bucket", "change", "named"),
    [
        ("no-such-bucket", environment(), "make the bucket"),
        (s3world.BUCKET, environment(AWS_SECRET_ACCESS_KEY="wrong"), "the Secret"),
        (s3world.BUCKET, environment(AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None), "the Secret"),
    ],
    ids=["bucket", "keys", "no keys"],
)
def test_of_another_server_no_role_is_named(
    place: Place,
    source: Path,
    seaweedfs: SeaweedFS,
    monkeypatch: pytest.MonkeyPatch,
    bucket: str,
    change: Callable[[pytest.MonkeyPatch], None],
    named: str,
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    change(monkeypatch)
    ended = stage(PLAN, f"s3://{bucket}/{place.prefix}", source, endpoint_url=seaweedfs.url)
    assert ended.error and ended.error.exit is PrestageExit.STORAGE and named in ended.error.hint


def test_another_server_is_asked_by_path(
    place: Place, source: Path, proxied: S3Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No name of a bucket below its host: few servers of one's own have such names."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    done(PLAN, place.url, source, endpoint_url=proxied.url.replace("127.0.0.1", "localhost"))
    assert {asked.target.split("/")[1].partition("?")[0] for asked in proxied.asked} == {s3world.BUCKET}
