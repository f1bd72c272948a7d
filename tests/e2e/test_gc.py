"""`modelyard gc` on a real S3 server and a real Git repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from generator import gc
from tests.standins.seaweedfs import SeaweedFS

ROOT = Path(__file__).parents[2]
TINY, MISTRAL = "models/tinyllama/fe8a4ea1ffed", "models/mistral-7b/63a8b0818953"
LOOSE = "models/forgotten/0123456789ab"


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
        for key in keys:
            self.client.put_object(Bucket=self.bucket, Key=key, Body=b"x")

    def keys(self) -> set[str]:
        return {found["Key"] for found in self.client.list_objects_v2(Bucket=self.bucket).get("Contents", ())}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "generator.cli", "gc", "--bucket", self.bucket, *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT), **self.s3.environment()}
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)

    def loose(self, *words: str) -> list[str]:
        done = self.run("--output", "json", *words)
        assert done.returncode == 0, done.stderr + done.stdout
        return [row["key"] for row in json.loads(done.stdout.splitlines()[0])["unreferenced"]]


@pytest.fixture
def world(seaweedfs: SeaweedFS, tmp_path: Path) -> World:
    for name in ("models.yaml", "models.lock.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    made = World(seaweedfs, "gc-tests", tmp_path)  # one for all: SeaweedFS gives each bucket volumes of its own
    made.empty()
    made.put(f"{TINY}/config.json", f"{MISTRAL}/config.json", f"{LOOSE}/config.json", "code/app.zip")
    made.put(f"{LOOSE}/.modelyard/manifest.json")
    return made


def test_it_lists_and_touches_nothing(world: World) -> None:
    before = world.keys()
    assert world.loose() == [LOOSE]
    done = world.run()
    assert [LOOSE, "2", "0", "0", "yes", "no"] in [line.split() for line in done.stdout.splitlines()]
    assert "3 prefixes, 1 of them" in done.stdout
    assert world.keys() == before


def test_what_is_young_stays_though_it_is_asked_to_go(world: World) -> None:
    before = world.keys()
    assert world.run("--delete", "--older-than", "1d").returncode == 0
    assert world.keys() == before


def test_it_deletes_what_is_old_and_nothing_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, as no object of today is a day old."""
    from datetime import timedelta

    from generator.errors import ExitCode
    from generator.verbs import gc as verb

    upload = world.client.create_multipart_upload(Bucket=world.bucket, Key=f"{LOOSE}/model.safetensors")
    other = world.client.create_multipart_upload(Bucket=world.bucket, Key=f"{TINY}/model.safetensors")
    for name, value in world.s3.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(gc, "age", lambda text: timedelta(0))
    before = world.keys()
    code = verb.collect(
        world.bucket,
        [world.folder / "models.yaml"],
        [],
        [],
        older_than="0d",
        delete=True,
        endpoint_url=None,
        output="text",
    )
    assert code is ExitCode.OK
    assert before - world.keys() == {f"{LOOSE}/config.json", f"{LOOSE}/.modelyard/manifest.json"}
    left = [u["UploadId"] for u in world.client.list_multipart_uploads(Bucket=world.bucket).get("Uploads", ())]
    assert left == [other["UploadId"]] and upload["UploadId"] != other["UploadId"]


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
        (("--older-than", "1h"), "shorter than a day"),
        (("--file", "none.yaml"), "no such catalogue"),
        (("--rendered", "none"), "is not a folder"),
        (("--endpoint-url", "http://127.0.0.1:9"), "cannot be read"),
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
    done = world.run("--delete")
    assert done.returncode == 1 and "is this the right directory" in done.stderr
