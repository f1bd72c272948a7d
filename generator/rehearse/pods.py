"""A pod as the kubelet and the CSI driver read it: containers, their environment, and what their mounts show. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from generator.deployed import Object
from generator.errors import UserError

_PREFIX = re.compile(r"prefix (\S+)")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A volume of Mountpoint for Amazon S3: keys below `prefix` appear below the mount."""

    name: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A PersistentVolumeClaim that keeps files."""

    name: str


@dataclass(frozen=True, slots=True)
class Image:
    """A folder that the build of an image fills."""

    name: str


@dataclass(frozen=True, slots=True)
class Files:
    """A ConfigMap as a volume."""

    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Scratch:
    """An emptyDir."""


Volume = Bucket | Claim | Image | Files | Scratch


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume where a container sees it; `part` is the folder of the volume that it sees, empty for all of it."""

    path: str
    volume: Volume
    part: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    """What the kubelet starts. `secrets` are variables that come out of a Secret: name to (Secret, key)."""

    words: tuple[str, ...]
    environment: Mapping[str, str]
    secrets: Mapping[str, tuple[str, str]]
    mounts: tuple[Mount, ...]


def container(objects: Sequence[Object], pod: Mapping[str, Any], spec: Mapping[str, Any]) -> Container:
    """The container `spec` of a pod whose specification is `pod`. Raises UserError where an object is missing."""
    volumes = {item["name"]: item for item in pod.get("volumes", ())}
    plain, secrets = {}, {}
    for variable in spec.get("env", ()):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference:
            secrets[variable["name"]] = (str(reference["name"]), str(reference["key"]))
        elif "value" in variable:
            plain[variable["name"]] = str(variable["value"])
    mounts = tuple(
        Mount(
            str(mount["mountPath"]).rstrip("/"),
            volume(objects, volumes[mount["name"]]),
            str(mount.get("subPath", "")).strip("/"),
        )
        for mount in spec.get("volumeMounts", ())
    )
    return Container((*spec.get("command", ()), *spec.get("args", ())), plain, secrets, mounts)


def volume(objects: Sequence[Object], spec: Mapping[str, Any]) -> Volume:
    """What a volume of a pod holds; what is made on the node, such as an emptyDir, holds nothing."""
    if claim := spec.get("persistentVolumeClaim"):
        return _claimed(objects, claim["claimName"])
    if source := spec.get("configMap"):
        if source.get("optional") and not any(_is(item, "ConfigMap", source["name"]) for item in objects):
            return Files({})
        found = one(objects, "ConfigMap", source["name"])
        files = {name: str(content).encode() for name, content in (found.get("data") or {}).items()}
        binary = {name: base64.b64decode(content) for name, content in (found.get("binaryData") or {}).items()}
        return Files({**files, **binary})
    return Scratch()


def one(objects: Sequence[Object], kind: str, name: str) -> Object:
    """The object. Raises UserError where there is none, or a second."""
    found = [item for item in objects if _is(item, kind, name)]
    if len(found) != 1:
        message = f"the rendered tree makes {len(found)} {kind} objects with the name {name}, not one"
        raise UserError.of(message, hint="run `modelyard render`")
    return found[0]


def _claimed(objects: Sequence[Object], name: str) -> Bucket | Claim:
    claim = one(objects, "PersistentVolumeClaim", name)["spec"]
    if "volumeName" not in claim:
        return Claim(name)  # the class makes the volume
    spec = one(objects, "PersistentVolume", claim["volumeName"])["spec"]
    if spec.get("csi", {}).get("driver") != "s3.csi.aws.com":
        hint = "claims of a StorageClass and volumes of Mountpoint for Amazon S3 can be rehearsed"
        raise UserError.of(f"PersistentVolume {claim['volumeName']} is of another kind", hint=hint)
    prefix = next((found[1] for option in spec.get("mountOptions", ()) if (found := _PREFIX.fullmatch(option))), "")
    return Bucket(spec["csi"]["volumeAttributes"]["bucketName"], prefix)


def _is(item: Object, kind: str, name: str) -> bool:
    return bool(item["kind"] == kind and item["metadata"]["name"] == name)
