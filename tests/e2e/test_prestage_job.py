"""The Job of the rendered tree stages a model, and the pods of the rendered RayService find it.

Nothing here repeats a path, a bucket or an argument: the commands, environments, mounts and names are read out of
what helm and kro make of the tree, filled in as Argo CD fills it from the cluster's annotations.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import boto3
import pytest
import yaml

from generator.kroexpand import expand
from tests.standins.hub import HubStandIn
from tests.standins.seaweedfs import SeaweedFS
from tests.standins.weights import sharded_model

ROOT = Path(__file__).parents[2]
TOKEN = "hf_madeUpForThisTest"
ANNOTATIONS = {"aws_account_id": "012345678901", "aws_region": "eu-central-1", "resource_prefix": "acme"}
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
Objects = list[dict[str, Any]]


@pytest.fixture(scope="module")
def hub() -> Iterator[HubStandIn]:
    """A gated model."""
    with HubStandIn() as server:
        server.tokens.add(TOKEN)
        server.add("org/tiny", {**sharded_model(), "tokenizer.json": b"{}", "pytorch_model.bin": b"x"}, gated="auto")
        yield server


def modelyard(folder: Path, *words: str, **environment: str) -> None:
    command = [sys.executable, "-m", "generator.cli", *words]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def tree(hub: HubStandIn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rendered tree of the catalogue, locked against the stand-in."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "models.yaml").write_text(CATALOGUE)
    modelyard(folder, "lock", "--no-images", HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN)
    modelyard(folder, "render")
    hub.asked.clear()
    return folder / "rendered"


def filled(node: Any, facts: Mapping[str, str]) -> Any:
    """The templates of an ApplicationSet with `facts` in their places; KeyError where one is not known."""
    if isinstance(node, dict):
        return {key: filled(value, facts) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, facts) for value in node]
    return re.sub(r"\{\{ (.+?) \}\}", lambda found: facts[found[1]], node) if isinstance(node, str) else node


def read(tree: Path, path: str) -> dict[str, Any]:
    return dict(yaml.safe_load((tree / path).read_text(encoding="utf-8")))


def generators(node: Any) -> Iterator[dict[str, Any]]:
    """The cluster generators of an ApplicationSet."""
    for inner in node:
        yield from generators(inner["matrix"]["generators"]) if "matrix" in inner else ()
        if "clusters" in inner:
            yield inner["clusters"]["values"]


def deployed(tree: Path, helm: Path, application_set: str, cluster: str, file: str, folder: Path) -> Objects:
    """What Argo CD makes of the set for one cluster (and one file of it), by real helm."""
    spec = read(tree, f"bootstrap/applications/{application_set}.yaml")["spec"]
    (values,) = (entry for entry in generators(spec["generators"]) if entry["entry"] == cluster)
    annotations = {f".metadata.annotations.{name}": value for name, value in ANNOTATIONS.items()}
    facts = {f".values.{name}": filled(value, annotations) for name, value in values.items()} | {
        ".name": cluster,
        ".nameNormalized": cluster,
        ".path.filename": file,
        'trimSuffix ".yaml" .path.filename': PurePosixPath(file).stem,
    }
    application = filled(spec["template"]["spec"], facts)
    source = application["source"]
    chart = tree.parent / source["path"]
    (folder / "values.yaml").write_text(yaml.safe_dump(source["helm"]["valuesObject"]))
    files = [chart / name for name in source["helm"]["valueFiles"]] + [folder / "values.yaml"]
    command = [str(helm), "template", source["helm"]["releaseName"], str(chart)]
    options = ["-n", application["destination"]["namespace"], *(word for path in files for word in ("-f", str(path)))]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def one(objects: Objects, kind: str, name: str | None = None) -> dict[str, Any]:
    (found,) = (o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"]))
    return found


class Work(NamedTuple):
    """What the kubelet starts."""

    command: list[str]
    environment: dict[str, str]


def started(objects: Objects, secrets: Mapping[tuple[str, str], str], folder: Path) -> Work:
    """The container of the Job, its ConfigMap written below `folder` in place of the mount."""
    pod = one(objects, "Job")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    words = [*container["command"], *container["args"]]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for mount in container["volumeMounts"]:
        if source := volumes[mount["name"]].get("configMap"):
            place = folder / mount["name"]
            place.mkdir()
            for name, content in one(objects, "ConfigMap", source["name"])["data"].items():
                (place / name).write_text(content)
            words = [
                str(place / word.removeprefix(f"{mount['mountPath']}/"))
                if word.startswith(mount["mountPath"])
                else word
                for word in words
            ]
    environment = {}
    for variable in container["env"]:
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        environment[variable["name"]] = secrets[reference["name"], reference["key"]] if reference else variable["value"]
    return Work([sys.executable if words[0] == "python" else words[0], *words[1:]], environment)


def run(work: Work, around: Mapping[str, str]) -> tuple[int, list[dict[str, Any]], str]:
    """`around` is what the cluster and the image give."""
    assert not around.keys() & work.environment.keys()
    environment = {**around, **work.environment}
    done = subprocess.run(work.command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stdout + done.stderr


def cluster_gives(server: SeaweedFS, hub: HubStandIn) -> dict[str, str]:
    """Credentials as Pod Identity gives them (no region: that is the Job's to say), and where the services are."""
    given = {name: value for name, value in server.environment().items() if "REGION" not in name}
    return {**given, "HF_ENDPOINT": hub.url, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}


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
    work = started(objects, {("hub-token", "token"): TOKEN}, folder)
    code, events, output = run(work, cluster_gives(seaweedfs, hub))
    assert code == 0, output
    assert (events[0]["event"], events[-1]["event"], events[-1]["already"]) == ("start", "done", False)
    assert TOKEN not in output
    assert {asked.token for asked in hub.asked if asked.server == "hub"} == {TOKEN}
    assert {asked.token for asked in hub.asked if asked.server == "cdn"} == {None}
    return work


class Mount(NamedTuple):
    """A volume as a pod sees it: S3 keys below `prefix` appear below `path` (Mountpoint for Amazon S3)."""

    client: Any
    bucket: str
    prefix: str
    path: PurePosixPath

    def key(self, path: str) -> str:
        return f"{self.prefix}{PurePosixPath(path).relative_to(self.path)}"

    def download(self, path: str, to: Path) -> Path:
        """The files below `path`."""
        start = f"{self.key(path)}/"
        for item in self.client.list_objects_v2(Bucket=self.bucket, Prefix=start).get("Contents", []):
            file = to / item["Key"].removeprefix(start)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.client.get_object(Bucket=self.bucket, Key=item["Key"])["Body"].read())
        return to


def mounts(objects: Objects, client: Any) -> Iterator[Mount]:
    """The volumes of the Ray pods: mount, claim, volume, bucket."""
    config = one(objects, "RayService")["spec"]["rayClusterConfig"]
    groups = [config["headGroupSpec"], *config["workerGroupSpecs"]]
    for pod in (group["template"]["spec"] for group in groups):
        claims = {
            v["name"]: v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v
        }
        for mount in (mount for container in pod["containers"] for mount in container["volumeMounts"]):
            if mount["name"] in claims:
                claim = one(objects, "PersistentVolumeClaim", claims[mount["name"]])
                volume = one(objects, "PersistentVolume", claim["spec"]["volumeName"])["spec"]
                (prefix,) = (o.split()[1] for o in volume["mountOptions"] if o.startswith("prefix "))
                place = PurePosixPath(mount["mountPath"])
                yield Mount(client, volume["csi"]["volumeAttributes"]["bucketName"], prefix, place)


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
    work = started(objects, {("hub-token", "token"): "hf_expired"}, tmp_path)
    target = work.command.index("--target") + 1
    work.command[target] += "-other"
    code, events, _ = run(work, cluster_gives(seaweedfs, hub))
    rules = one(objects, "Job")["spec"]["podFailurePolicy"]["rules"]
    (permanent,) = (rule["onExitCodes"]["values"] for rule in rules if rule["action"] == "FailJob")
    assert code in permanent and "Secret hub-token" in events[-1]["hint"]
