"""`modelyard gc` on a real S3 server and a real Git repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from generator.errors import ExitCode
from generator.verbs import gc as verb
from tests.standins.s3proxy import Change, S3Proxy, S3Request, refusal
from tests.standins.seaweedfs import SeaweedFS

ROOT = Path(__file__).parents[2]
TINY, MISTRAL = "models/tinyllama/fe8a4ea1ffed", "models/mistral-7b/63a8b0818953"
LOOSE = "models/forgotten/0123456789ab"
MANIFEST = f"{LOOSE}/.modelyard/manifest.json"


class World:
    """A bucket, and a folder with the example's catalogue."""

    def __init__(self, s3: SeaweedFS, bucket: str, folder: Path) -> None:
        self.s3, self.bucket, self.folder = s3, bucket, folder
        self.client: Any = boto3.client("s3", **s3.arguments)
        if bucket not in [found["Name"] for found in self.client.list_buckets()["Buckets"]]:
            self.client.create_bucket(Bucket=bucket)

    def empty(self) -> None:
        for upload in self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ()):
            self.client.abort_multipart_upload(Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        for key in self.keys():
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def put(self, *keys: str) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: self.client.put_object(Bucket=self.bucket, Key=key, Body=b"x"), keys))

    def begin(self, key: str) -> str:
        return str(self.client.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"])

    def keys(self, prefix: str = "") -> set[str]:
        return set(self.dates(prefix))

    def dates(self, prefix: str = "") -> dict[str, datetime]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return {item["Key"]: item["LastModified"] for page in pages for item in page.get("Contents", ())}

    def uploads(self) -> set[str]:
        return {up["UploadId"] for up in self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ())}

    def delete(self, now: datetime, url: str = "", output: str = "text") -> ExitCode:
        """`gc --delete --older-than 1d` in this process at a time of its own: nothing of today is a day old."""
        return verb.collect(
            self.bucket,
            [self.folder / "models.yaml"],
            [],
            [],
            older_than="1d",
            delete=True,
            allow_empty=False,
            endpoint_url=url or self.s3.url,
            output=output,
            now=now,
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "generator.cli", "gc", "--bucket", self.bucket, *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT), **self.s3.environment()}
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)

    def loose(self, *words: str) -> list[str]:
        done = self.run("--output", "json", *words)
        assert done.returncode == 0, done.stderr + done.stdout
        return [row["key"] for row in json.loads(done.stdout.splitlines()[0])["unreferenced"]]


@pytest.fixture
def world(seaweedfs: SeaweedFS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    for name in ("models.yaml", "models.lock.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    made = World(seaweedfs, "gc-tests", tmp_path)  # one for all: SeaweedFS gives each bucket volumes of its own
    made.empty()
    made.put(f"{TINY}/config.json", f"{MISTRAL}/config.json", f"{LOOSE}/config.json", "code/app.zip")
    made.put(MANIFEST)
    for name, value in seaweedfs.environment().items():
        monkeypatch.setenv(name, value)
    return made


def tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=2)


def test_it_lists_and_touches_nothing(world: World) -> None:
    world.put("models/readme.txt")
    before = world.keys()
    assert world.loose() == [LOOSE]
    done = world.run()
    assert [LOOSE, "2", "2", "B", "0", "hours", "yes"] in [line.split() for line in done.stdout.splitlines()]
    assert "3 models at some commit, 1 of them (2 B) in none of: models.yaml\n" in done.stdout
    assert "1 objects below models/ are not modelyard's" in done.stdout
    assert world.keys() == before


def test_json_says_where_it_looked(world: World) -> None:
    done = world.run("--output", "json", "--older-than", "1d")
    (line,) = done.stdout.splitlines()
    listed = json.loads(line)
    assert listed["places"] == {"models.yaml": [MISTRAL, TINY]}
    (row,) = listed["unreferenced"]
    assert (row["objects"], row["size"], row["complete"], row["old_enough"]) == (2, 2, True, False)
    assert datetime.fromisoformat(row["newest"]).tzinfo and row["age_seconds"] < 3600


def test_what_is_young_stays_though_it_is_asked_to_go(world: World) -> None:
    before = world.keys()
    assert world.run("--delete", "--older-than", "1d").returncode == 0
    assert world.keys() == before


def test_it_deletes_what_is_old_and_nothing_else(world: World) -> None:
    world.put("models/readme.txt", "models/forgotten/x", "models/forgotten/0123456789abc/x")
    mine, other = world.begin(f"{LOOSE}/model.safetensors"), world.begin(f"{TINY}/model.safetensors")
    assert world.uploads() == {mine, other}
    before = world.keys()
    assert world.delete(tomorrow()) is ExitCode.OK
    assert before - world.keys() == {f"{LOOSE}/config.json", MANIFEST}
    assert world.uploads() == {other}
    assert world.loose() == []


def test_what_a_dead_run_left_is_a_prefix_too(world: World) -> None:
    """Parts without an object cost as much, and no listing of objects shows them."""
    world.delete(tomorrow())
    upload = world.begin(f"{LOOSE}/model.safetensors")
    assert world.loose() == [LOOSE]
    assert world.delete(tomorrow()) is ExitCode.OK
    assert upload not in world.uploads() and world.loose() == []


def test_the_manifest_goes_first_and_the_rest_by_the_thousand(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.put(*(f"{LOOSE}/shards/{number}" for number in range(1_100)))
    left: list[tuple[int, bool]] = []

    def look(asked: S3Request, length: int) -> Change | None:
        if asked.operation == "DeleteObjects":
            keys = world.keys(f"{LOOSE}/")
            left.append((len(keys), MANIFEST in keys))
        return None

    with S3Proxy(world.s3.url, look) as proxy:
        assert world.delete(tomorrow(), proxy.url) is ExitCode.OK
    assert left == [(1_102, True), (1_101, False), (101, False)]
    assert f"deleted  {LOOSE}: 1102 objects, 0 unfinished uploads\n" in capsys.readouterr().out


def test_a_manifest_that_stays_keeps_the_model_whole(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    before = world.keys()
    error = f"<Error><Key>{MANIFEST}</Key><Code>AccessDenied</Code><Message>locked</Message></Error>"
    answers = iter([Change(refusal=(200, {}, f"<DeleteResult>{error}</DeleteResult>".encode())), None])
    with S3Proxy(world.s3.url, lambda asked, _: next(answers) if asked.operation == "DeleteObjects" else None) as proxy:
        assert world.delete(tomorrow(), proxy.url) is ExitCode.FAULT
    assert world.keys() == before
    assert f"s3://gc-tests/{MANIFEST}: stays: locked" in capsys.readouterr().err


def test_keys_that_stay_are_all_named(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    keys = [f"{LOOSE}/shards/{number}" for number in range(3)]
    world.put(*keys)
    errors = "".join(f"<Error><Key>{key}</Key><Code>InternalError</Code></Error>" for key in keys)
    answers = iter([None, Change(refusal=(200, {}, f"<DeleteResult>{errors}</DeleteResult>".encode()))])
    with S3Proxy(world.s3.url, lambda asked, _: next(answers) if asked.operation == "DeleteObjects" else None) as proxy:
        assert world.delete(tomorrow(), proxy.url, output="json") is ExitCode.FAULT
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [fault["file"] for fault in last["diagnostics"]] == [f"s3://gc-tests/{key}" for key in keys]
    assert not world.keys(MANIFEST)


def test_what_is_staged_again_meanwhile_stays(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A Job writes after the listing, before the deletion: the prefix is as young as that object."""
    now = max(world.dates().values()) + timedelta(days=1)
    listings = iter(range(9))

    def stage(asked: S3Request, length: int) -> Change | None:
        if asked.operation == "ListObjectsV2" and next(listings) == 1:
            time.sleep(1.1)  # dates of S3 have whole seconds
            world.put(f"{LOOSE}/new.safetensors")
        return None

    with S3Proxy(world.s3.url, stage) as proxy:
        assert world.delete(now, proxy.url) is ExitCode.OK
    assert f"kept     {LOOSE}: it was written to since it was listed" in capsys.readouterr().out
    assert world.keys(f"{LOOSE}/") == {f"{LOOSE}/config.json", f"{LOOSE}/new.safetensors", MANIFEST}


def test_one_that_refuses_does_not_hold_up_the_others(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.put("models/a/0123456789ab/x", "models/z/0123456789ab/x")
    answers = iter([refusal(403, "AccessDenied"), None, None, None])
    with S3Proxy(world.s3.url, lambda asked, _: next(answers) if asked.operation == "DeleteObjects" else None) as proxy:
        assert world.delete(tomorrow(), proxy.url) is ExitCode.FAULT
    assert world.keys("models/a/") and not world.keys("models/z/") and not world.keys(f"{LOOSE}/")
    said = capsys.readouterr().err
    assert "answers AccessDenied to DeleteObjects" in said and "s3:DeleteObject and s3:AbortMultipartUpload" in said


def test_a_rendered_tree_keeps_what_it_names(world: World) -> None:
    values = world.folder / "rendered/clusters/a/prestage.yaml"
    values.parent.mkdir(parents=True)
    values.write_text(f"target: {{key: {LOOSE}}}\n")
    assert world.loose("--rendered", "rendered") == []


def test_a_revision_keeps_what_it_named(world: World) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=world.folder, check=True, capture_output=True)

    git("init", "-q")
    git("config", "user.email", "a@example.com")
    git("config", "user.name", "a")
    git("add", "-A")
    git("commit", "-qm", "two models")
    text = (world.folder / "models.yaml").read_text()
    start, end = text.index("  - name: mistral-7b"), text.index("services:")
    services = text[end:].split("  - name: mistral")[0]
    (world.folder / "models.yaml").write_text(text[:start] + "\n" + services)
    assert world.loose() == [LOOSE, MISTRAL]
    assert world.loose("--revision", "HEAD") == [LOOSE]
    refused = world.run("--revision", "none")
    assert refused.returncode == 1 and "check --revision" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--delete needs an age"),
        (("--older-than", "1h"), "shorter than a day"),
        (("--older-than", "30d", "--catalogue", "none.yaml"), "no such catalogue"),
        (("--older-than", "30d", "--rendered", "none"), "no such folder"),
        (("--older-than", "30d", "--endpoint-url", "gateway:9"), "cannot be asked"),
        (("--older-than", "30d", "--bucket", "no-such-bucket"), "answers NoSuchBucket to ListObjectsV2"),
    ],
)
def test_mistakes_are_named(world: World, words: tuple[str, ...], said: str) -> None:
    before = world.keys()
    done = world.run("--delete", *words)
    assert done.returncode == 1 and said in done.stderr and "hint:" in done.stderr
    assert world.keys() == before


def test_an_empty_catalogue_is_the_wrong_directory(world: World) -> None:
    text = (world.folder / "models.yaml").read_text()
    (world.folder / "models.yaml").write_text(text[: text.index("models:\n")] + "models: []\nservices: []\n")
    done = world.run("--delete", "--older-than", "30d")
    assert done.returncode == 1 and "models.yaml: refers to no model" in done.stderr
    assert world.loose("--allow-empty") == [LOOSE, MISTRAL, TINY]


def test_without_its_package_it_says_what_to_install(world: World) -> None:
    (world.folder / "botocore.py").write_text("raise ModuleNotFoundError('no', name='botocore')")
    env = {**os.environ, "PYTHONPATH": f"{world.folder}:{ROOT}"}
    command = [sys.executable, "-m", "generator.cli", "gc", "--bucket", "b"]
    done = subprocess.run(command, cwd=world.folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "pip install 'modelyard[prestage]'" in done.stderr
