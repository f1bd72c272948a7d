"""What is read out of the objects of a cluster."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from generator.errors import UserError
from generator.rehearse.deployed import Deployed, Place
from generator.rehearse.pods import Bucket, Claim, Files, Image, Mount, Scratch
from generator.rehearse.work import Work, moved, named, narrowed, work

MOUNT = "/mnt/models/models"
PLAN = {"version": 1, "model": "tiny", "source": {"huggingface": "org/tiny", "commit": "c" * 40}}
SERVE = f"""\
applications:
  - name: tiny
    import_path: text_generation.app:build
    runtime_env:
      env_vars: {{MODEL_ID: {MOUNT}/tiny/cccccccccccc, OTHER: "1"}}
"""


def job(name: str, bucket: str = "models", key: str = "models/tiny/cccccccccccc") -> dict[str, Any]:
    container = {
        "command": ["python", "-m", "generator.prestage"],
        "args": ["/etc/plan/plan.json", "--target", f"s3://{bucket}/{key}"],
        "env": [
            {"name": "AWS_REGION", "value": "eu-west-1"},
            {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "volumeMounts": [{"name": "plan", "mountPath": "/etc/plan"}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    volumes = [{"name": "plan", "configMap": {"name": name}}, {"name": "tmp", "emptyDir": {}}]
    return {
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": {"spec": {"containers": [container], "volumes": volumes}}},
    }


def objects() -> list[dict[str, Any]]:
    pod = {
        "containers": [
            {
                "env": [{"name": "HOME", "value": "/tmp"}],
                "volumeMounts": [
                    {"name": "models", "mountPath": MOUNT},
                    {"name": "code", "mountPath": "/opt/code/"},
                    {"name": "tmp", "mountPath": "/tmp"},
                ],
            }
        ],
        "volumes": [
            {"name": "models", "persistentVolumeClaim": {"claimName": "chat-models"}},
            {"name": "code", "configMap": {"name": "code", "optional": True}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    return [
        {"kind": "ConfigMap", "metadata": {"name": "stage-tiny"}, "data": {"plan.json": json.dumps(PLAN)}},
        job("stage-tiny"),
        {"kind": "ConfigMap", "metadata": {"name": "stage-other"}, "data": {"plan.json": json.dumps(PLAN)}},
        job("stage-other", key="models/other/dddddddddddd"),
        {"kind": "ConfigMap", "metadata": {"name": "code"}, "binaryData": {"a.zip": base64.b64encode(b"PK").decode()}},
        {"kind": "PersistentVolumeClaim", "metadata": {"name": "chat-models"}, "spec": {"volumeName": "volume"}},
        {
            "kind": "PersistentVolume",
            "metadata": {"name": "volume"},
            "spec": {
                "mountOptions": ["read-only", "prefix models/"],
                "csi": {"driver": "s3.csi.aws.com", "volumeAttributes": {"bucketName": "models"}},
            },
        },
        {
            "kind": "RayService",
            "metadata": {"name": "chat"},
            "spec": {
                "serveConfigV2": SERVE,
                "rayClusterConfig": {
                    "rayVersion": "2.60.0",
                    "headGroupSpec": {"template": {"spec": {"containers": [{}]}}},
                    "workerGroupSpecs": [{"template": {"spec": pod}}],
                },
            },
        },
    ]


def read(found: list[dict[str, Any]]) -> Work:
    return work(Deployed(Place("one", "chat", "services-kro"), tuple(found), {}))


def test_everything_that_is_run() -> None:
    found = read(objects())
    assert (found.ray_version, found.serve["applications"][0]["name"]) == ("2.60.0", "tiny")
    assert found.pods.environment == {"HOME": "/tmp"}
    assert found.pods.mounts == (
        Mount(MOUNT, Bucket("models", "models/")),
        Mount("/opt/code", Files({"a.zip": b"PK"})),
        Mount("/tmp", Scratch()),
    )


def test_only_the_jobs_whose_files_are_read() -> None:
    (staged,) = read(objects()).jobs
    assert (staged.name, staged.bucket, staged.key) == ("stage-tiny", "models", "models/tiny/cccccccccccc")
    assert (staged.path, staged.model, staged.content) == (f"{MOUNT}/tiny/cccccccccccc", "tiny", PLAN)
    assert staged.steps[0].environment == {"AWS_REGION": "eu-west-1"}
    assert staged.steps[0].secrets == {"HF_TOKEN": ("hub", "token")}


def by_claim() -> list[dict[str, Any]]:
    """The same with a claim for the model: the Job writes to it, the pods see the model's folder of it."""
    found = objects()
    spec = found[1]["spec"]["template"]["spec"]
    spec["volumes"].append({"name": "models", "persistentVolumeClaim": {"claimName": "model-tiny"}})
    spec["containers"][0]["volumeMounts"].append({"name": "models", "mountPath": "/mnt/target"})
    spec["containers"][0]["args"][2] = "/mnt/target/models/tiny/cccccccccccc"
    found[5] = {"kind": "PersistentVolumeClaim", "metadata": {"name": "model-tiny"}, "spec": {"storageClassName": "a"}}
    pod = found[7]["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]["spec"]
    pod["volumes"][0]["persistentVolumeClaim"]["claimName"] = "model-tiny"
    mount = {"mountPath": f"{MOUNT}/tiny/cccccccccccc", "subPath": "models/tiny/cccccccccccc"}
    pod["containers"][0]["volumeMounts"][0] |= mount
    return found


def test_a_claim_is_a_folder_that_the_job_fills() -> None:
    found = read(by_claim())
    (staged,) = found.jobs
    assert (staged.name, staged.bucket, staged.path) == ("stage-tiny", "", f"{MOUNT}/tiny/cccccccccccc")
    assert staged.steps[0].mounts[-1] == Mount("/mnt/target", Claim("model-tiny"))
    shown = Mount(f"{MOUNT}/tiny/cccccccccccc", Claim("model-tiny"), "models/tiny/cccccccccccc")
    assert found.pods.mounts[0] == shown


def test_a_claim_that_no_job_fills() -> None:
    found = by_claim()
    found[1]["spec"]["template"]["spec"]["containers"][0]["args"][2] = "/mnt/target/models/tiny/dddddddddddd"
    with pytest.raises(UserError, match=f"no prestage Job fills {MOUNT}/tiny/cccccccccccc"):
        read(found)


def test_models_of_an_image() -> None:
    """Nothing is mounted: the plans of the image's build say what it holds."""
    found = objects()
    mounts = found[7]["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]
    mounts["volumeMounts"] = []
    plans = {"tiny.json": json.dumps(PLAN).encode()}
    read_ = work(Deployed(Place("one", "chat", ""), tuple(found[7:]), {}, plans))
    (build,) = read_.jobs
    assert (build.model, build.bucket, build.path) == ("tiny", "", f"{MOUNT}/tiny/cccccccccccc")
    assert build.content == PLAN
    assert build.steps[0].words[2:4] == ("generator.prestage.bake", "/tmp/plans")
    assert read_.pods.mounts == (Mount(MOUNT, Image("image")),)


def group(name: str, **limits: str) -> dict[str, Any]:
    container = {"env": [{"name": "GROUP", "value": name}], "resources": {"limits": limits}}
    return {"template": {"spec": {"containers": [container]}}}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([group("gpu", **{"nvidia.com/gpu": "1"}), group("cpu", cpu="2")], "cpu"),
        ([group("gpu", **{"nvidia.com/gpu": "1"})], ""),  # the head's
    ],
)
def test_pods_are_those_without_a_device(groups: list[dict[str, Any]], expected: str) -> None:
    found = objects()[7:]
    found[0]["spec"]["serveConfigV2"] = "applications: []\n"
    found[0]["spec"]["rayClusterConfig"]["workerGroupSpecs"] = groups
    assert read(found).pods.environment.get("GROUP", "") == expected


def test_jobs_of_what_is_left_out_are_not_run() -> None:
    found = read(objects())
    assert narrowed(found, {"applications": []}).jobs == ()
    assert narrowed(found, found.serve) == found


def without_code(found: list[dict[str, Any]]) -> None:
    del found[4]


def test_an_optional_config_map_may_be_missing() -> None:
    found = objects()
    without_code(found)
    assert read(found).pods.mounts[1] == Mount("/opt/code", Files({}))


def other_bucket(found: list[dict[str, Any]]) -> None:
    found[6]["spec"]["csi"]["volumeAttributes"]["bucketName"] = "others"


def other_driver(found: list[dict[str, Any]]) -> None:
    found[6]["spec"]["csi"]["driver"] = "efs.csi.aws.com"


def no_service(found: list[dict[str, Any]]) -> None:
    del found[7]


def second_volume(found: list[dict[str, Any]]) -> None:
    found.append(copy.deepcopy(found[6]))


def plan_elsewhere(found: list[dict[str, Any]]) -> None:
    found[1]["spec"]["template"]["spec"]["containers"][0]["args"][0] = "/elsewhere/plan.json"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (other_bucket, f"no prestage Job fills {MOUNT}/tiny/cccccccccccc"),
        (other_driver, "PersistentVolume volume is of another kind"),
        (no_service, "0 RayService objects with the name chat"),
        (second_volume, "2 PersistentVolume objects"),
    ],
)
def test_objects_that_do_not_go_together(fault: Callable[[list[dict[str, Any]]], None], message: str) -> None:
    found = objects()
    fault(found)
    with pytest.raises(UserError, match=message):
        read(found)


def test_a_plan_that_is_mounted_nowhere() -> None:
    found = objects()
    plan_elsewhere(found)
    (staged,) = read(found).jobs
    with pytest.raises(UserError, match="mounts no ConfigMap at /elsewhere"):
        _ = staged.model


FOLDERS = {MOUNT: "/here/0-models", "/opt/code": "/here/1-code", "/tmp": "/here/2-tmp"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{MOUNT}/tiny/c", "/here/0-models/tiny/c"),
        (MOUNT, "/here/0-models"),
        ("file:///opt/code/a.zip", "file:///here/1-code/a.zip"),
        (f'{{"a": "{MOUNT}/a", "b": "{MOUNT}/b"}}', '{"a": "/here/0-models/a", "b": "/here/0-models/b"}'),
        ("/tmp", "/here/2-tmp"),
        ("/tmpfs/x", "/tmpfs/x"),
        ("/var/tmp/x", "/var/tmp/x"),
        (f"{MOUNT}-old/tiny", f"{MOUNT}-old/tiny"),
        ("/opt/code.zip", "/opt/code.zip"),
        ("https://host/opt/code/a.zip", "https://host/opt/code/a.zip"),
    ],
)
def test_moved(text: str, expected: str) -> None:
    assert moved(text, FOLDERS) == expected


def test_moved_looks_once() -> None:
    """What is put in is not looked at again."""
    assert moved("/a/b", {"/a": "/b", "/b": "/c"}) == "/b/b"
    assert moved("/a", {}) == "/a"


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"x": ["/m/a"]}, True),
        ({"/m/a": 1}, False),
        ({"x": {"y": "--model=/m/a/b,c"}}, True),
        ({"x": "/m/ab"}, False),
        ([1, None, True, "no"], False),
    ],
)
def test_named(node: Any, expected: bool) -> None:
    assert named(node, "/m/a") is expected
