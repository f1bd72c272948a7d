"""The image without Docker: the Dockerfile's own steps in a folder, and the program run from nothing else."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.standins.receiver import Receiver
from tests.standins.seaweedfs import SeaweedFS
from tests.unit import prestaging

ROOT = Path(__file__).parents[2]
DOCKERFILE = re.sub(r"\\\n", " ", (ROOT / "serving/prestage.Dockerfile").read_text())
IN_IMAGE = "/opt/modelyard"
BUCKET = "image-tests"

pytestmark = pytest.mark.slow


def steps(word: str) -> list[str]:
    """The arguments of every instruction of this name, in order."""
    return re.findall(rf"^{word} (.*)$", DOCKERFILE, re.MULTILINE)


@dataclass(frozen=True)
class Image:
    """What the final stage holds, and how it starts."""

    root: Path
    env: Mapping[str, str]
    entrypoint: list[str]

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Without site-packages, so that nothing of this environment takes part."""
        command = [sys.executable, "-s", "-S", *self.entrypoint[1:], *words]
        env = {"PATH": os.environ["PATH"], **self.env, **environment}
        return subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)

    def files(self) -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in self.root.rglob("*")}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The stage `packages`, built by the lines of the Dockerfile that make it."""
    root = tmp_path_factory.mktemp("image")
    for line in steps("COPY"):
        *sources, target = line.split()
        if not sources[0].startswith("--from"):
            _copy(sources, target, root)
    for line in steps("RUN"):
        words = [str(root) + word if word.startswith("/") else word for word in shlex.split(line)]
        assert words[0] == "python"
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run([sys.executable, *words[1:]], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(root / "build")  # the final stage takes IN_IMAGE alone
    env = dict(re.findall(r"([A-Z_]+)=(\S+)", steps("ENV")[0]))
    return Image(root, {k: v.replace(IN_IMAGE, str(root) + IN_IMAGE) for k, v in env.items()}, _list("ENTRYPOINT"))


def _copy(sources: list[str], target: str, root: Path) -> None:
    for source in sources:
        into = root / target.removeprefix("/")
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, into, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            into = into / Path(source).name if target.endswith("/") else into
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, into)


def _list(word: str) -> list[str]:
    found: list[str] = json.loads(steps(word)[0])
    return found


def test_it_starts(image: Image) -> None:
    done = image.run("--help")
    assert done.returncode == 0, done.stderr
    assert "Copy a model to S3 or a volume" in done.stdout


def test_it_stages_a_model_and_tells_so(image: Image, seaweedfs: SeaweedFS, tmp_path: Path) -> None:
    """Everything that the program imports only when it is needed: S3, metrics, notifications."""
    client: Any = boto3.client("s3", **seaweedfs.arguments)
    client.create_bucket(Bucket=BUCKET)
    source = prestaging.folder(tmp_path / "source")
    plan = tmp_path / "plan.json"
    plan.write_text(prestaging.text(prestaging.plan()))
    before = image.files()
    with Receiver() as gateway, Receiver() as slack:
        done = image.run(
            *(str(plan), "--source", str(source), "--target", f"s3://{BUCKET}/models/tiny/{'c' * 12}"),
            *("--push-gateway", gateway.url, "--metrics-file", str(tmp_path / "run.prom")),
            **seaweedfs.environment(),
            MODELYARD_WEBHOOK_URL=slack.url,
        )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    assert events[-1]["event"] == "done" and "warning" not in {event["event"] for event in events}
    assert len(gateway.received) == len(slack.received) == 1 and (tmp_path / "run.prom").is_file()
    keys = {item["Key"].split("c" * 12 + "/")[1] for item in client.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert keys == {*prestaging.FILES, ".modelyard/manifest.json"}
    assert image.files() == before, "the Job's root file system is read-only"


def test_no_installer_is_among_the_packages(image: Image) -> None:
    packages = {path.name for path in (image.root / "opt/modelyard/packages").iterdir()}
    assert "botocore" in packages
    assert not packages & {"pip", "setuptools", "wheel", "ensurepip"}
