"""A Ray head on this machine, to which Serve configs are deployed as KubeRay does it: by PUT to the dashboard."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from generator.apps import APPS
from generator.bundle import join, read_app
from tests.faults.serving_cluster import HEAD, Node, fetch, free_ports, wait_for

SERVING = Path(__file__).parents[2] / "serving"
PATIENCE = 600.0  # seconds until a deployment has to be decided, on a machine that does much else
DECIDED = {"RUNNING", "DEPLOY_FAILED", "UNHEALTHY"}


@dataclass(frozen=True)
class Cluster:
    """Addresses of the dashboard and of the proxy."""

    dashboard: str
    port: int

    @property
    def proxy(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def deploy(self, applications: Sequence[Mapping[str, Any]]) -> None:
        """Returns when every application runs. KubeRay reads serveConfigV2 as YAML and puts it as JSON."""
        config = {
            "proxy_location": "EveryNode",
            "http_options": {"host": "127.0.0.1", "port": self.port},
            "applications": list(applications),
        }
        url = f"{self.dashboard}/api/serve/applications/"
        assert fetch(url, yaml.safe_load(yaml.safe_dump(config)), "PUT") == (200, b"")
        wait_for(lambda: self._decided(len(applications)), "applications", PATIENCE)
        states = {name: (app["status"], app["message"][-1500:]) for name, app in self.applications().items()}
        assert all(status == "RUNNING" for status, _ in states.values()), states

    def applications(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(fetch(f"{self.dashboard}/api/serve/applications/")[1])["applications"]
        return found

    def _decided(self, count: int) -> bool:
        now = self.applications().values()
        return len(now) == count and all(application["status"] in DECIDED for application in now)

    def deployments(self, application: str) -> dict[str, Any]:
        found: dict[str, Any] = self.applications()[application]["deployments"]
        return found

    def pids(self, application: str) -> dict[str, set[int]]:
        """Processes of the running replicas of each deployment."""
        return {
            name: {replica["pid"] for replica in deployment["replicas"] if replica["state"] == "RUNNING"}
            for name, deployment in self.deployments(application).items()
        }


@contextmanager
def cluster(cores: int) -> Iterator[Cluster]:
    """Ends all that it started. `cores` is a number for placement."""
    folder = tempfile.mkdtemp(prefix="ray-")  # the path of a Unix socket has 107 characters at most
    gcs, dashboard, agent, client, port, metrics = free_ports(6)
    options = {
        "node-ip-address": HEAD,
        "port": gcs,
        "dashboard-host": "127.0.0.1",
        "dashboard-port": dashboard,
        "dashboard-agent-listen-port": agent,
        "metrics-export-port": metrics,
        "ray-client-server-port": client,
        "min-worker-port": 0,
        "max-worker-port": 0,
        "num-cpus": cores,
        "memory": 64 * 2**30,
        "object-store-memory": 80_000_000,
        "temp-dir": folder,
    }
    command = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", "--disable-usage-stats"]
    process = subprocess.Popen(
        [*command, *(f"--{name}={value}" for name, value in options.items())],
        # Whatever token the user of this machine has in their home; no other node could take over.
        env={**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    found = Cluster(f"http://127.0.0.1:{dashboard}", port)
    try:
        wait_for(lambda: process.poll() is not None or _answers(found.dashboard), "the dashboard", PATIENCE)
        assert process.poll() is None, "ray start ended"
        yield found
    finally:
        if process.poll() is None:
            Node(HEAD, port, metrics, process).end()
        shutil.rmtree(folder, ignore_errors=True)


def _answers(dashboard: str) -> bool:
    try:
        return fetch(f"{dashboard}/api/serve/applications/", timeout=5)[0] == 200
    except OSError:
        return False


def code(folder: Path, *apps: str) -> str:
    """URI of the zip with the packages of these applications."""
    packages = {package: read_app(SERVING / package) for app in apps for package in APPS[app].packages}
    bundle = join(apps, packages)
    path = folder / bundle.filename
    path.write_bytes(bundle.zip)
    return path.as_uri()
