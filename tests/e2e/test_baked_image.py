"""An image with models inside, without Docker: the steps of the rendered Dockerfile in a folder, against a Hub.

Nothing here repeats a path or an argument: what the build copies and runs is read out of the Dockerfile and of
docker-bake.json, and where the pods look for their models out of the values of their chart.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import dockerfiles
from tests.e2e.clusters import modelyard
from tests.standins.hub import HubStandIn
from tests.standins.loopback import Asked, Reply
from tests.standins.weights import sharded_model, tiny_model

ROOT = Path(__file__).parents[2]
TOKEN = "hf_madeUpForThisTest"
PINNED = f"@sha256:{'a' * 64}"
CATALOGUE = f"""\
apiVersion: modelyard.dev/v1alpha1
kind: ModelCatalog
platform:
  prefix: acme
  repository: {{url: "https://git.example.com/acme/gitops.git"}}
  images:
    prestage: registry.example.com/acme/prestage:1.0.0{PINNED}
    cpu: {{image: "docker.io/rayproject/ray:2.60.0-py311-cpu{PINNED}", rayVersion: 2.60.0}}
clusters:
  - {{name: main, provider: aks}}
caches:
  - {{name: baked, type: image, repository: registry.example.com/models}}
models:
  - {{name: tiny, source: {{huggingface: org/tiny}}, cache: baked}}
  - {{name: gated, source: {{huggingface: org/gated, tokenSecret: hf-token}}, cache: baked, loadTest: true}}
services:
  - name: chat
    clusters: [main]
    applications:
      - {{model: tiny, route: /tiny, memory: 8Gi}}
      - {{model: gated, route: /gated, memory: 8Gi}}
"""


def tokenized(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The model with a configuration that its load test knows, and without a tokenizer to judge."""
    config = json.loads(files["config.json"]) | {"model_type": "llama"}
    kept = {path: body for path, body in files.items() if path not in ("tokenizer.json", "config.json")}
    return kept | {"config.json": json.dumps(config).encode()}


@pytest.fixture(scope="module")
def hub() -> Iterator[HubStandIn]:
    with HubStandIn() as server:
        server.tokens.add(TOKEN)
        server.add("org/tiny", tiny_model())
        server.add("org/gated", tokenized(sharded_model()), gated="auto")
        yield server


@pytest.fixture(scope="module")
def tree(hub: HubStandIn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rendered tree of the catalogue, locked against the stand-in."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "models.yaml").write_text(CATALOGUE)
    modelyard(folder, "lock", "--no-images", HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN)
    modelyard(folder, "render")
    return folder / "rendered"


@pytest.fixture
def context(tree: Path, tmp_path: Path) -> Path:
    """A copy of the folder that is built."""
    return Path(shutil.copytree(tree / "images" / "chat", tmp_path / "context"))


def stages(dockerfile: Path) -> dict[str, list[tuple[str, str]]]:
    """The instructions of each stage as `(word, rest)`, by the stage's name."""
    found: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for line in re.sub(r"\\\n\s*", "", dockerfile.read_text()).splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            current = found.setdefault(rest.split(" AS ")[1], [])
        elif word and word != "#":
            current.append((word, rest))
    return found


def arguments(context: Path) -> dict[str, str]:
    """The build arguments of the only target."""
    (target,) = json.loads((context / "docker-bake.json").read_text())["target"].values()
    return dict(target["args"])


@dataclass
class Built:
    """How the stage `models` ended, and what it has."""

    code: int
    events: list[dict[str, Any]]
    output: str
    root: Path
    models: Path = field(init=False)

    def __post_init__(self) -> None:
        self.models = self.root / "tmp" / "models"

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.events if line["event"] == event]


def built(context: Path, root: Path, hub: HubStandIn, token: str = TOKEN) -> Built:
    """The stage `models`, by its own lines; folders below `root` stand for those of the image."""
    given = arguments(context)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HF_ENDPOINT": hub.url, "HF_TOKEN": token}
    command: list[str] = []
    for word, rest in stages(context / "Dockerfile")["models"]:
        if word == "ARG":
            name, _, default = rest.partition("=")
            environment[name] = given.get(name, default.strip('"'))
        elif word == "COPY":
            source, target = rest.split()
            shutil.copytree(context / source, root / target.lstrip("/"), dirs_exist_ok=True)
        elif word == "RUN":
            command = [part for part in shlex.split(rest) if not part.startswith("--mount")]
    assert command[0] == "python"
    words = [str(root) + part if part.startswith("/") else part for part in command[1:]]
    # A base may have any umask; the pods that read are of another user.
    hidden = ["sh", "-c", 'umask 077 && exec "$@"', "sh", sys.executable, "-W", "error", *words]
    done = subprocess.run(hidden, cwd=root, env=environment, capture_output=True, text=True, check=False)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return Built(done.returncode, events, done.stdout + done.stderr, root)


@pytest.fixture(scope="module")
def image(tree: Path, hub: HubStandIn, tmp_path_factory: pytest.TempPathFactory) -> Built:
    ended = built(tree / "images" / "chat", tmp_path_factory.mktemp("image"), hub)
    assert ended.code == 0, ended.output
    return ended


def paths_of_pods(tree: Path) -> list[str]:
    """Where the replicas look for their models."""
    values = yaml.safe_load((tree / "clusters/main/services/chat.yaml").read_text())["services"]["chat"]
    config = yaml.safe_load(values["serveConfigV2"])
    return [application["runtime_env"]["env_vars"]["MODEL_ID"] for application in config["applications"]]


def test_pods_find_every_model_whole(tree: Path, image: Built, hub: HubStandIn) -> None:
    """The manifest of each model lists what is there, with the digests that the Hub states."""
    (copied,) = [rest for word, rest in stages(tree / "images/chat/Dockerfile")["models-only"] if word == "COPY"]
    *_, source, place = copied.split()
    assert image.root / source.lstrip("/") == image.models
    for path, repo in zip(paths_of_pods(tree), ("org/tiny", "org/gated"), strict=True):
        folder = image.models / Path(path).relative_to(place)
        manifest = json.loads((folder / ".modelyard/manifest.json").read_text())
        (commit,) = hub.repositories[repo].commits.values()
        assert {entry["path"]: entry["sha256"] for entry in manifest["files"]} == {
            file.relative_to(folder).as_posix(): sha256(file.read_bytes()).hexdigest()
            for file in folder.rglob("*")
            if file.is_file() and ".modelyard" not in file.parts
        }
        assert all(entry["sha256"] == commit[entry["path"]].sha256 for entry in manifest["files"])
        assert not (folder / ".modelyard/held.json").exists() and not (folder / ".modelyard/partial").exists()


def test_the_models_that_ask_for_it_are_tried(image: Built) -> None:
    assert [event["model"] for event in image.of("published")] == ["gated"]
    assert [event["model"] for event in image.of("done")] == ["gated", "tiny"]


def test_any_user_can_read_them_and_nobody_else_can_write(image: Built) -> None:
    for path in image.models.rglob("*"):
        needed = 0o555 if path.is_dir() else 0o444
        assert path.stat().st_mode & needed == needed and not path.stat().st_mode & 0o022, path


def test_the_token_is_nowhere_in_the_image(image: Built, tree: Path) -> None:
    assert TOKEN not in image.output
    assert not [path for path in image.root.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    (target,) = json.loads((tree / "images/chat/docker-bake.json").read_text())["target"].values()
    assert target["secret"] == ["id=hf-token,env=HF_TOKEN"] and "HF_TOKEN" not in str(target["args"])
    dockerfile = (tree / "images/chat/Dockerfile").read_text()
    assert "HF_TOKEN" not in dockerfile and dockerfile.count("--mount=type=secret,id=hf-token,") == 1


def test_a_second_run_finds_them_in_place(image: Built, tree: Path, hub: HubStandIn) -> None:
    hub.asked.clear()
    again = built(tree / "images" / "chat", image.root, hub)
    assert again.code == 0, again.output
    assert [event["already"] for event in again.of("done")] == [True, True] and hub.asked == []


def test_a_gated_model_without_a_token_ends_the_build(context: Path, hub: HubStandIn, tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    ended = built(context, tmp_path / "image", hub, token="")
    (failed,) = ended.of("failed")
    assert (ended.code, failed["code"]) == (77, "forbidden")
    assert failed["reason"] == "gated: org/gated is gated"
    assert "hf-token of the build" in failed["hint"]
    assert not list(ended.models.rglob("manifest.json"))


def other_bytes(hub: HubStandIn) -> Callable[[Asked], Reply | None]:
    """A CDN whose files have the right length and the wrong content."""

    def answer(asked: Asked) -> Reply | None:
        reply = hub.right(asked)
        if asked.server != "cdn" or not isinstance(reply.body, bytes):
            return None
        return Reply(reply.status, reply.headers, b"x" * len(reply.body), reply.start, reply.stop)

    return answer


def test_wrong_bytes_end_the_build(context: Path, hub: HubStandIn, tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    hub.intercept = other_bytes(hub)
    try:
        ended = built(context, tmp_path / "image", hub)
    finally:
        hub.intercept = lambda asked: None
    (failed,) = ended.of("failed")
    assert (ended.code, failed["code"]) == (65, "integrity"), ended.output
    assert not list(ended.models.rglob("manifest.json"))


def test_another_digest_in_the_lock_ends_the_build(context: Path, hub: HubStandIn, tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    plan = context / "plans" / "tiny.json"
    facts = json.loads(plan.read_text())
    facts["files"]["model.safetensors"][1] = f"sha256:{'0' * 64}"
    plan.write_text(json.dumps(facts))
    ended = built(context, tmp_path / "image", hub)
    (failed,) = ended.of("failed")
    assert ended.code == 65 and failed["reason"].startswith("tiny: "), ended.output
    assert not (ended.models / "tiny").exists() or not list((ended.models / "tiny").rglob("manifest.json"))


def test_a_fault_of_a_plan_is_found_before_the_first_byte(context: Path, hub: HubStandIn, tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    (context / "plans" / "zzz.json").write_text("{}")
    hub.asked.clear()
    ended = built(context, tmp_path / "image", hub)
    assert ended.code == 64 and hub.asked == []


def test_packages_are_those_of_the_serving_image(context: Path) -> None:
    """Its own test replays this step (test_serving_image.py)."""
    ours = dict(stages(context / "Dockerfile")["packages"])
    theirs = re.sub(r"\\\n\s*", "", (ROOT / "serving" / "Dockerfile").read_text())
    assert f"RUN {ours['RUN']}\n" in theirs
    device = arguments(context)["DEVICE"]
    wanted = ours["COPY"].split()[0].replace("${DEVICE}", device)
    assert (context / wanted).read_bytes() == (ROOT / "serving" / f"requirements.{device}.txt").read_bytes()
    environment = dict(
        re.findall(r"(\w+)=(\S+)", " ".join(rest for word, rest in last_stage(context) if word == "ENV"))
    )
    assert f"PYTHONPATH={environment['PYTHONPATH']} " in theirs


def last_stage(context: Path) -> list[tuple[str, str]]:
    return stages(context / "Dockerfile")["with-packages"]


def test_the_context_has_what_the_build_copies_and_no_more(context: Path) -> None:
    allowed = {line[1:] for line in (context / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        rest.split()[0].replace("${DEVICE}", arguments(context)["DEVICE"])
        for instructions in stages(context / "Dockerfile").values()
        for word, rest in instructions
        if word == "COPY" and not rest.startswith("--")
    }
    assert allowed == copied and all((context / name).exists() for name in copied)


@pytest.mark.parametrize("stage", ["models-only", "with-packages"])
def test_it_runs_as_the_pods_do(context: Path, stage: str) -> None:
    instructions = stages(context / "Dockerfile")[stage]
    assert ("USER", "1000:1000") in instructions and ("HEALTHCHECK", "NONE") in instructions
    assert not [rest for word, rest in instructions if word == "COPY" and "--ch" in rest], "files are root's"


def scanner(name: str) -> str:
    folders = [Path(sys.executable).parent, ROOT / ".cache/scan/bin", ROOT / ".cache/tools"]
    found = shutil.which(name, path=os.pathsep.join([*map(str, folders), os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def test_hadolint(context: Path) -> None:
    assert dockerfiles.faults((context / "Dockerfile").read_text()) == []


def test_trivy(context: Path, tmp_path: Path) -> None:
    command = [scanner("trivy"), "config", "--skip-check-update", "--skip-version-check", "--quiet", "--exit-code", "1"]
    cache = ["--cache-dir", str(tmp_path / "trivy")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HTTPS_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run(
        [*command, *cache, str(context)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
