"""`modelyard serve` and `ask` from the command line: one Ray for all tests, a tiny model, files that change.

The tests build on each other, in the order in which they stand: Ray takes longer to start than all of them together.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from generator.rehearse.processes import free_ports
from tests.conftest import ROOT
from tests.faults.serving_cluster import wait_for
from tests.standins import forwarder

pytest.importorskip("torch")
pytest.importorskip("ray.serve")

pytestmark = [pytest.mark.serving, pytest.mark.slow, pytest.mark.alone]

PATIENCE = 300.0  # seconds for one step on a busy machine
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CATALOGUE = f"""\
apiVersion: modelyard.dev/v1alpha1
kind: ModelCatalog
platform:
  prefix: acme
  repository: {{url: "https://git.example.com/acme/gitops.git", revision: main, path: rendered}}
  namespace: models
  images: {{prestage: "registry.example.com/acme/prestage:1.0.0"}}
clusters:
  - {{name: one, provider: eks, selector: {{stage: test}}}}
caches:
  - {{name: s3, type: s3}}
models:
  - {{name: tiny, source: {{huggingface: org/tiny, revision: {COMMIT}}}, cache: s3}}
services:
  - name: chat
    clusters: [one]
    applications:
      - {{model: tiny, app: text-generation, route: /chat, memory: 2Gi, cpu: "1", replicas: {{max: 3}}}}
"""
# What somebody may make of text_generation/app.py: answers at once, with a word of theirs and the environment's model.
SMALL = """\
import os
from typing import Any

from fastapi import Body, FastAPI
from pydantic import BaseModel
from ray import serve

api = FastAPI()


class Arguments(BaseModel):
    pass


@serve.deployment
@serve.ingress(api)
class TextGeneration:
    @api.post("/")
    def answer(self, body: dict[str, Any] = Body()) -> dict[str, Any]:
        return {"text": f"WORD {os.environ['MODEL_NAME']}: {body['prompt']}", "pid": os.getpid()}


def build(_: Arguments) -> serve.Application:
    return TextGeneration.bind()
"""


@dataclass
class Running:
    """A `modelyard serve`, and what it has said so far."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr
        with self.process.stderr as stream:
            for line in stream:
                with self._news:
                    self.lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self.lines.append("(end)")
            self._news.notify_all()

    def until(self, words: str, since: int = 0) -> str:
        """The first line after `since` that has `words`."""
        with self._news:
            self._news.wait_for(lambda: self._found(words, since) or "(end)" in self.lines, PATIENCE)
            found = self._found(words, since)
        assert found, "\n".join(self.lines)
        return found

    def _found(self, words: str, since: int) -> str:
        return next((line for line in self.lines[since:] if words in line), "")

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.until("(end)")
        return self.process.wait(PATIENCE)


@dataclass(frozen=True)
class Desk:
    """Where somebody works: a repository with a catalogue and `serving/`."""

    folder: Path
    environment: dict[str, str]

    @property
    def app(self) -> Path:
        return self.folder / "serving" / "text_generation" / "app.py"

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "generator.cli", *words]

    def start(self, *words: str) -> Running:
        command = self.command("serve", "chat", *words)
        out, errors = subprocess.DEVNULL, subprocess.PIPE
        return Running(
            subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=out, stderr=errors, text=True)
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def write(self, word: str) -> None:
        """A version of the application that says `word`."""
        self.app.write_text(SMALL.replace("WORD", word))


@dataclass(frozen=True)
class Scene:
    """The first desk, whose service runs on its Ray, and a second one for somebody else."""

    desk: Desk
    other: Desk
    running: Running
    port: int
    dashboard: str

    def asked(self, route: str) -> Any:
        """The answer's body; the status where it is none."""
        body = json.dumps({"prompt": "Where?", "max_tokens": 2}).encode()
        url = f"http://127.0.0.1:{self.port}{route}/"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310  loopback
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def applications(self) -> dict[str, str]:
        """Status by name, as Ray has them."""
        url = f"{self.dashboard}/api/serve/applications/"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310  loopback
            return {name: found["status"] for name, found in json.loads(answer.read())["applications"].items()}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    temporary = Path(tempfile.mkdtemp(prefix="dev-", dir="/tmp"))
    (port,) = free_ports(1)
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kubectl = temporary / "kubectl"
    kubectl.write_text(f'#!/bin/sh\nexec {sys.executable} {forwarder.__file__} "$@"\n')
    kubectl.chmod(0o755)
    environment = {**kept, "PATH": f"{temporary}{os.pathsep}{path}", "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    desks = []
    for name in ("first", "other"):
        folder = tmp_path_factory.mktemp(name)
        (folder / "models.yaml").write_text(CATALOGUE)
        for package in ("common", "text_generation"):
            shutil.copytree(ROOT / "serving" / package, folder / "serving" / package)
        desks.append(Desk(folder, environment))
    first, other = desks
    running = first.start("--demo-model", "tiny", "--port", str(port))
    try:
        dashboard = running.until("Ray's dashboard: ").split()[-1]
        services = {"models/chat-head-svc": {"8265": int(dashboard.rpartition(":")[2]), "8000": port}}
        services["models/chat-serve-svc"] = {"8000": port}
        other.environment["FORWARDER"] = json.dumps({"shared": services})
        running.until("live: ")
        yield Scene(first, other, running, port, dashboard)
    finally:
        code = running.end()
        left = [path.name for path in temporary.iterdir() if path != kubectl]
        shutil.rmtree(temporary)
    assert code == 0, "\n".join(running.lines)
    assert left == []


def test_an_answer_with_its_timings(scene: Scene) -> None:
    url = f"http://127.0.0.1:{scene.port}"
    done = scene.desk.run("ask", "chat", "Where?", "--url", url, "--max-tokens", "8")
    assert done.returncode == 0, done.stderr
    assert [line.split("  ")[0] for line in done.stdout.splitlines()[-4:-1]] == ["what", "first token", "answer"]
    done = scene.desk.run("ask", "chat", "Where?", "--url", url, "--max-tokens", "8", "--json")
    found = json.loads(done.stdout)
    assert (found["service"], found["application"], found["url"]) == ("chat", "tiny", f"{url}/chat")
    assert found["text"] and 1 <= found["tokens"]["completion"] <= 8
    assert 0 < found["seconds"]["first_token"] <= found["seconds"]["answer"]


def test_the_catalogue_changes(scene: Scene) -> None:
    catalogue = scene.desk.folder / "models.yaml"
    catalogue.write_text(CATALOGUE.replace("/chat", "/talk"))
    scene.running.until("reloaded")
    wait_for(lambda: scene.asked("/chat") == 404, "the proxy to know", PATIENCE)
    assert scene.asked("/talk")["text"]


def test_a_source_changes(scene: Scene) -> None:
    since = len(scene.running.lines)
    scene.desk.write("one")
    scene.running.until("text_generation/app.py changed", since)
    scene.running.until("reloaded", since)
    assert scene.asked("/talk")["text"] == "one tiny: Where?"


@pytest.mark.parametrize(
    ("line", "said", "ends"),
    [
        ("def broken(:", "app.py:25:12: is no Python: ", "the version before goes on serving"),
        ("import nothing_such", "ModuleNotFoundError: No module named 'nothing_such'", "the version before serves"),
    ],
    ids=["syntax", "import"],
)
def test_a_fault_leaves_the_version_before(scene: Scene, line: str, said: str, ends: str) -> None:
    pid = scene.asked("/talk")["pid"]
    since = len(scene.running.lines)
    with scene.desk.app.open("a") as file:
        file.write(line + "\n")
    scene.running.until(said, since)
    scene.running.until(ends, since)
    assert scene.asked("/talk") == {"text": "one tiny: Where?", "pid": pid}
    assert scene.applications() == {"tiny": "RUNNING"}
    since = len(scene.running.lines)
    scene.desk.write("one")
    scene.running.until("which changes nothing of the service", since)


@pytest.mark.long
def test_somebody_else_on_the_same_cluster(scene: Scene) -> None:
    """Through a port-forward; what both do leaves the other's alone."""
    mine = scene.asked("/talk")["pid"]
    (port,) = free_ports(1)
    scene.other.write("two")
    running = scene.other.start("--cluster", "shared", "--as", "ada", "--port", str(port))
    try:
        assert running.until("ada-tiny answers at ").endswith(f"http://127.0.0.1:{port}/ada/chat")
        words = ["ask", "chat", "Where?", "--as", "ada", "--cluster", "shared", "--json"]
        assert json.loads(scene.other.run(*words).stdout)["text"] == "two tiny: Where?"
        scene.other.write("three")
        running.until("reloaded")
        assert scene.asked("/ada/chat")["text"] == "three tiny: Where?"
        assert scene.asked("/talk")["pid"] == mine
        since = len(scene.running.lines)
        scene.desk.write("four")
        scene.running.until("reloaded", since)  # a PUT of a configuration that knows nothing of ada's
        assert scene.asked("/ada/chat")["text"] == "three tiny: Where?"
    finally:
        code = running.end()
    assert code == 0 and running.lines[-2:] == ["serve: stopped", "(end)"]
    assert scene.applications() == {"tiny": "RUNNING"}
    assert scene.asked("/talk")["text"] == "four tiny: Where?"


@pytest.mark.long
def test_what_a_killed_one_has_left(scene: Scene) -> None:
    address = ["--address", scene.dashboard.removeprefix("http://"), "--as", "ada"]
    scene.other.write("five")
    running = scene.other.start(*address)
    assert running.until("ada-tiny answers at ").endswith(f":{scene.port}/ada/chat")
    running.process.kill()
    running.process.wait()
    assert scene.applications() == {"tiny": "RUNNING", "ada-tiny": "RUNNING"}
    done = scene.other.run("serve", "chat", *address, "--remove")
    assert (done.returncode, done.stderr) == (0, "serve: deleted ada-tiny\n")
    assert scene.applications() == {"tiny": "RUNNING"}
    done = scene.other.run("serve", "chat", *address, "--remove")
    assert (done.returncode, done.stderr) == (0, "serve: nothing of yours is left there\n")
