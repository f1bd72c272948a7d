"""`modelyard rehearse` from the command line: real helm, CEL, prestage program, S3, Ray Serve, and a tiny model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from generator.rehearse import standins
from tests.conftest import ROOT
from tests.standins.hub import HubStandIn
from tests.standins.weights import sharded_model

pytest.importorskip("torch")
pytest.importorskip("ray.serve")

pytestmark = [pytest.mark.serving, pytest.mark.slow, pytest.mark.alone]

PATIENCE = 300.0  # seconds for one rehearsal on a busy machine
CATALOGUE = """\
apiVersion: modelyard.dev/v1alpha1
kind: ModelCatalog
platform:
  prefix: acme
  repository: {url: "https://git.example.com/acme/gitops.git", revision: main, path: deploy/rendered}
  namespace: models
  images: {prestage: "registry.example.com/acme/prestage:1.0.0"}
clusters:
  - {name: by-kro, provider: eks, selector: {stage: test}}
  - {name: by-helm, provider: eks, servicesBy: helm, selector: {stage: production}}
  - {name: by-hand, provider: openshift, gitops: kubectl}
caches:
  - {name: s3, type: s3}
  - {name: disks, type: pvc, storageClass: gp3-csi}
models:
  - {name: tiny, source: {huggingface: org/tiny}, cache: s3, clusters: [by-kro, by-helm]}
  - {name: on-disk, source: {huggingface: org/tiny}, cache: disks, clusters: [by-hand]}
services:
  - name: chat
    clusters: [by-kro, by-helm]
    applications:
      - {model: tiny, app: text-generation, route: /chat, memory: 8Gi, cpu: "8", replicas: {min: 2, max: 4}}
  - name: assistant
    clusters: [by-kro]
    accelerator: nvidia-l4
    applications:
      - {model: tiny, app: vllm, memory: 24Gi}
  - name: inference
    clusters: [by-hand]
    runtime: kserve
    applications:
      - {model: on-disk, app: text-generation, route: /generate}
"""


@dataclass(frozen=True)
class Desk:
    """Where somebody works: their repository, their shell, the folder that their TMPDIR names."""

    folder: Path
    temporary: Path
    environment: dict[str, str]

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "generator.cli", *words]

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        given = {**self.environment, **environment}
        return subprocess.run(
            self.command(*words), cwd=self.folder, env=given, capture_output=True, text=True, timeout=PATIENCE
        )

    def rehearse(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("rehearse", "--tree", "deploy/rendered", *words, **environment)

    def left(self) -> list[str]:
        """Processes that know the temporary folder, and what lies in it."""
        files = [path.name for path in self.temporary.iterdir()]
        return files + [text for text in map(described, Path("/proc").glob("[0-9]*")) if str(self.temporary) in text]


def described(process: Path) -> str:
    """Its arguments and its working directory; empty for one that has ended."""
    try:
        return (process / "cmdline").read_text(errors="replace") + str((process / "cwd").readlink())
    except OSError:
        return ""


@pytest.fixture(scope="module")
def desk(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A repository whose tree is rendered, with files in its lock."""
    folder = tmp_path_factory.mktemp("repository")
    temporary = Path(tempfile.mkdtemp(prefix="reh-", dir="/tmp"))
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = {**kept, "PYTHONPATH": str(ROOT), "MODELYARD_HELM": str(helm), "TMPDIR": str(temporary)}
    found = Desk(folder, temporary, environment)
    (folder / "models.yaml").write_text(CATALOGUE)
    with HubStandIn() as hub:
        hub.add("org/tiny", {**sharded_model(), "tokenizer.json": b"{}"})
        done = found.run("lock", "--no-images", HF_ENDPOINT=hub.url)
        assert done.returncode == 0, done.stderr
    done = found.run("render")
    assert done.returncode == 0, done.stderr
    (folder / "models.yaml").unlink()  # only the tree is read
    yield found
    shutil.rmtree(temporary)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the user's own."""
    scratch = tmp_path_factory.mktemp("models")
    standins.demo(standins.TINY, standins.CAUSAL, scratch, print)
    return scratch / "tiny-causal"


@pytest.mark.long
def test_a_helm_cluster_in_json(desk: Desk) -> None:
    done = desk.rehearse(
        "chat",
        "--cluster",
        "by-helm",
        "--demo-model",
        "tiny",
        "--max-tokens",
        "7",
        "--output",
        "json",
        HF_TOKEN="hf_mine",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["service"], found["cluster"], found["store"]) == ("chat", "by-helm", "S3 (SeaweedFS)")
    (staged,) = found["staged"]
    assert staged["stand_in"] == "a tiny model with random weights" and staged["source"].startswith("org/tiny@")
    assert staged["files"] == 6 and staged["bytes"] > 400_000
    assert staged["target"].startswith("s3://rehearsal-ray-models-000000000000/models/tiny/")
    (answer,) = found["answers"]
    assert 1 <= answer["tokens"]["completion"] <= 7 and answer["finish_reason"] in ("stop", "length")
    assert answer["url"].startswith("http://127.0.0.1:") and answer["url"].endswith("/chat")
    changed = {change["path"]: change["now"] for change in found["changes"]}
    assert changed["http_options.host"] == "127.0.0.1"
    assert changed["applications[0].deployments[0].autoscaling_config.max_replicas"] == 2
    assert changed["applications[0].deployments[0]"] == "1 replica"
    assert "the replicas reserve 8 cores" in done.stderr or (os.cpu_count() or 1) >= 8
    assert "hf_mine" not in done.stdout + done.stderr
    assert desk.left() == []


def test_a_kserve_service_that_people_apply(desk: Desk) -> None:
    """Its manifests are read, so that helm is not needed: claim, init container, server."""
    words = ["inference", "--demo-model", "tiny", "--max-tokens", "7", "-v", "--output", "json"]
    done = desk.rehearse(*words, MODELYARD_HELM="/nowhere/helm")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["service"], found["cluster"], found["ray"]) == ("inference", "by-hand", None)
    assert "claims/model-on-disk-" in found["staged"][0]["target"]
    assert "-m generator.prestage.waiting " in done.stderr
    (answer,) = found["answers"]
    assert answer["url"].endswith("/generate") and 1 <= answer["tokens"]["completion"] <= 7
    changed = {change["path"]: change["now"] for change in found["changes"]}
    assert changed["--host"] == "127.0.0.1"
    assert desk.left() == []


def test_a_kro_cluster_that_is_kept_until_interrupted(desk: Desk, model: Path) -> None:
    command = desk.command("rehearse", "--tree", "deploy/rendered", "--cluster", "by-kro", "--keep", "chat")
    process = subprocess.Popen(
        [*command, "--model-folder", f"tiny={model}"],
        cwd=desk.folder,
        env=desk.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = until(process, "curl http")
        url = said[-1].split()[1]
        assert asked(url)["usage"]["completion_tokens"] >= 1
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, errors
    assert errors.strip().endswith("rehearse: stopped")
    assert f"{model} stands in for org/tiny@" in out and "from serveConfigV2 to RUNNING" in out
    assert desk.left() == []


def until(process: subprocess.Popen[str], words: str) -> list[str]:
    """The lines on stderr up to the one that has `words`; fails where the process ends before."""
    assert process.stderr
    lines: list[str] = []
    watch = threading.Timer(PATIENCE, process.kill)
    watch.start()
    for line in process.stderr:
        lines.append(line.strip())
        if words in line:
            watch.cancel()
            return lines
    raise AssertionError("\n".join(lines))


def asked(url: str) -> Any:
    """What `curl` of the hint would get, shorter."""
    body: dict[str, Any] = {"max_tokens": 2}
    if url.endswith("/chat/completions"):
        body |= {"model": "tiny", "messages": [{"role": "user", "content": "Where?"}]}
    else:
        body |= {"prompt": "Where?"}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310  loopback
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:  # noqa: S310
        return json.loads(response.read())


@pytest.mark.long
def test_interrupted_on_the_way(desk: Desk) -> None:
    process = subprocess.Popen(
        desk.command("rehearse", "--tree", "deploy/rendered", "chat", "--demo-model", "tiny"),
        cwd=desk.folder,
        env=desk.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(process, "starting Ray")
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out, errors.strip()) == (130, "", "stopped")
    assert desk.left() == []


@pytest.mark.long
def test_a_model_that_does_not_load(desk: Desk, model: Path, tmp_path: Path) -> None:
    """The replica's own words are shown, and nothing is left."""
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    (broken / "config.json").write_text('{"model_type": "nothing-that-exists", "architectures": ["Nothing"]}')
    done = desk.rehearse("chat", "--cluster", "by-helm", "--model-folder", str(broken))
    assert (done.returncode, done.stdout) == (1, "")
    assert "application `tiny` does not start: " in done.stderr
    assert "StartRefused: " in done.stderr and "nothing-that-exists" in done.stderr
    assert "Traceback" not in done.stderr
    assert desk.left() == []


@pytest.mark.parametrize(
    ("words", "environment", "message", "hint"),
    [
        (["--tree", "nothing"], {}, "nothing: no rendered tree", "run `modelyard render` first"),
        (["chatt"], {}, "has no service `chatt`", "did you mean `chat`?"),
        (["assistant"], {}, "service `assistant` needs a GPU, and this machine has none", "a service on CPUs"),
        (["chat", "--model-folder", "nothing"], {}, "is not a folder", "config.json, *.safetensors"),
        (["chat", "--model-folder", "other=."], {}, "has no model `other`", "known here: tiny"),
        (
            ["chat"],
            {"HF_ENDPOINT": "http://127.0.0.1:1"},
            "the Hub http://127.0.0.1:1 cannot be reached",
            "--demo-model takes a model that is here, --model-folder FOLDER one of yours",
        ),
        (["chat"], {"MODELYARD_HELM": "/nowhere/helm"}, "cannot run helm", "--helm PATH"),
    ],
    ids=["tree", "service", "GPU", "folder", "name", "Hub", "helm"],
)
def test_what_cannot_be_rehearsed(
    desk: Desk, words: list[str], environment: dict[str, str], message: str, hint: str
) -> None:
    if "assistant" in words and any(Path("/dev").glob("nvidia[0-9]*")):
        pytest.skip("this machine has a GPU")
    done = desk.rehearse(*words, **environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr and hint in done.stderr
    assert "Traceback" not in done.stderr
    assert desk.left() == []


def test_faults_in_json(desk: Desk) -> None:
    done = desk.rehearse("chatt", "--output", "json")
    (fault,) = json.loads(done.stdout)["diagnostics"]
    assert (done.returncode, fault["hint"]) == (1, "did you mean `chat`?")


def test_a_demo_model_that_does_not_exist(desk: Desk) -> None:
    done = desk.rehearse("chat", "--demo-model", "huge")
    assert done.returncode == 2
    assert "'huge' is not one of smollm2, tiny" in done.stderr
