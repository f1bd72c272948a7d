"""What the cluster would run, read out of the objects as the kubelet, the CSI driver and KubeRay read them. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from generator import yamlio
from generator.errors import UserError
from generator.lint import RENDERED
from generator.rehearse.deployed import Deployed, Object, Place

_PREFIX = re.compile(r"prefix (\S+)")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A volume of Mountpoint for Amazon S3: keys below `prefix` appear below the mount."""

    name: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Files:
    """A ConfigMap as a volume."""

    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Scratch:
    """An emptyDir."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume where a container sees it."""

    path: str
    volume: Bucket | Files | Scratch


@dataclass(frozen=True, slots=True)
class Container:
    """What the kubelet starts. `secrets` are variables that come out of a Secret: name to (Secret, key)."""

    words: tuple[str, ...]
    environment: Mapping[str, str]
    secrets: Mapping[str, tuple[str, str]]
    mounts: tuple[Mount, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """A prestage Job or Workflow: its `steps` one after the other.

    `bucket` and `key` are its target, `path` is where the pods see it, `plan` where it reads.
    """

    name: str
    steps: tuple[Container, ...]
    bucket: str
    key: str
    path: str
    plan: str

    @property
    def model(self) -> str:
        return str(self.content["model"])

    @property
    def content(self) -> dict[str, Any]:
        """What plan.json says."""
        for mount in self.steps[0].mounts:
            if isinstance(mount.volume, Files) and _within(self.plan, mount.path):
                name = PurePosixPath(self.plan).relative_to(mount.path).as_posix()
                return dict(json.loads(mount.volume.files[name]))
        raise UserError.of(f"{self.name} mounts no ConfigMap at {self.plan}", hint="run `modelyard render`")


@dataclass(frozen=True, slots=True)
class Work:
    """One service: the Jobs that stage what it reads, its pods, its Serve configuration."""

    place: Place
    jobs: tuple[Job, ...]
    pods: Container
    serve: Mapping[str, Any]
    ray_version: str


def work(deployed: Deployed) -> Work:
    """Raises UserError where the objects do not go together."""
    objects = deployed.objects
    service = _one(objects, "RayService", deployed.place.service)
    config = service["spec"]["rayClusterConfig"]
    group = next(iter(config.get("workerGroupSpecs", ())), config["headGroupSpec"])
    pod = group["template"]["spec"]
    pods = _container(objects, pod, pod["containers"][0])
    serve = yamlio.load(service["spec"]["serveConfigV2"], "serveConfigV2", RENDERED).data
    jobs = tuple(
        job
        for item in objects
        if item["kind"] in _STEPS and (job := _job(objects, item, pods.mounts)) and named(serve, job.path)
    )
    _check_paths(serve, pods, jobs)
    return Work(deployed.place, jobs, pods, serve, str(config.get("rayVersion", "")))


def named(node: Any, path: str) -> bool:
    """Whether a text inside `node` names `path` or something below it."""
    return any(mention(path).search(text) for text in texts(node))


def mention(path: str) -> re.Pattern[str]:
    """`path` as a whole, also after `file://` and inside JSON, and not as a part of a longer name."""
    return re.compile(rf"(?<![\w.-]){re.escape(path)}(?![\w.-])")


def moved(text: str, folders: Mapping[str, str]) -> str:
    """`text` with folders of this machine in place of the mounts that it names."""
    paths = "|".join(re.escape(path) for path in sorted(folders, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])({paths})(?![\w.-])", lambda found: folders[found[1]], text) if folders else text


def texts(node: Any) -> Iterator[str]:
    """Every text inside `node`, but for keys."""
    if isinstance(node, Mapping):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str):
        yield node


def _check_paths(serve: Any, pods: Container, jobs: Sequence[Job]) -> None:
    """Every folder of a bucket that the configuration names is one that a Job fills."""
    staged = [job.path for job in jobs]
    for mount in pods.mounts:
        if isinstance(mount.volume, Bucket):
            below = re.compile(rf"(?<![\w.-]){re.escape(mount.path)}/[\w./-]+")
            for path in (found for text in texts(serve) for found in below.findall(text)):
                if not any(_within(path, folder) for folder in staged):
                    hint = "run `modelyard render`; if that does not help, this is a bug"
                    raise UserError.of(f"no prestage Job fills {path}, which serveConfigV2 names", hint=hint)


def _job(objects: Sequence[Object], item: Object, mounts: Sequence[Mount]) -> Job | None:
    """None for a Job whose target no mount of the pods shows."""
    steps = tuple(_container(objects, pod, container) for pod, container in _STEPS[item["kind"]](item["spec"]))
    words = steps[0].words
    if "--target" not in words:
        return None
    bucket, _, key = words[words.index("--target") + 1].removeprefix("s3://").partition("/")
    plan = next(word for word in words if word.endswith(".json"))
    for mount in mounts:
        shown = mount.volume
        if isinstance(shown, Bucket) and shown.name == bucket and key.startswith(shown.prefix):
            path = f"{mount.path}/{key.removeprefix(shown.prefix)}"
            return Job(item["metadata"]["name"], steps, bucket, key, path, plan)
    return None


Steps = Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]
"""A pod's specification, which has the volumes, and a container."""


def _of_a_job(spec: Mapping[str, Any]) -> Steps:
    pod = spec["template"]["spec"]
    yield from ((pod, container) for container in (*pod.get("initContainers", ()), *pod["containers"]))


def _of_a_workflow(spec: Mapping[str, Any]) -> Steps:
    """Without the steps that `when` leaves out."""
    templates = {template["name"]: template for template in spec["templates"]}
    for group in templates[spec["entrypoint"]]["steps"]:
        wanted = (step for step in group if step.get("when", "true") == "true")
        yield from ((spec, templates[step["template"]]["container"]) for step in wanted)


_STEPS: Mapping[str, Callable[[Mapping[str, Any]], Steps]] = {"Job": _of_a_job, "Workflow": _of_a_workflow}


def _container(objects: Sequence[Object], pod: Mapping[str, Any], container: Mapping[str, Any]) -> Container:
    volumes = {volume["name"]: volume for volume in pod.get("volumes", ())}
    plain, secrets = {}, {}
    for variable in container.get("env", ()):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference:
            secrets[variable["name"]] = (str(reference["name"]), str(reference["key"]))
        elif "value" in variable:
            plain[variable["name"]] = str(variable["value"])
    return Container(
        (*container.get("command", ()), *container.get("args", ())),
        plain,
        secrets,
        tuple(
            Mount(str(mount["mountPath"]).rstrip("/"), _volume(objects, volumes[mount["name"]]))
            for mount in container.get("volumeMounts", ())
        ),
    )


def _volume(objects: Sequence[Object], volume: Mapping[str, Any]) -> Bucket | Files | Scratch:
    if claim := volume.get("persistentVolumeClaim"):
        return _bucket(objects, claim["claimName"])
    if source := volume.get("configMap"):
        if source.get("optional") and not any(_is(item, "ConfigMap", source["name"]) for item in objects):
            return Files({})
        found = _one(objects, "ConfigMap", source["name"])
        text = {name: str(content).encode() for name, content in (found.get("data") or {}).items()}
        return Files(
            text | {name: base64.b64decode(content) for name, content in (found.get("binaryData") or {}).items()}
        )
    return Scratch()


def _bucket(objects: Sequence[Object], claim: str) -> Bucket:
    name = _one(objects, "PersistentVolumeClaim", claim)["spec"]["volumeName"]
    spec = _one(objects, "PersistentVolume", name)["spec"]
    if spec.get("csi", {}).get("driver") != "s3.csi.aws.com":
        hint = "only volumes of Mountpoint for Amazon S3 can be rehearsed"
        raise UserError.of(f"PersistentVolume {name} is of another kind", hint=hint)
    prefix = next((found[1] for option in spec.get("mountOptions", ()) if (found := _PREFIX.fullmatch(option))), "")
    return Bucket(spec["csi"]["volumeAttributes"]["bucketName"], prefix)


def _is(item: Object, kind: str, name: str) -> bool:
    return bool(item["kind"] == kind and item["metadata"]["name"] == name)


def _one(objects: Sequence[Object], kind: str, name: str) -> Object:
    found = [item for item in objects if _is(item, kind, name)]
    if len(found) != 1:
        message = f"the rendered tree makes {len(found)} {kind} objects with the name {name}, not one"
        raise UserError.of(message, hint="run `modelyard render`")
    return found[0]


def _within(path: str, folder: str) -> bool:
    return PurePosixPath(path).is_relative_to(folder)
