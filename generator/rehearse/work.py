"""What the cluster would run for a service of Ray: Jobs that stage, pods, the Serve configuration. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from generator import naming, yamlio
from generator.deployed import RENDERED, Object
from generator.errors import UserError
from generator.rehearse.deployed import Deployed, Place
from generator.rehearse.pods import Bucket, Claim, Container, Files, Image, Mount, container, one

_PLANS, _BAKED = "/tmp/plans", "/tmp/models"  # noqa: S108  of the build of an image
IMAGE = Image("image")


@dataclass(frozen=True, slots=True)
class Job:
    """A prestage Job, Workflow or build of an image: its `steps` one after the other.

    `key` is its target in `bucket`; that is empty where the target is a folder of a claim or of an image. `path` is
    where the pods see it, `plan` where it reads.
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
            if isinstance(mount.volume, Files) and within(self.plan, mount.path):
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
    service = one(objects, "RayService", deployed.place.service)
    config = service["spec"]["rayClusterConfig"]
    pod = _plainest([*config.get("workerGroupSpecs", ()), config["headGroupSpec"]])["template"]["spec"]
    pods = container(objects, pod, pod["containers"][0])
    serve = yamlio.load(service["spec"]["serveConfigV2"], "serveConfigV2", RENDERED).data
    if deployed.plans:
        pods = replace(pods, mounts=(*pods.mounts, Mount(naming.MODELS_MOUNT, IMAGE)))
    found = (*jobs(objects, pods.mounts), *builds(deployed.plans))
    read = tuple(job for job in found if named(serve, job.path))
    _check_paths(serve, pods, read)
    return Work(deployed.place, read, pods, serve, str(config.get("rayVersion", "")))


def narrowed(what: Work, serve: Mapping[str, Any]) -> Work:
    """The same with fewer applications, and without the Jobs that only the others need."""
    return replace(what, serve=serve, jobs=tuple(job for job in what.jobs if named(serve, job.path)))


def _plainest(groups: Sequence[Object]) -> Object:
    """The first group without a device, whose pods are most like this machine; else the first."""
    plain = (group for group in groups if not any("/" in name for name in _limits(group)))
    return next(plain, groups[0])


def _limits(group: Object) -> Mapping[str, Any]:
    limits: Mapping[str, Any] = group["template"]["spec"]["containers"][0].get("resources", {}).get("limits", {})
    return limits


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
        if isinstance(mount.volume, Bucket | Claim | Image):
            below = re.compile(rf"(?<![\w.-]){re.escape(mount.path)}(?:/[\w./-]+|(?![\w.-]))")
            for path in (found for text in texts(serve) for found in below.findall(text)):
                if path != _root_of(mount) and not any(within(path, folder) for folder in staged):
                    hint = "run `modelyard render`; if that does not help, this is a bug"
                    raise UserError.of(f"no prestage Job fills {path}, which serveConfigV2 names", hint=hint)


def _root_of(mount: Mount) -> str:
    """The folder of all models, which may be named for itself; empty where the mount is that of one model."""
    return "" if mount.part else mount.path


def jobs(objects: Sequence[Object], mounts: Sequence[Mount]) -> Iterator[Job]:
    """The Jobs and Workflows whose targets the `mounts` of a pod show."""
    for item in objects:
        if item["kind"] in _STEPS and (job := _job(objects, item, mounts)):
            yield job


def builds(plans: Mapping[str, bytes]) -> Iterator[Job]:
    """The step of an image's build that fetches models, for each of the `plans` in its folder, by file name."""
    words = ("python", "-m", "generator.prestage.bake", _PLANS, "--root", _BAKED, "--output", "json")
    for name, content in plans.items():
        plan = json.loads(content)
        model, commit = str(plan["model"]), str(plan["source"]["commit"])
        mounts = (Mount(_PLANS, Files({name: content})), Mount(_BAKED, IMAGE))
        path = naming.model_path(model, commit)
        yield Job(f"image-{model}", (Container(words, {}, {}, mounts),), "", "", path, f"{_PLANS}/{name}")


def _job(objects: Sequence[Object], item: Object, mounts: Sequence[Mount]) -> Job | None:
    """None for a Job whose target no mount of the pods shows."""
    steps = tuple(container(objects, pod, spec) for pod, spec in _STEPS[item["kind"]](item["spec"]))
    words = steps[0].words
    if "--target" not in words:
        return None
    target = words[words.index("--target") + 1]
    plan = next(word for word in words if word.endswith(".json"))
    volume, key = _place(target, steps[0].mounts)
    for mount in mounts:
        path = _seen(mount, volume, key)
        if path:
            bucket = volume.name if isinstance(volume, Bucket) else ""
            return Job(item["metadata"]["name"], steps, bucket, key, path, plan)
    return None


def _place(target: str, mounts: Sequence[Mount]) -> tuple[Bucket | Claim | None, str]:
    """The volume that a Job writes to, and the key or folder in it."""
    if target.startswith("s3://"):
        bucket, _, key = target.removeprefix("s3://").partition("/")
        return Bucket(bucket, ""), key
    for mount in mounts:
        if isinstance(mount.volume, Claim) and within(target, mount.path):
            below = PurePosixPath(target).relative_to(mount.path)
            return mount.volume, (PurePosixPath(mount.part) / below).as_posix()
    return None, ""


def _seen(mount: Mount, volume: Bucket | Claim | None, key: str) -> str:
    """Where a mount of a pod shows the key of the volume; empty where it does not."""
    shown = mount.volume
    if isinstance(shown, Bucket) and isinstance(volume, Bucket) and shown.name == volume.name:
        return f"{mount.path}/{key.removeprefix(shown.prefix)}" if key.startswith(shown.prefix) else ""
    if isinstance(shown, Claim) and shown == volume and (not mount.part or within(key, mount.part)):
        return (PurePosixPath(mount.path) / PurePosixPath(key).relative_to(mount.part)).as_posix()
    return ""


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


def within(path: str, folder: str) -> bool:
    return PurePosixPath(path).is_relative_to(folder)
