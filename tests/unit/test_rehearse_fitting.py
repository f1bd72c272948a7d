"""What of serveConfigV2 differs on this machine, and that nothing else does."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from generator.errors import UserError
from generator.rehearse.fitting import Fitted, Machine, fit, part

LARGE = Machine(cores=64, memory=2**40)
FOLDERS = {"/mnt/models": "/here/models", "/opt/code": "/here/code", "/tmp": "/here/tmp"}
SERVE: dict[str, Any] = {
    "proxy_location": "EveryNode",
    "http_options": {"host": "0.0.0.0", "port": 8000, "request_timeout_s": 60},
    "applications": [
        {
            "name": "chat",
            "route_prefix": "/tmp",
            "import_path": "text_generation.app:build",
            "runtime_env": {
                "working_dir": "file:///opt/code/a.zip",
                "env_vars": {"MODEL_ID": "/mnt/models/tiny/c", "CONTEXT_LENGTH": "4096", "MAX_TOKENS": "8"},
            },
            "deployments": [
                {
                    "name": "TextGeneration",
                    "autoscaling_config": {"min_replicas": 2, "max_replicas": 5, "initial_replicas": 3},
                    "user_config": {"weights": {"a": 1}, "paths": ["/mnt/models/tiny/c"]},
                    "ray_actor_options": {"num_cpus": 2, "memory": 3 * 2**30},
                },
            ],
        }
    ],
}


def fitted(serve: dict[str, Any], machine: Machine = LARGE, context: int | None = None, **codes: str) -> Fitted:
    given = copy.deepcopy(serve)
    found = fit(given, machine, FOLDERS, {name.replace("_", "."): uri for name, uri in codes.items()}, 4711, context)
    assert given == serve, "the configuration itself was changed"
    return found


def deployment(**facts: Any) -> dict[str, Any]:
    application = SERVE["applications"][0] | {"deployments": [{"name": "x", **facts}]}
    return {"applications": [application]}


def test_addresses_and_paths_and_the_fewest_replicas() -> None:
    expected = copy.deepcopy(SERVE)
    expected["http_options"] |= {"host": "127.0.0.1", "port": 4711}
    (application,) = expected["applications"]
    application["runtime_env"]["working_dir"] = "file:///here/code/a.zip"
    application["runtime_env"]["env_vars"]["MODEL_ID"] = "/here/models/tiny/c"
    application["deployments"][0]["autoscaling_config"] = {"min_replicas": 2, "max_replicas": 2}
    application["deployments"][0]["user_config"]["paths"] = ["/here/models/tiny/c"]
    found = fitted(SERVE)
    assert found.serve == expected
    assert (found.cpus, found.memory) == (4, 6 * 2**30)
    assert [change.path for change in found.changes] == [
        "http_options.host",
        "http_options.port",
        "applications[0].runtime_env.working_dir",
        "applications[0].runtime_env.env_vars.MODEL_ID",
        "applications[0].deployments[0].user_config.paths[0]",
        "applications[0].deployments[0].autoscaling_config.max_replicas",
    ]


def test_every_change_is_told() -> None:
    """Undoing what was told gives what there was, so nothing else was touched."""
    found = fitted(SERVE, Machine(cores=1, memory=2**40), context=2048)
    (application,) = found.serve["applications"]
    env = application["runtime_env"]["env_vars"]
    assert env == {"MODEL_ID": "/here/models/tiny/c", "CONTEXT_LENGTH": "2048", "MAX_TOKENS": "8"}
    assert application["route_prefix"] == "/tmp"
    told = {change.path: change for change in found.changes}
    assert told["applications[0].runtime_env.env_vars.CONTEXT_LENGTH"].was == "4096"
    assert told["applications[0].deployments[0]"].now == "1 replica"


@pytest.mark.parametrize(("context", "expected"), [(None, "4096"), (8192, "4096"), (4096, "4096"), (512, "512")])
def test_the_context_of_a_stand_in(context: int | None, expected: str) -> None:
    found = fitted(SERVE, context=context)
    assert found.serve["applications"][0]["runtime_env"]["env_vars"]["CONTEXT_LENGTH"] == expected


@pytest.mark.parametrize(
    ("facts", "machine", "replicas", "cpus"),
    [
        ({"num_replicas": 3, "ray_actor_options": {"num_cpus": 2}}, Machine(8, memory=2**40), 3, 6),
        ({"num_replicas": 3, "ray_actor_options": {"num_cpus": 2}}, Machine(4, memory=2**40), 1, 2),
        ({"num_replicas": 1, "ray_actor_options": {"num_cpus": 8}}, Machine(4, memory=2**40), 1, 8),
        ({"num_replicas": 2, "ray_actor_options": {"num_cpus": 0.5}}, Machine(4, memory=2**40), 2, 1),
        ({"num_replicas": 4}, Machine(4, memory=2**40), 4, 4),
        ({}, Machine(4, memory=2**40), None, 1),
        ({"num_replicas": 2, "ray_actor_options": {"memory": 2**30}}, Machine(4, memory=2**30), 1, 1),
    ],
)
def test_one_replica_where_they_do_not_fit(
    facts: dict[str, Any], machine: Machine, replicas: int | None, cpus: int
) -> None:
    found = fitted(deployment(**facts), machine)
    assert found.serve["applications"][0]["deployments"][0].get("num_replicas") == replicas
    assert found.cpus == cpus


@pytest.mark.parametrize("most", [1, 4])
def test_autoscaling_from_nothing_keeps_one(most: int) -> None:
    found = fitted(deployment(autoscaling_config={"min_replicas": 0, "max_replicas": most}))
    scaling = found.serve["applications"][0]["deployments"][0]["autoscaling_config"]
    assert scaling == {"min_replicas": 1, "max_replicas": 1}


@pytest.mark.parametrize("address", ["s3://bucket/code/a.zip", "https://host/serve/a.zip"])
def test_code_from_elsewhere_comes_out_of_the_tree(address: str) -> None:
    serve = copy.deepcopy(SERVE)
    serve["applications"][0]["runtime_env"]["working_dir"] = address
    found = fitted(serve, a_zip="file:///tree/serve/a.zip")
    assert found.serve["applications"][0]["runtime_env"]["working_dir"] == "file:///tree/serve/a.zip"
    kept = fitted(serve, b_zip="file:///tree/serve/b.zip")
    assert kept.serve["applications"][0]["runtime_env"]["working_dir"] == address


def llm(**facts: Any) -> dict[str, Any]:
    config = {"deployment_config": {"num_replicas": 1}, **facts}
    return {
        "applications": [
            {"name": "x", "import_path": "ray.serve.llm:build_openai_app", "args": {"llm_configs": [config]}}
        ]
    }


@pytest.mark.parametrize(
    ("serve", "machine", "fault"),
    [
        (SERVE, Machine(1), ""),
        (llm(), Machine(1), "needs a GPU, and this machine has none"),
        (llm(), Machine(1, gpus=1), "needs vLLM, which is not installed here"),
        (llm(), Machine(1, gpus=1, vllm=True), ""),
        (deployment(ray_actor_options={"num_gpus": 1}), Machine(1), "needs a GPU, and this machine has none"),
        (deployment(ray_actor_options={"num_gpus": 1}), Machine(1, gpus=1), ""),
        (
            deployment(num_replicas=2, ray_actor_options={"num_gpus": 1}),
            Machine(1, gpus=1),
            "needs 2 GPUs, and this machine has 1",
        ),
        (
            deployment(autoscaling_config={"min_replicas": 0, "max_replicas": 2}, ray_actor_options={"num_gpus": 1}),
            Machine(1),
            "needs a GPU, and this machine has none",
        ),
        (
            deployment(ray_actor_options={"resources": {"neuron_cores": 2}}),
            Machine(1, gpus=8),
            "needs neuron_cores devices, which cannot be rehearsed",
        ),
    ],
)
def test_what_a_machine_cannot_run(serve: dict[str, Any], machine: Machine, fault: str) -> None:
    found = part(serve, machine)
    assert (found.fault, found.left, found.serve) == (fault, {}, serve)


def several(*names: str) -> dict[str, Any]:
    """Applications of which those that start with `gpu` need one."""
    with_gpu = deployment(ray_actor_options={"num_gpus": 1})["applications"][0]
    return {
        "applications": [(with_gpu if n.startswith("gpu") else SERVE["applications"][0]) | {"name": n} for n in names]
    }


def names(serve: Any) -> list[str]:
    return [application["name"] for application in serve["applications"]]


def test_what_needs_a_gpu_is_left_out_of_the_rest() -> None:
    serve = several("one", "gpu", "two")
    found = part(serve, Machine(1))
    assert (names(found.serve), found.fault) == (["one", "two"], "")
    assert found.left == {"gpu": "needs a GPU, and this machine has none"}
    assert names(serve) == ["one", "gpu", "two"]


@pytest.mark.parametrize(
    ("wanted", "left", "fault"),
    [
        (["two"], ["two"], ""),
        (["gpu"], ["one", "gpu", "two"], "needs a GPU, and this machine has none"),
        (["one", "gpu"], ["one", "gpu", "two"], "needs a GPU, and this machine has none"),
    ],
)
def test_applications_by_name(wanted: list[str], left: list[str], fault: str) -> None:
    found = part(several("one", "gpu", "two"), Machine(1), wanted)
    assert (names(found.serve), found.left, found.fault) == (left, {}, fault)


def test_an_application_that_is_not_there() -> None:
    with pytest.raises(UserError, match="no application `onee`") as error:
        part(several("one", "gpu"), Machine(1), ["onee"])
    assert error.value.diagnostics[0].hint == "did you mean `one`?"


def test_labels_of_worker_groups_are_dropped() -> None:
    serve = deployment(ray_actor_options={"num_cpus": 1, "label_selector": {"group": "cpu"}})
    found = fitted(serve)
    assert found.serve["applications"][0]["deployments"][0]["ray_actor_options"] == {"num_cpus": 1}
    (change,) = (change for change in found.changes if "label" in change.path)
    assert change.path == "applications[0].deployments[0].ray_actor_options.label_selector"
    assert (change.was, change.now) == ({"group": "cpu"}, None)
