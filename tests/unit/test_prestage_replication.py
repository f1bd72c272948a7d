"""From one bucket to another without the Hub, also where the first is not complete yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from generator.prestage.exits import PrestageExit
from tests.standins.s3proxy import Change, S3Proxy, S3Request, refusal
from tests.standins.seaweedfs import SeaweedFS
from tests.unit import prestaging, s3world
from tests.unit.prestaging import plan
from tests.unit.s3world import LARGE, MANIFEST, Place, done, stage

PLAN = plan(LARGE)
AWAY = "prestage-tests-away"


@pytest.fixture
def home(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Place:
    return s3world.place(seaweedfs, monkeypatch, sha256(request.node.nodeid.encode()).hexdigest()[:12])


@pytest.fixture
def away(home: Place) -> str:
    """The same prefix of another bucket."""
    held = [bucket["Name"] for bucket in home.client.list_buckets()["Buckets"]]
    if AWAY not in held:
        home.client.create_bucket(Bucket=AWAY)
    return f"s3://{AWAY}/{home.prefix}"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return prestaging.folder(tmp_path / "source", LARGE)


@pytest.fixture
def proxied(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch, home: Place) -> Iterator[S3Proxy]:
    with S3Proxy(seaweedfs.url, lambda asked, length: None) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


def objects(home: Place) -> dict[str, bytes]:
    """What the other bucket holds."""
    found: list[dict[str, Any]] = home.client.list_objects_v2(Bucket=AWAY, Prefix=f"{home.prefix}/").get("Contents", [])
    bodies = {item["Key"]: home.client.get_object(Bucket=AWAY, Key=item["Key"])["Body"].read() for item in found}
    return {key.removeprefix(f"{home.prefix}/"): body for key, body in bodies.items()}


@pytest.mark.parametrize("asked", [PLAN, plan(None)], ids=["a list", "no list"])
def test_another_bucket_gets_the_same(home: Place, away: str, source: Path, asked: Any) -> None:
    done(PLAN, home.url, source)
    ended = done(asked, away, home.url)
    assert ended.tally.copied == sum(map(len, LARGE.values()))
    found = objects(home)
    assert {path: body for path, body in found.items() if path != MANIFEST} == LARGE and MANIFEST in found
    assert done(asked, away, home.url).tally.already


def test_a_replica_can_be_held(home: Place, away: str, source: Path) -> None:
    done(PLAN, home.url, source)
    assert done(PLAN, away, home.url, hold=True).tally.held and MANIFEST not in objects(home)


def appears(home: Place, act: Callable[[], object], after: int) -> Callable[[S3Request, int], None]:
    """`act` happens before the source's manifest is looked for that often."""
    looks = [0]

    def change(asked: S3Request, length: int) -> None:
        if asked.operation == "GetObject" and asked.target.startswith(f"/{s3world.BUCKET}/{home.key(MANIFEST)}"):
            looks[0] += 1
            if looks[0] == after:
                act()

    return change


def test_it_waits_for_the_first(home: Place, away: str, source: Path, proxied: S3Proxy) -> None:
    proxied.change = appears(home, lambda: done(PLAN, home.url, source), 3)
    ended = done(PLAN, away, home.url, wait=60.0)
    (reason,) = ended.of("waiting", "reason")
    assert reason.startswith(f"{home.url}/{MANIFEST} is not there: waiting")
    assert ended.tally.copied == sum(map(len, LARGE.values()))


def test_it_waits_for_a_file_that_is_added(home: Place, away: str, source: Path, proxied: S3Proxy) -> None:
    done(plan({"config.json": LARGE["config.json"]}), home.url, source)
    proxied.change = appears(home, lambda: done(PLAN, home.url, source), 3)
    ended = done(PLAN, away, home.url, wait=60.0)
    assert "lacks" in ended.of("waiting", "reason")[0] and ended.tally.files == len(LARGE)


def test_it_does_not_wait_for_ever(home: Place, away: str) -> None:
    ended = stage(PLAN, away, home.url, wait=0.05)
    assert ended.error and ended.error.exit is PrestageExit.TRANSIENT
    assert ended.error.reason == f"{home.url}/{MANIFEST} is not there, after 0.05 s"


def test_without_wait_it_is_not_there(home: Place, away: str) -> None:
    ended = stage(PLAN, away, home.url)
    assert ended.error and ended.error.exit is PrestageExit.NOT_FOUND


def test_nobody_waits_for_a_bucket_that_is_none(away: str) -> None:
    ended = stage(PLAN, away, "s3://no-such-bucket-here/models/x/y", wait=60.0)
    assert ended.error and ended.error.exit is PrestageExit.NOT_FOUND and "NoSuchBucket" in ended.error.reason


def test_nobody_waits_for_another_commit(home: Place, away: str, source: Path) -> None:
    done(PLAN, home.url, source)
    ended = stage(plan(LARGE, commit="d" * 40), away, home.url, wait=60.0)
    assert ended.error and ended.error.exit is PrestageExit.NOT_FOUND and "holds commit" in ended.error.reason


def test_the_end_of_the_run_ends_the_wait(home: Place, away: str, proxied: S3Proxy) -> None:
    chosen = prestaging.settings(wait=60.0)
    proxied.change = appears(home, chosen.patience.stop.set, 2)
    from generator.prestage import run as flow
    from generator.prestage.faults import Stopped

    with pytest.raises(Stopped):
        flow.stage(PLAN, home.url, away, chosen, flow.Tally())


def test_a_complete_replica_waits_for_nobody(home: Place, away: str, source: Path) -> None:
    done(PLAN, home.url, source)
    done(PLAN, away, home.url)
    home.delete(MANIFEST)
    assert done(PLAN, away, home.url, wait=60.0).tally.already


def test_a_bucket_of_another_region(home: Place, away: str, source: Path, proxied: S3Proxy) -> None:
    """S3 names the region of the first bucket, and the request is signed anew for it."""
    done(PLAN, home.url, source)

    def change(asked: S3Request, length: int) -> Change | None:
        there = asked.target.startswith(f"/{s3world.BUCKET}/")
        signed = "/us-west-1/" in asked.headers.get("authorization", "")
        return refusal(301, "PermanentRedirect", {"x-amz-bucket-region": "us-west-1"}) if there and not signed else None

    proxied.asked.clear()
    proxied.change = change
    assert done(PLAN, away, home.url).tally.copied == sum(map(len, LARGE.values()))
    asked = [one for one in proxied.asked if one.target.startswith(f"/{s3world.BUCKET}/")]
    assert len([one for one in asked if "/us-west-1/" not in one.headers["authorization"]]) == 1
