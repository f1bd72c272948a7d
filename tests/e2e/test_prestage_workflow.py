"""Two regions, staged by a Workflow in the one and a Job in the other: every command is taken out of the manifests.

The Workflow of the home region copies from the Hub and tries the copy; the Job of the other region copies from the
first bucket; the schedule of the home region stages a newer commit beside the one in use.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from generator.kro.expand import expand
from tests.e2e.clusters import Objects, Work, cluster_gives, deployed, modelyard, one, read, run, started
from tests.standins.hub import HubStandIn
from tests.standins.seaweedfs import SeaweedFS
from tests.standins.weights import sharded_model

CATALOGUE = """\
apiVersion: modelyard.dev/v1alpha1
kind: ModelCatalog
platform:
  prefix: acme
  repository: {url: "https://git.example.com/acme/gitops.git"}
  images: {prestage: "registry.example.com/acme/prestage:1.0.0"}
clusters:
  - {name: europe, provider: eks, staging: workflow, values: {aws_region: eu-central-1}}
  - {name: america, provider: eks, values: {aws_region: us-east-1}}
caches:
  - name: s3
    type: s3
    regions:
      - {region: eu-central-1, bucket: models-eu}
      - {region: us-east-1, bucket: models-us}
models:
  - name: tiny
    source: {huggingface: org/tiny}
    cache: s3
    loadTest: true
    refresh: {schedule: "0 3 * * *"}
"""
MARKER = ".modelyard/manifest.json"


@pytest.fixture(scope="module")
def hub() -> Iterator[HubStandIn]:
    with HubStandIn() as server:
        server.add("org/tiny", sharded_model())
        yield server


@pytest.fixture(scope="module")
def tree(hub: HubStandIn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    (folder / "models.yaml").write_text(CATALOGUE)
    modelyard(folder, "lock", "--no-images", HF_ENDPOINT=hub.url)
    modelyard(folder, "render")
    return folder / "rendered"


@pytest.fixture(scope="module")
def s3(seaweedfs: SeaweedFS) -> Any:
    client = boto3.client("s3", **seaweedfs.arguments)
    for name in ("models-eu", "models-us"):
        client.create_bucket(Bucket=name)
    return client


@pytest.fixture(scope="module")
def europe(tree: Path, helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Objects:
    """What kro makes of the instance of the home region."""
    folder = tmp_path_factory.mktemp("europe")
    instance = one(deployed(tree, helm, "platform-manifests", "europe", "", folder), "HuggingFaceModel")
    return expand(read(tree, "kro/hugging-face-model.yaml"), instance)


@pytest.fixture(scope="module")
def america(tree: Path, helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Objects:
    return deployed(tree, helm, "prestage", "america", "", tmp_path_factory.mktemp("america"))


def steps(workflow: Mapping[str, Any], template: str | None = None) -> Iterator[dict[str, Any]]:
    """The containers' templates in the order in which Argo starts them, without those that `when` leaves out."""
    templates = {item["name"]: item for item in workflow["templates"]}
    for group in templates[template or workflow["entrypoint"]]["steps"]:
        yield from (templates[step["template"]] for step in group if step.get("when", "true") == "true")


def keys(s3: Any, bucket: str) -> set[str]:
    return {item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])}


def body(s3: Any, bucket: str, key: str) -> bytes:
    return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())


@pytest.fixture(scope="module")
def staged(
    europe: Objects, hub: HubStandIn, seaweedfs: SeaweedFS, s3: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The Workflow has run; what its steps put out."""
    folder = tmp_path_factory.mktemp("workflow")
    spec = one(europe, "Workflow")["spec"]
    out: dict[str, str] = {}
    for template in steps(spec):
        work = started(europe, spec, template["container"], {}, folder / template["name"])
        code, _, output = run(work, cluster_gives(seaweedfs, hub))
        assert code == 0, output
        for parameter in template.get("outputs", {}).get("parameters", ()):
            path = parameter["valueFrom"]["path"]
            out[parameter["name"]] = (folder / template["name"] / "tmp" / path.removeprefix("/tmp/")).read_text()
        if template["name"] == "prestage":
            assert not any(key.endswith(MARKER) for key in keys(s3, "models-eu")), "complete before it was tried"
    return out


def test_the_workflow_stages_tries_and_says_so(staged: dict[str, str], s3: Any, tree: Path, europe: Objects) -> None:
    target = one(europe, "Workflow")["metadata"]["annotations"]["modelyard.dev/target"]
    prefix = target.removeprefix("s3://models-eu/")
    found = {key.removeprefix(f"{prefix}/") for key in keys(s3, "models-eu")}
    assert found == {*sharded_model(), MARKER}
    marker = json.loads(body(s3, "models-eu", f"{prefix}/{MARKER}"))
    size = sum(entry["size"] for entry in marker["files"])
    assert (staged["path"], staged["bytes"]) == (target, str(size))
    assert (
        staged["commit"] == one(europe, "Workflow")["metadata"]["annotations"]["modelyard.dev/source"].partition("@")[2]
    )
    assert float(staged["seconds"]) > 0


def test_the_other_region_copies_from_the_first(
    staged: dict[str, str], america: Objects, hub: HubStandIn, seaweedfs: SeaweedFS, s3: Any, tmp_path: Path
) -> None:
    pod = one(america, "Job")["spec"]["template"]["spec"]
    hub.asked.clear()
    for container in (*pod["initContainers"], *pod["containers"]):
        work = started(america, pod, container, {}, tmp_path / container["name"])
        code, _, output = run(work, cluster_gives(seaweedfs, hub))
        assert code == 0, output
    assert hub.asked == []
    assert keys(s3, "models-us") == keys(s3, "models-eu")
    for key in keys(s3, "models-us"):
        if not key.endswith(MARKER):
            assert body(s3, "models-us", key) == body(s3, "models-eu", key)


def test_only_the_home_region_looks_for_new_commits(america: Objects, europe: Objects) -> None:
    assert [o["kind"] for o in america if o["kind"] == "CronJob"] == []
    assert one(europe, "CronWorkflow")["spec"]["schedules"] == ["0 3 * * *"]


def refresh(europe: Objects, folder: Path) -> Work:
    spec = one(europe, "CronWorkflow")["spec"]["workflowSpec"]
    (template,) = steps(spec)
    return started(europe, spec, template["container"], {}, folder)


def test_a_new_commit_is_staged_beside_the_old_one(
    staged: dict[str, str], europe: Objects, hub: HubStandIn, seaweedfs: SeaweedFS, s3: Any, tmp_path: Path
) -> None:
    before = keys(s3, "models-eu")
    work = refresh(europe, tmp_path)
    code, events, output = run(work, cluster_gives(seaweedfs, hub))
    assert code == 0 and keys(s3, "models-eu") == before, output
    new = hub.add("org/tiny", {**sharded_model(), "README.md": b"new"})
    code, events, output = run(work, cluster_gives(seaweedfs, hub))
    assert code == 0, output
    after = keys(s3, "models-eu")
    assert before < after
    assert {key.split("/")[2] for key in after - before} == {str(new)[:12]}
    assert any(event["event"] == "newer" for event in events), output
