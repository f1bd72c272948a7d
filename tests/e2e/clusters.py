"""What Argo CD, helm and the kubelet make of a rendered tree: objects of a cluster, and containers that run here.

Nothing repeats a path, a bucket or an argument: they are read out of the objects, filled in from the annotations of a
cluster as Argo CD does.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import yaml

from tests.standins.hub import HubStandIn
from tests.standins.seaweedfs import SeaweedFS

ROOT = Path(__file__).parents[2]
ANNOTATIONS = {
    "aws_account_id": "012345678901",
    "aws_cluster_name": "acme-one",
    "aws_region": "eu-central-1",
    "resource_prefix": "acme",
}
Objects = list[dict[str, Any]]


def modelyard(folder: Path, *words: str, **environment: str) -> None:
    command = [sys.executable, "-m", "generator.cli", *words]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


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
    (folder / "values.yaml").write_text(json.dumps(source["helm"]["valuesObject"]))
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


def started(
    objects: Objects,
    pod: Mapping[str, Any],
    container: Mapping[str, Any],
    secrets: Mapping[tuple[str, str], str],
    folder: Path,
) -> Work:
    """A container of the pod; folders below `folder` stand for its mounts, a ConfigMap's has its files."""
    words = [*container["command"], *container["args"]]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts: dict[str, str] = {}
    for mount in container["volumeMounts"]:
        place = folder / mount["name"]
        place.mkdir(parents=True, exist_ok=True)
        if source := volumes[mount["name"]].get("configMap"):
            for name, content in one(objects, "ConfigMap", source["name"])["data"].items():
                (place / name).write_text(content)
        mounts[f"{mount['mountPath']}/"] = f"{place}/"
    words = [moved(word, mounts) for word in words]
    environment = {}
    for variable in container["env"]:
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference and reference.get("optional"):
            continue
        environment[variable["name"]] = secrets[reference["name"], reference["key"]] if reference else variable["value"]
    return Work([sys.executable if words[0] == "python" else words[0], *words[1:]], environment)


def moved(word: str, mounts: Mapping[str, str]) -> str:
    """A path inside of a mount as the path of its folder."""
    found = next((path for path in mounts if word.startswith(path)), None)
    return mounts[found] + word.removeprefix(found) if found else word


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
