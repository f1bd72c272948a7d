"""A prefix of a real S3 server for one test, as the engine and as others see it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import boto3
import pytest
from botocore.loaders import create_loader
from botocore.session import Session

from tests.standins.seaweedfs import SeaweedFS
from tests.unit import prestaging
from tests.unit.prestaging import WEIGHTS, weights

BUCKET = "prestage-tests"
PART = 5 * 2**20  # S3 takes no smaller one
BYTES, OTHER = weights(bytes(range(251)), 2 * PART), weights(b"other", 2 * PART)
LARGE = {**prestaging.FILES, WEIGHTS: BYTES}  # three parts, the last of them short; prestaging.FILES are one part each
stage, done = partial(prestaging.stage, part=PART), partial(prestaging.done, part=PART)
MANIFEST, NOTE = ".modelyard/manifest.json", ".modelyard/progress.json"


@dataclass(frozen=True)
class Place:
    """`prefix` belongs to one test."""

    client: Any
    prefix: str

    @property
    def url(self) -> str:
        return f"s3://{BUCKET}/{self.prefix}"

    def beside(self, name: str) -> Place:
        """Another prefix, whose name begins like this one's."""
        return Place(self.client, f"{self.prefix}{name}")

    def key(self, path: str) -> str:
        return f"{self.prefix}/{path}"

    def put(self, path: str, body: bytes, **facts: Any) -> None:
        self.client.put_object(Bucket=BUCKET, Key=self.key(path), Body=body, **facts)

    def get(self, path: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=BUCKET, Key=self.key(path))["Body"].read()
        return body

    def head(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.head_object(Bucket=BUCKET, Key=self.key(path), ChecksumMode="ENABLED")
        return found

    def delete(self, path: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=self.key(path))

    def paths(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{self.prefix}/").get("Contents", [])
        return [item["Key"].removeprefix(f"{self.prefix}/") for item in found]

    def staged(self) -> dict[str, bytes]:
        """What readers see; our own objects are left out."""
        return {path: self.get(path) for path in self.paths() if not path.startswith(".modelyard/")}

    def manifest(self) -> dict[str, Any]:
        return dict(json.loads(self.get(MANIFEST)))

    def note(self) -> dict[str, Any]:
        return dict(json.loads(self.get(NOTE)))

    def begin(self, path: str, parts: Mapping[int, bytes] | None = None) -> str:
        """An upload of somebody else."""
        where = {"Bucket": BUCKET, "Key": self.key(path)}
        upload = str(self.client.create_multipart_upload(**where)["UploadId"])
        for number, body in (parts or {}).items():
            self.client.upload_part(**where, UploadId=upload, PartNumber=number, Body=body)
        return upload

    def uploads(self) -> list[str]:
        found = self.client.list_multipart_uploads(Bucket=BUCKET, Prefix=f"{self.prefix}/").get("Uploads", [])
        return [item["UploadId"] for item in found]


def place(server: SeaweedFS, monkeypatch: pytest.MonkeyPatch, prefix: str) -> Place:
    """The process's environment leads to `server` until the test ends."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("botocore.session.get_session", _session)
    return Place(_client(server.url, **server.arguments), f"models/{prefix}")


_LOADER = create_loader()


def _session() -> Session:
    """One that need not read botocore's models again, which would take most of the time of a small run."""
    session = Session()
    session.register_component("data_loader", _LOADER)
    return session


@cache
def _client(url: str, **arguments: Any) -> Any:
    client = boto3.client("s3", **arguments)
    client.create_bucket(Bucket=BUCKET)
    return client
