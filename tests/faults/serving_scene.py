"""The application as KubeRay deploys it on a cluster of two nodes: zip, entry of serveConfigV2, a tiny model."""

from __future__ import annotations

import copy
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generator.apps import APPS, Deployment, Served
from generator.bundle import join, read_app
from tests.faults.serving_cluster import Cluster, Json, Node, fetch, wait_for
from tests.faults.serving_models import CONTEXT, make

SERVING = Path(__file__).parents[2] / "serving"
APP, CLASS, ROUTE, MODEL = "tiny", "TextGeneration", "/tiny", "org/tiny"
REPLICAS = 2
MAX_TOKENS = 8000  # of an answer: minutes, so that a slot that leaks is seen
SLOTS = 8
REPLICA, PROXY = f"ray::ServeReplica:{APP}:", "ray::ProxyActor"


def archive(folder: Path, sources: Path = SERVING) -> Path:
    """The zip that the compiler makes of the packages below `sources`."""
    packages = {name: read_app(sources / name) for name in APPS["text-generation"].packages}
    bundle = join(["text-generation"], packages)
    path = folder / bundle.filename
    path.write_bytes(bundle.zip)
    return path


def entry(model: Path, code: Path, replicas: int = REPLICAS) -> dict[str, Any]:
    """What `modelyard render` writes for one application."""
    return APPS["text-generation"].serve(
        Deployment(
            name=APP,
            route=ROUTE,
            models=(Served(MODEL, str(model), CONTEXT),),
            working_dir=code.as_uri(),
            min_replicas=replicas,
            max_replicas=replicas,
            cpus=1,
            accelerators=0,
            max_tokens=MAX_TOKENS,
            concurrency=SLOTS,
            memory=2**30,
        )
    )


@dataclass(frozen=True, slots=True)
class Replica:
    """`state` is Serve's: RUNNING, STARTING, STOPPING…"""

    id: str
    pid: int
    state: str
    node: str


@dataclass
class Scene:
    """A cluster with the application on it. `models` are two revisions of one model."""

    cluster: Cluster
    folder: Path
    models: tuple[Path, Path]
    code: Path
    config: dict[str, Any] = field(default_factory=dict)

    def deploy(self, **changed: Any) -> None:
        """Puts the Serve config as KubeRay does; `changed` are fields of the deployment."""
        config = copy.deepcopy(self.config or self._first())
        config["applications"][0]["deployments"][0].update(changed)
        self.put(config)

    def put(self, config: dict[str, Any]) -> None:
        """Raises AssertionError when Serve refuses it."""
        status, body = fetch(f"{self.cluster.dashboard}/api/serve/applications/", config, "PUT", timeout=60)
        assert status == 200, body
        self.config = config

    def revise(self, model: Path, code: Path | None = None) -> float:
        """Another revision of the model, or other code: waits until it alone answers; the seconds that took."""
        began, old = time.monotonic(), {replica.pid for replica in self.replicas()}
        config = copy.deepcopy(self.config)
        environment = config["applications"][0]["runtime_env"]
        environment["env_vars"]["MODEL_ID"] = str(model)
        if code:
            environment["working_dir"] = code.as_uri()
        self.put(config)
        wait_for(lambda: not old & {replica.pid for replica in self.replicas()}, "replicas of the new revision")
        self.settle()
        return time.monotonic() - began

    def state(self) -> Json:
        """What the dashboard says."""
        _, body = fetch(f"{self.cluster.dashboard}/api/serve/applications/", timeout=60)
        return json.loads(body)

    def replicas(self) -> list[Replica]:
        found = self.state()["applications"].get(APP, {"deployments": {}})["deployments"].values()
        return [
            Replica(each["replica_id"], each.get("pid") or 0, each["state"], each.get("node_ip") or "")
            for deployment in found
            for each in deployment["replicas"]
        ]

    def running(self) -> list[Replica]:
        return [replica for replica in self.replicas() if replica.state == "RUNNING"]

    def whole(self) -> bool:
        """Whether the application runs with all its replicas, none starting or stopping, and each proxy answers."""
        state = self.state()
        if state["applications"].get(APP, {}).get("status") != "RUNNING":
            return False
        wanted = self.config["applications"][0]["deployments"][0].get("num_replicas", 1)
        replicas = self.replicas()
        settled = len(replicas) == wanted and all(replica.state == "RUNNING" for replica in replicas)
        proxies = [proxy["status"] for proxy in state["proxies"].values()]
        listening = proxies == ["HEALTHY"] * len(self.cluster.nodes)
        return settled and listening and all(answers(node) for node in self.cluster.nodes)

    def settle(self, patience: float = 180.0) -> float:
        """Waits until it is `whole`; the seconds that took."""
        began = time.monotonic()
        wait_for(self.whole, "two replicas and two proxies", patience, pause=0.25)
        return time.monotonic() - began

    def message(self) -> str:
        """Why the application is not what it should be, in Serve's words."""
        application = self.state()["applications"].get(APP, {})
        told = [application.get("message", "")]
        told += [deployment["message"] for deployment in application.get("deployments", {}).values()]
        return "\n".join(filter(None, told))

    def _first(self) -> dict[str, Any]:
        return {
            "proxy_location": "EveryNode",
            "http_options": {"host": "127.0.0.1", "port": self.cluster.http},
            "applications": [entry(self.models[0], self.code)],
        }


def answers(node: Node) -> bool:
    """What KubeRay's readiness probe asks of a pod with a proxy."""
    try:
        return fetch(f"{node.proxy}/-/healthz", timeout=2) == (200, b"success")
    except OSError:
        return False


@contextmanager
def scene(sources: Path = SERVING) -> Iterator[Scene]:
    """A cluster that has the application on it, ready."""
    with tempfile.TemporaryDirectory(prefix="serving-") as name, Cluster() as cluster:
        folder = Path(name)
        models = make(folder / "revision-a", 7), make(folder / "revision-b", 8)
        place = Scene(cluster, folder, models, archive(folder, sources))
        place.deploy()
        try:
            place.settle()
        except TimeoutError as error:
            raise RuntimeError(f"{error}: {place.message()}") from error
        yield place
