"""The ways to get a model from the Hub into S3 that are measured: ours, and those that people use today."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.processes import ROOT, peer
from benchmarks.servers.hub import REPO, Blob, blobs, commit_of

BUCKET = "models"
KEYS = {"AWS_ACCESS_KEY_ID": "standinkey", "AWS_SECRET_ACCESS_KEY": "standinsecret"}
_SNAPSHOT = """
import sys
from huggingface_hub import snapshot_download
snapshot_download(sys.argv[1], revision=sys.argv[2], local_dir="model")
"""

# The least that any client has to do, in one thread: take the bytes from loopback and hash them.
_LIMIT = """
import hashlib, socket, sys, urllib.parse
buffer = memoryview(bytearray(1 << 20))
for url in sys.argv[1:]:
    parts = urllib.parse.urlsplit(url)
    line = socket.create_connection((parts.hostname, parts.port))
    line.sendall(f"GET {parts.path} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n".encode())
    reader = line.makefile("rb", buffering=65536)
    left = 0
    while (head := reader.readline().strip()):
        if head.lower().startswith(b"content-length:"):
            left = int(head.split(b":")[1])
    digest = hashlib.sha256()
    while left:
        got = reader.readinto(buffer[:min(left, len(buffer))])
        digest.update(buffer[:got])
        left -= got
"""


@dataclass(frozen=True, slots=True)
class Model:
    """A repository on disk, as the servers show it."""

    root: Path
    files: Mapping[str, Blob]
    commit: str

    @property
    def size(self) -> int:
        return sum(blob.size for blob in self.files.values())

    def plan(self, path: Path) -> Path:
        """plan.json with the list of files, as `modelyard render` writes it after `modelyard lock`."""
        listed = {
            name: [blob.size, f"sha256:{blob.sha256}" if blob.lfs else f"git:{blob.git}"]
            for name, blob in self.files.items()
        }
        source = {"huggingface": REPO, "commit": self.commit}
        document = {"version": 1, "model": "bench", "source": source, "allow": [], "ignore": [], "files": listed}
        path.write_text(json.dumps(document))
        return path


def made(root: Path, shards: int, shard: int, *, sparse: bool = False) -> Model:
    """Valid safetensors of `shard` bytes each and nine small files; sparse ones hold zeros and take no disk."""
    root.mkdir(parents=True, exist_ok=True)
    for number in range(1, shards + 1):
        path = root / f"model-{number:05}-of-{shards:05}.safetensors"
        if not path.exists():
            _shard(path, shard, sparse)
    weights = {f"layer{n}": f"model-{n:05}-of-{shards:05}.safetensors" for n in range(1, shards + 1)}
    small = {"model.safetensors.index.json": json.dumps({"weight_map": weights}).encode()}
    names = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json")
    small |= {
        name: b'{"made": "%s"}' % name.encode() * 400 for name in (*names, "merges.txt", "special_tokens_map.json")
    }
    for name, content in {**small, "chat_template.jinja": b"{{ messages }}"}.items():
        if not (root / name).exists():
            (root / name).write_bytes(content)
    files = blobs(root)
    return Model(root, files, commit_of(files))


def _shard(path: Path, size: int, sparse: bool) -> None:
    header = b""
    for _ in range(2):  # the header names the size of the data, which depends on its own length
        data = size - 8 - len(header)
        facts = {"weights": {"dtype": "U8", "shape": [data], "data_offsets": [0, data]}}
        header = json.dumps(facts).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        left = 0 if sparse else size - 8 - len(header)
        while left:
            file.write(os.urandom(min(left, 2**22)))
            left -= min(left, 2**22)
        file.truncate(size)


def environment(hub: str, s3: str) -> dict[str, str]:
    """What every client gets, and nothing of the user's own configuration."""
    return {
        "HF_ENDPOINT": hub,
        "AWS_ENDPOINT_URL": s3,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "S3_ENDPOINT_URL": s3,  # s5cmd's name for it
        "PYTHONPATH": str(ROOT),
        **KEYS,
    }


Steps = Sequence[Sequence[Sequence[str]]]


class Way(NamedTuple):
    """Commands that copy the model to a prefix."""

    prefix: str
    steps: Steps


OURS, HAND = "modelyard prestage", "snapshot_download + aws s3 sync"


def ours(plan: Path, prefix: str, *more: str) -> list[str]:
    target = f"s3://{BUCKET}/{prefix}"
    return [sys.executable, "-m", "generator.prestage", str(plan), "--target", target, *more]


def ways(model: Model, plan: Path, prefix: str, hub: str, cdn: str, s3: str) -> dict[str, Way]:
    """Each way as steps of commands, with the tools' own defaults and a prefix of its own."""
    snapshot_first = [snapshot(model)]
    found = {HAND: Way(f"{prefix}/aws", [snapshot_first, [_aws(f"{prefix}/aws")]])}
    found["snapshot_download + s5cmd"] = Way(f"{prefix}/s5cmd", [snapshot_first, [_s5cmd(f"{prefix}/s5cmd")]])
    remote = f"{_remote(s3)}{prefix}/rclone"
    copy = [peer("rclone"), "copy", "model", remote, "--exclude", "/.cache/**"]
    found["snapshot_download + rclone"] = Way(f"{prefix}/rclone", [snapshot_first, [copy]])
    urls = {name: _address(name, blob, model, hub, cdn) for name, blob in model.files.items()}
    copyurl = [[peer("rclone"), "copyurl", url, f"{_remote(s3)}{prefix}/url/{name}"] for name, url in urls.items()]
    found["rclone copyurl x4, nothing verified"] = Way(f"{prefix}/url", [copyurl])
    found[OURS] = Way(f"{prefix}/ours", [[ours(plan, f"{prefix}/ours")]])
    return found


def _aws(prefix: str) -> list[str]:
    target = f"s3://{BUCKET}/{prefix}"
    return [peer("aws"), "s3", "sync", "model", target, "--exclude", ".cache/*", "--no-progress"]


def _s5cmd(prefix: str) -> list[str]:
    return [peer("s5cmd"), "cp", "--exclude", ".cache/*", "model/", f"s3://{BUCKET}/{prefix}/"]


def _remote(s3: str) -> str:
    return f":s3,provider=Other,env_auth=true,no_check_bucket=true,endpoint='{s3}':{BUCKET}/"


def limit(model: Model, cdn: str) -> Way:
    return Way("", [[[sys.executable, "-I", "-c", _LIMIT, *(f"{cdn}/{n}" for n, b in model.files.items() if b.lfs)]]])


def snapshot(model: Model) -> list[str]:
    return [peer("python"), "-c", _SNAPSHOT, REPO, model.commit]


def _address(name: str, blob: Blob, model: Model, hub: str, cdn: str) -> str:
    return f"{cdn}/{name}" if blob.lfs else f"{hub}/{REPO}/resolve/{model.commit}/{name}"
