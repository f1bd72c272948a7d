"""Without a cloud: the Job fills a claim, or a bucket of a server of one's own, and the pods of the service find it.

Commands, environments, mounts and names are read out of what helm makes of the rendered tree; folders stand for claims.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from tests.e2e.clusters import ROOT, Objects, Work, deployed, modelyard, mounts, one, run, started
from tests.e2e.test_prestage_job import checked_by_the_application
from tests.standins.hub import HubStandIn
from tests.standins.seaweedfs import ACCESS_KEY, SECRET_KEY, SeaweedFS
from tests.unit import loadtesting

BUCKET = "models-of-ours"
KEYS = {("minio", "access_key_id"): ACCESS_KEY, ("minio", "secret_access_key"): SECRET_KEY}
CATALOGUE = f"""\
apiVersion: modelyard.dev/v1alpha1
kind: ModelCatalog
platform:
  prefix: acme
  repository: {{url: "https://git.example.com/acme/gitops.git", revision: main, path: rendered}}
  namespace: models
  images: {{prestage: "registry.example.com/acme/prestage:1.0.0"}}
clusters:
  - {{name: main, provider: kubernetes}}
caches:
  - {{name: claims, type: pvc, storageClass: fast, retain: true, provisioner: csi.example.com}}
  - {{name: minio, type: s3, endpoint: "@@", bucket: {BUCKET}, region: eu-central-1, credentialsSecret: minio}}
models:
  - {{name: tiny, source: {{huggingface: org/tiny}}, cache: claims, loadTest: true}}
  - {{name: other, source: {{huggingface: org/other}}, cache: minio}}
services:
  - name: chat
    clusters: [main]
    upgrade: {{strategy: none}}
    applications:
      - {{model: tiny, memory: 8Gi}}
  - name: talk
    clusters: [main]
    applications:
      - {{model: other, memory: 8Gi}}
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[HubStandIn]:
    with HubStandIn() as server:
        for repository in ("org/tiny", "org/other"):
            server.add(repository, loadtesting.model())
        yield server


@pytest.fixture(scope="module")
def tree(hub: HubStandIn, seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    (folder / "models.yaml").write_text(CATALOGUE.replace("@@", seaweedfs.url))
    modelyard(folder, "lock", "--no-images", HF_ENDPOINT=hub.url)
    modelyard(folder, "render")
    return folder / "rendered"


@pytest.fixture(scope="module")
def objects(tree: Path, helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Objects:
    """What Argo CD makes of the prestage chart."""
    return deployed(tree, helm, "prestage", "main", "", tmp_path_factory.mktemp("values"))


@pytest.fixture(scope="module")
def around(hub: HubStandIn) -> dict[str, str]:
    """What the image and the network give; no credentials, and no region."""
    nothing = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
    nothing["AWS_EC2_METADATA_DISABLED"] = "true"
    return {**nothing, "HF_ENDPOINT": hub.url, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}


def job(objects: Objects, model: str) -> dict[str, Any]:
    (found,) = (o for o in objects if o["kind"] == "Job" and o["metadata"]["labels"]["modelyard.dev/model"] == model)
    return found


def works(objects: Objects, model: str, folder: Path, secrets: dict[tuple[str, str], str]) -> list[Work]:
    """The containers of the model's Job, in the order in which they run."""
    pod = job(objects, model)["spec"]["template"]["spec"]
    containers = [*pod.get("initContainers", ()), *pod["containers"]]
    return [started(objects, pod, container, secrets, folder) for container in containers]


@pytest.fixture(scope="module")
def claim(objects: Objects, around: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the Job has mounted, and filled."""
    folder = tmp_path_factory.mktemp("job")
    copying, testing = works(objects, "tiny", folder, {})
    before = os.umask(0o022)  # that of containers
    try:
        for work, last in ((copying, "done"), (testing, "tested")):
            code, events, output = run(work, around)
            assert code == 0 and (events[-1]["event"], events[-1]["already"]) == (last, False), output
    finally:
        os.umask(before)
    return folder


def mounted(objects: Objects) -> Iterator[tuple[str, dict[str, Any]]]:
    """Claims of the workers, and where each is mounted."""
    config = one(objects, "RayService")["spec"]["rayClusterConfig"]
    for pod in (group["template"]["spec"] for group in config["workerGroupSpecs"]):
        claims = {v["name"]: v["persistentVolumeClaim"] for v in pod["volumes"] if "persistentVolumeClaim" in v}
        for mount in (mount for container in pod["containers"] for mount in container["volumeMounts"]):
            if mount["name"] in claims:
                assert mount["readOnly"] and claims[mount["name"]]["readOnly"]
                yield claims[mount["name"]]["claimName"], mount


def model_id(objects: Objects) -> str:
    config = yaml.safe_load(one(objects, "RayService")["spec"]["serveConfigV2"])
    (application,) = config["applications"]
    return str(application["runtime_env"]["env_vars"]["MODEL_ID"])


def test_the_workers_find_what_the_job_left_in_the_claim(
    claim: Path, objects: Objects, tree: Path, helm: Path, tmp_path: Path
) -> None:
    service = deployed(tree, helm, "services-helm", "main", "chat.yaml", tmp_path)
    ((name, mount),) = mounted(service)
    made = one(objects, "PersistentVolumeClaim", name)
    pod = job(objects, "tiny")["spec"]["template"]["spec"]
    (volume,) = (v["name"] for v in pod["volumes"] if v.get("persistentVolumeClaim") == {"claimName": name})
    assert mount["mountPath"] == model_id(service)
    folder = claim / volume / mount["subPath"]
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    manifest = json.loads(files.pop(".modelyard/manifest.json"))
    assert {path: body for path, body in files.items() if not path.startswith(".modelyard/")} == loadtesting.model()
    assert made["metadata"]["annotations"]["modelyard.dev/source"] == f"org/tiny@{manifest['commit']}"
    assert checked_by_the_application(tree, folder) == ""
    # The pods of the service have another user.
    below = (claim / volume).rglob("*")
    assert {oct(path.stat().st_mode & 0o777) for path in below} == {"0o755", "0o644"}


def test_the_class_of_the_claim_keeps_its_data(objects: Objects) -> None:
    made, claim = one(objects, "StorageClass"), one(objects, "PersistentVolumeClaim")
    assert claim["spec"]["storageClassName"] == made["metadata"]["name"]
    assert (made["provisioner"], made["reclaimPolicy"]) == ("csi.example.com", "Retain")
    assert claim["spec"]["resources"]["requests"] == {"storage": "1Gi"}


def test_the_workers_are_found_by_a_later_job(objects: Objects, tree: Path, helm: Path, tmp_path: Path) -> None:
    """One node mounts the claim: a Job that comes while it is read has to go there."""
    pod = job(objects, "tiny")["spec"]["template"]["spec"]
    (term,) = pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    service = one(deployed(tree, helm, "services-helm", "main", "chat.yaml", tmp_path), "RayService")
    (group,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    (wanted,) = term["labelSelector"]["matchExpressions"]
    assert wanted["key"] in group["template"]["metadata"]["labels"]


def test_the_job_again_finds_all_in_place(
    claim: Path, objects: Objects, hub: HubStandIn, around: dict[str, str]
) -> None:
    hub.asked.clear()
    for work in works(objects, "tiny", claim, {}):
        code, events, output = run(work, around)
        assert code == 0 and events[-1]["already"], output
    assert hub.asked == []


@pytest.fixture(scope="module")
def bucket(seaweedfs: SeaweedFS) -> Any:
    client = boto3.client("s3", **seaweedfs.arguments)
    client.create_bucket(Bucket=BUCKET)
    return client


def test_the_workers_find_what_the_job_left_on_the_server(
    objects: Objects, tree: Path, helm: Path, around: dict[str, str], bucket: Any, tmp_path: Path
) -> None:
    (work,) = works(objects, "other", tmp_path, KEYS)
    code, events, output = run(work, around)
    assert code == 0 and not events[-1]["already"], output
    assert SECRET_KEY not in output
    service = deployed(tree, helm, "services-helm", "main", "talk.yaml", tmp_path)
    found = list(mounts(service, bucket))
    assert found
    for number, mount in enumerate(found):
        folder = mount.download(model_id(service), tmp_path / str(number))
        assert checked_by_the_application(tree, folder) == ""
    code, events, output = run(work, around)
    assert code == 0 and events[-1]["already"], output


def test_keys_that_the_server_refuses_fail_the_job_for_good(
    objects: Objects, around: dict[str, str], bucket: Any, tmp_path: Path
) -> None:
    (work,) = works(objects, "other", tmp_path, {**KEYS, ("minio", "secret_access_key"): "another"})
    work.command[work.command.index("--target") + 1] += "-other"
    code, events, _ = run(work, around)
    rules = job(objects, "other")["spec"]["podFailurePolicy"]["rules"]
    (permanent,) = (rule["onExitCodes"]["values"] for rule in rules if rule["action"] == "FailJob")
    assert code in permanent and "the Secret" in events[-1]["hint"]
