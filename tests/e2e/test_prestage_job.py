"""The Job of the rendered tree stages a model, and the pods of the rendered RayService find it.

Nothing here repeats a path, a bucket or an argument: the commands, environments, mounts and names are read out of
what helm and kro make of the tree, filled in as Argo CD fills it from the cluster's annotations.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from generator.kro.expand import expand
from tests.e2e.clusters import (
    ANNOTATIONS,
    Objects,
    Work,
    cluster_gives,
    deployed,
    modelyard,
    mounts,
    one,
    read,
    run,
    started,
)
from tests.standins.hub import HubStandIn
from tests.standins.seaweedfs import SeaweedFS
from tests.standins.weights import sharded_model

TOKEN = "hf_madeUpForThisTest"
CATALOGUE = """\
apiVersion: modelyard.dev/v1alpha1
kind: ModelCatalog
platform:
  prefix: acme
  repository: {url: "https://git.example.com/acme/gitops.git", revision: main, path: rendered}
  namespace: models
  images: {prestage: "registry.example.com/acme/prestage:1.0.0"}
clusters:
  - {name: by-kro, provider: eks, selector: {stage: test}}
  - {name: by-helm, provider: eks, servicesBy: helm, selector: {stage: production}}
caches:
  - {name: s3, type: s3}
models:
  - {name: tiny, source: {huggingface: org/tiny, tokenSecret: hub-token}, cache: s3}
services:
  - name: chat
    clusters: [by-kro, by-helm]
    applications:
      - {model: tiny, app: text-generation, memory: 8Gi}
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[HubStandIn]:
    """A gated model."""
    with HubStandIn() as server:
        server.tokens.add(TOKEN)
        server.add("org/tiny", {**sharded_model(), "tokenizer.json": b"{}", "pytorch_model.bin": b"x"}, gated="auto")
        yield server


@pytest.fixture(scope="module")
def tree(hub: HubStandIn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rendered tree of the catalogue, locked against the stand-in."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "models.yaml").write_text(CATALOGUE)
    modelyard(folder, "lock", "--no-images", HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN)
    modelyard(folder, "render")
    hub.asked.clear()
    return folder / "rendered"


def job(objects: Objects, token: str, folder: Path) -> Work:
    """The container of the Job."""
    pod = one(objects, "Job")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return started(objects, pod, container, {("hub-token", "token"): token}, folder)


@pytest.fixture(scope="module")
def bucket(seaweedfs: SeaweedFS) -> Any:
    """The bucket that rendered/terraform makes."""
    client = boto3.client("s3", **seaweedfs.arguments)
    name = "{resource_prefix}-ray-models-{aws_account_id}".format(**ANNOTATIONS)
    client.create_bucket(Bucket=name)
    return client


@pytest.fixture(scope="module")
def staged(
    tree: Path, helm: Path, hub: HubStandIn, seaweedfs: SeaweedFS, bucket: Any, tmp_path_factory: pytest.TempPathFactory
) -> Work:
    """The Job of one cluster has run."""
    folder = tmp_path_factory.mktemp("job")
    objects = deployed(tree, helm, "prestage", "by-kro", "", folder)
    work = job(objects, TOKEN, folder)
    code, events, output = run(work, cluster_gives(seaweedfs, hub))
    assert code == 0, output
    assert (events[0]["event"], events[-1]["event"], events[-1]["already"]) == ("start", "done", False)
    assert TOKEN not in output
    assert {asked.token for asked in hub.asked if asked.server == "hub"} == {TOKEN}
    assert {asked.token for asked in hub.asked if asked.server == "cdn"} == {None}
    return work


def services(tree: Path, helm: Path, cluster: str, folder: Path) -> Objects:
    """The RayService and its volume, by either way."""
    if cluster == "by-helm":
        return deployed(tree, helm, "services-helm", cluster, "chat.yaml", folder)
    instance = one(deployed(tree, helm, "services-kro", cluster, "chat.yaml", folder), "ModelService")
    return expand(read(tree, "kro/model-service.yaml"), instance)


@pytest.mark.parametrize("cluster", ["by-kro", "by-helm"])
def test_the_pods_find_what_the_job_has_staged(
    staged: Work, tree: Path, helm: Path, bucket: Any, tmp_path: Path, cluster: str
) -> None:
    objects = services(tree, helm, cluster, tmp_path)
    config = yaml.safe_load(one(objects, "RayService")["spec"]["serveConfigV2"])
    (application,) = config["applications"]
    model = application["runtime_env"]["env_vars"]["MODEL_ID"]
    found = list(mounts(objects, bucket))
    assert found
    for number, mount in enumerate(found):
        folder = mount.download(model, tmp_path / str(number))
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        marker = json.loads(files.pop(".modelyard/manifest.json"))
        assert files == {**sharded_model(), "tokenizer.json": b"{}"}
        assert sorted(entry["path"] for entry in marker["files"]) == sorted(files)
        assert checked_by_the_application(tree, folder) == ""


def checked_by_the_application(tree: Path, folder: Path) -> str:
    """What the code that Ray is given says of the folder before it loads the model; empty when it takes it."""
    (code,) = (tree / "serve").glob("text-generation-*.zip")
    program = (
        "import pathlib, sys; from common import manifest as m; m.check(pathlib.Path(sys.argv[1]), verify='digests')"
    )
    command = [sys.executable, "-c", program, str(folder)]
    return subprocess.run(command, env={"PYTHONPATH": str(code)}, capture_output=True, text=True, check=False).stderr


def test_the_application_refuses_what_is_not_complete(staged: Work, tree: Path, tmp_path: Path) -> None:
    """So that the test above can fail."""
    for path, content in sharded_model().items():
        (tmp_path / path).write_bytes(content)
    assert "manifest.json is missing" in checked_by_the_application(tree, tmp_path)


def test_the_job_again_copies_nothing(staged: Work, hub: HubStandIn, seaweedfs: SeaweedFS) -> None:
    hub.asked.clear()
    code, events, output = run(staged, cluster_gives(seaweedfs, hub))
    assert code == 0 and events[-1]["already"], output
    assert hub.asked == []


def test_a_refused_token_fails_the_job_for_good(
    staged: Work, tree: Path, helm: Path, hub: HubStandIn, seaweedfs: SeaweedFS, tmp_path: Path
) -> None:
    objects = deployed(tree, helm, "prestage", "by-kro", "", tmp_path)
    work = job(objects, "hf_expired", tmp_path)
    target = work.command.index("--target") + 1
    work.command[target] += "-other"
    code, events, _ = run(work, cluster_gives(seaweedfs, hub))
    rules = one(objects, "Job")["spec"]["podFailurePolicy"]["rules"]
    (permanent,) = (rule["onExitCodes"]["values"] for rule in rules if rule["action"] == "FailJob")
    assert code in permanent and "Secret hub-token" in events[-1]["hint"]
