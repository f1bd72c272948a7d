"""The serving image without Docker: the Dockerfile's own steps in a folder, and Ray run from nothing else."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from generator.bundle import join, read_app

ROOT = Path(__file__).parents[2]
SERVING = ROOT / "serving"
DOCKERFILE = re.sub(r"\\\n", " ", (SERVING / "Dockerfile").read_text())
IN_IMAGE = "/opt/modelyard/packages"
PACKAGES = sorted(path.name for path in SERVING.iterdir() if (path / "__init__.py").is_file())

pytestmark = [
    pytest.mark.slow,
    pytest.mark.serving,
    pytest.mark.alone,
    pytest.mark.skipif(
        os.environ.get("MODELYARD_TEST_IMAGE") != "1", reason="installs 1.6 GB: MODELYARD_TEST_IMAGE=1 runs it"
    ),
]


def steps(word: str) -> list[str]:
    """The arguments of every instruction of this name, in order."""
    return re.findall(rf"^{word} (.*)$", DOCKERFILE, re.MULTILINE)


def arguments(device: str) -> dict[str, str]:
    """The build arguments of the first stage. Wheels in PIP_FIND_LINKS stand for the index, as they do for pip."""
    given = dict(line.split("=", 1) for line in steps("ARG")) | {"DEVICE": device}
    return given | ({"PIP_EXTRA_INDEX_URL": ""} if os.environ.get("PIP_FIND_LINKS") else {})


@dataclass(frozen=True)
class Image:
    """The packages, and the environment of the final stage."""

    root: Path
    env: Mapping[str, str]

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Python without packages of its own, so that nothing of this environment takes part."""
        command = [sys._base_executable, "-s", *words]  # type: ignore[attr-defined]
        env = {"PATH": os.environ["PATH"], "HOME": str(self.root), **self.env, **environment}
        return subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The stage `packages` for CPUs, built by the lines of the Dockerfile that make it."""
    root = tmp_path_factory.mktemp("image")
    given = arguments("cpu")
    source, lock = steps("COPY")[0].replace("${DEVICE}", given["DEVICE"]).split()
    (root / lock.lstrip("/")).parent.mkdir(parents=True)
    shutil.copy(ROOT / source, root / lock.lstrip("/"))
    (line,) = steps("RUN")
    words = [str(root) + word if word.startswith("/") else word for word in shlex.split(line)]
    words.remove("--no-cache-dir")  # the image keeps no cache; whoever tests often has one
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([sys.executable, *words[1:]], env=env | given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    moved, there = steps("COPY")[1].split()[1:]
    assert (moved, there) == ("/tmp/packages", IN_IMAGE)
    place = str(root) + moved
    env = dict(re.findall(r"([A-Z_]+)=(\S+)", steps("ENV")[0]))
    yield Image(root, {name: value.replace(there, place) for name, value in env.items()})
    shutil.rmtree(root)  # 1.6 GB


def test_every_module_of_ours_finds_what_it_imports(image: Image, tmp_path: Path) -> None:
    program = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name); print(name)"
    names = [
        ".".join(path.relative_to(SERVING).with_suffix("").parts)
        for package in PACKAGES
        for path in sorted((SERVING / package).rglob("*.py"))
    ]
    path = f"{image.env['PYTHONPATH']}:{SERVING}"
    done = image.run("-S", "-c", program, *names, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == names and len(names) > 10


@pytest.mark.parametrize(
    "module",
    [
        "ray.scripts.scripts",  # the `ray start` of KubeRay
        "ray.serve.scripts",
        "ray.dashboard.dashboard",  # to which the operator puts the Serve config
        "ray.dashboard.agent",
        "ray.autoscaler._private.kuberay.run_autoscaler",  # a sidecar of the head, from the same image
    ],
)
def test_what_kuberay_starts_is_there(image: Image, module: str) -> None:
    done = image.run("-S", "-c", f"import {module}")
    assert done.returncode == 0, done.stderr


REMOTE = """
import json, sys
import ray
folder, address, archive = sys.argv[1:]
ray.init(num_cpus=1, _node_ip_address=address, _temp_dir=folder, include_dashboard=False,
         object_store_memory=80_000_000, log_to_driver=False, runtime_env={"working_dir": archive})
@ray.remote
def seen():
    import boto3, common.errors, torch, transformers
    return [module.__file__ for module in (common.errors, boto3, ray, torch, transformers)]
print(json.dumps(ray.get(seen.remote())))
"""


def test_a_worker_has_the_zip_and_the_packages_and_installs_nothing(image: Image, tmp_path: Path) -> None:
    """A runtime_env with a working_dir and no pip, as serveConfigV2 has it."""
    bundle = join(("text-generation",), {name: read_app(SERVING / name) for name in PACKAGES})
    archive = tmp_path / bundle.filename
    archive.write_bytes(bundle.zip)
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as folder:  # Ray's sockets want a short path
        done = image.run("-c", REMOTE, folder, "127.0.0.2", archive.as_uri(), RAY_AUTH_MODE="disabled")
        assert done.returncode == 0, done.stdout + done.stderr
        ours, *theirs = map(Path, json.loads(done.stdout.splitlines()[-1]))
        assert ours.is_relative_to(folder)
    assert all(path.is_relative_to(image.env["PYTHONPATH"]) for path in theirs), theirs


def test_packages_are_compiled_and_hold_no_installer(image: Image) -> None:
    packages = Path(image.env["PYTHONPATH"])
    names = {path.name for path in packages.iterdir()}
    assert {"ray", "torch", "transformers"} <= names and not names & {"pip", "ensurepip", "nvidia"}
    assert list((packages / "transformers/__pycache__").glob("*.pyc"))
