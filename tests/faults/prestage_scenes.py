"""Where prestage runs take place: a model on a Hub, a prefix in a real S3, and what may be found there afterwards."""

from __future__ import annotations

import json
import random
import struct
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import boto3
from botocore.config import Config

from tests.faults.nursery import Client, Nursery, Order
from tests.standins.hub import HubStandIn
from tests.standins.seaweedfs import SeaweedFS

MIB = 2**20
BUCKET = "prestage-faults"
MANIFEST, NOTE = ".modelyard/manifest.json", ".modelyard/progress.json"
TOKEN = "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"
PATIENCE = 60.0  # seconds for an undisturbed run on a busy machine


@dataclass(frozen=True, slots=True)
class Model:
    """A repository at a commit, and what is to be found of it in S3."""

    repo: str
    commit: str
    files: Mapping[str, bytes]
    digests: Mapping[str, str]  # as plan.json has them

    def plan(self, *, listed: bool = True) -> bytes:
        """plan.json, with the list of files or without."""
        files = {path: [len(content), self.digests[path]] for path, content in self.files.items()}
        source = {"huggingface": self.repo, "commit": self.commit}
        plan = {"version": 1, "model": "m", "source": source, "allow": [], "ignore": []}
        return json.dumps({**plan, "files": files if listed else None}).encode()


def model(hub: HubStandIn, repo: str, weights: Sequence[int], dice: random.Random, **facts: Any) -> Model:
    """A model whose weights have so many bytes, put on the Hub; `facts` are fields of its Repository."""
    names = [f"model-{n:05}-of-{len(weights):05}.safetensors" for n in range(1, len(weights) + 1)]
    files = {name: _weights(size, dice) for name, size in zip(names, weights, strict=True)}
    files["config.json"] = json.dumps({"seed": dice.random()}).encode()
    files["tokenizer.json"] = json.dumps({"vocabulary": dice.randbytes(40_000).hex()}).encode()
    commit = hub.add(repo, files, **facts)
    blobs = hub.repositories[repo].commits[commit]
    digests = {path: f"sha256:{blob.sha256}" if blob.lfs else f"git:{blob.git}" for path, blob in blobs.items()}
    return Model(repo, commit, files, digests)


def _weights(size: int, dice: random.Random) -> bytes:
    """A safetensors file of `size` bytes with one tensor of random bytes."""
    room = size - 8 - 128  # of the header, filled up with spaces
    tensor = {"dtype": "U8", "shape": [room], "data_offsets": [0, room]}
    return struct.pack("<Q", 128) + json.dumps({"weights": tensor}).encode().ljust(128) + dice.randbytes(room)


class World:
    """What all trials share: a SeaweedFS with a bucket, and the nursery of clients."""

    def __init__(self, s3: SeaweedFS, nursery: Nursery, folder: Path) -> None:
        self.url, self.nursery, self.folder = s3.url, nursery, folder
        self.environment = {**s3.environment(), "HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true"}
        given = {name.lower(): self.environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        config = Config(max_pool_connections=64, retries={"total_max_attempts": 3})
        self.client: Any = boto3.client("s3", endpoint_url=s3.url, region_name="us-east-1", config=config, **given)
        if BUCKET not in [bucket["Name"] for bucket in self.client.list_buckets()["Buckets"]]:
            self.client.create_bucket(Bucket=BUCKET)

    @contextmanager
    def trial(self, name: str) -> Iterator[Trial]:
        """A folder and a Hub of its own; no client outlives it."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder, HubStandIn() as hub:
            hub.tokens.add(TOKEN)
            trial = Trial(self, hub, f"models/{name}-{uuid4().hex[:8]}", Path(folder))
            try:
                yield trial
            finally:
                for client in trial.clients:
                    client.end()


@contextmanager
def world(s3: SeaweedFS) -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder, Nursery(Path(folder)) as nursery:
        yield World(s3, nursery, Path(folder))


@dataclass
class Trial:
    """One model's way into one prefix, by as many runs as it takes."""

    world: World
    hub: HubStandIn
    prefix: str
    folder: Path
    altered: Sequence[str] = ()
    s3_url: str = ""  # of a proxy; else SeaweedFS itself
    clients: list[Client] = field(default_factory=list)

    def through(self, url: str) -> Self:
        """From now on clients talk to S3 through this proxy."""
        self.s3_url = url
        return self

    def start(
        self, plan: bytes, *options: str, token: bool = False, environment: Mapping[str, str] | None = None
    ) -> Client:
        """A client on its way. A token is given as the Job gives it: in a file."""
        number = len(self.clients)
        (self.folder / f"{number}.json").write_bytes(plan)
        if token:
            (self.folder / "token").write_text(TOKEN)
            options = (*options, "--token-file", str(self.folder / "token"))
        place = f"s3://{BUCKET}/{self.prefix}"
        arguments = [str(self.folder / f"{number}.json"), "--target", place, "--output", "json", *options]
        own = {"HF_ENDPOINT": self.hub.url, "AWS_ENDPOINT_URL": self.s3_url or self.world.url, **(environment or {})}
        output = str(self.folder / f"{number}.out")
        order = Order(arguments, {**self.world.environment, **own}, output, self.altered)
        client = self.world.nursery.start(order)
        self.clients.append(client)
        return client

    def said(self) -> str:
        """Everything that any client wrote."""
        return "".join(client.said() for client in self.clients)

    def stored(self) -> dict[str, int]:
        """Bytes by path of what stands below the prefix."""
        pages = self.world.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{self.prefix}/")
        start = len(self.prefix) + 1
        return {item["Key"][start:]: item["Size"] for page in pages for item in page.get("Contents", ())}

    def content(self, path: str) -> bytes:
        body: bytes = self.world.client.get_object(Bucket=BUCKET, Key=f"{self.prefix}/{path}")["Body"].read()
        return body

    def uploads(self) -> list[str]:
        """Keys of multipart uploads that nobody completed or aborted."""
        found = self.world.client.list_multipart_uploads(Bucket=BUCKET, Prefix=f"{self.prefix}/")
        return [upload["Key"] for upload in found.get("Uploads", ())]


def at_rest(trial: Trial, model: Model) -> list[str]:
    """What is wrong with the prefix, however a run ended.

    Nothing wrong stands under a final name, and a manifest only beside all that it lists.
    """
    stored = trial.stored()
    wrong = [f"foreign object {path}" for path in stored if path not in {*model.files, MANIFEST, NOTE}]
    for path, content in model.files.items():
        if path in stored and trial.content(path) != content:
            wrong.append(f"{path} is visible and wrong ({stored[path]} bytes)")
    if MANIFEST in stored:
        wrong += [f"a manifest, but no {path}" for path in model.files if path not in stored]
        wrong += _manifest_faults(json.loads(trial.content(MANIFEST)), model)
    return wrong


def _manifest_faults(manifest: Mapping[str, Any], model: Model) -> list[str]:
    told = {entry["path"]: (entry["size"], entry["sha256"], entry["crc32"]) for entry in manifest["files"]}
    right = {
        path: (len(content), sha256(content).hexdigest(), f"{zlib.crc32(content):08x}")
        for path, content in model.files.items()
    }
    wrong = [] if manifest["commit"] == model.commit else [f"the manifest is one of commit {manifest['commit']}"]
    return wrong + ([] if told == right else [f"the manifest says {told}, not {right}"])


def at_the_end(trial: Trial, model: Model) -> list[str]:
    """What is wrong after a run that said it is done: all is there, and nothing else."""
    stored = trial.stored()
    wrong = [f"no {path}" for path in (*model.files, MANIFEST) if path not in stored]
    wrong += ["the note on progress is left"] if NOTE in stored else []
    return at_rest(trial, model) + wrong + [f"an upload of {key} is left" for key in trial.uploads()]


def finished(trial: Trial, model: Model, plan: bytes | None = None, *, token: bool = False) -> list[str]:
    """What is wrong after one more run that nobody disturbs."""
    client = trial.start(plan or model.plan(), "--deadline", str(PATIENCE), token=token)
    status = client.wait(PATIENCE + 10)
    if status != 0:
        return [f"an undisturbed run ended with {status}: {client.said()[-600:]}", *at_rest(trial, model)]
    return at_the_end(trial, model)
