"""What the job on the cluster makes of an entry of serveConfigV2. Building needs Ray, and no cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generator.develop import driver

pytest.importorskip("ray.serve")

pytestmark = pytest.mark.serving

SOURCE = """\
from pydantic import BaseModel
from ray import serve


class Arguments(BaseModel):
    names: list[str] = []


@serve.deployment
class Model:
    pass


@serve.deployment(ray_actor_options={"num_cpus": 3, "runtime_env": {"env_vars": {"OWN": "code"}}})
class Front:
    def __init__(self, shared, models, by_name):
        pass


def build(arguments: Arguments):
    shared = Model.options(name="Shared").bind()
    models = [Model.options(name=name).bind() for name in arguments.names]
    return Front.bind(shared, models, by_name={"shared": shared})
"""
CODE = "gcs://code.zip"


@pytest.fixture
def module(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "driven.py").write_text(SOURCE)
    sys.path.insert(0, str(tmp_path))
    yield "driven"
    sys.path.remove(str(tmp_path))
    sys.modules.pop("driven", None)


def test_every_deployment_has_its_options(module: str) -> None:
    entry = {
        "name": "ada-tiny",
        "import_path": f"{module}:build",
        "args": {"names": ["one", "two"]},
        "runtime_env": {"env_vars": {"MODEL_ID": "/mnt/a", "SHARED": "1"}},
        "deployments": [
            {"name": "one", "num_replicas": 2, "ray_actor_options": {"num_cpus": 0.5, "memory": 7}},
            {"name": "two", "ray_actor_options": {"runtime_env": {"env_vars": {"MODEL_ID": "/mnt/b"}}}},
            {"name": "Front", "max_ongoing_requests": 9, "user_config": {"a": 1}},
        ],
    }
    found = {
        node._bound_deployment.name: node._bound_deployment for node in driver.nodes(driver.built(entry, CODE), {})
    }
    assert sorted(found) == ["Front", "Shared", "one", "two"]
    assert found["one"].num_replicas == 2 and found["Front"].max_ongoing_requests == 9
    assert found["Front"].user_config == {"a": 1}
    options = {name: deployment.ray_actor_options for name, deployment in found.items()}
    assert (options["one"]["num_cpus"], options["one"]["memory"], options["Front"]["num_cpus"]) == (0.5, 7, 3)
    environments = {name: given["runtime_env"] for name, given in options.items()}
    shared = {"MODEL_ID": "/mnt/a", "SHARED": "1"}
    assert environments == {
        "Front": {"working_dir": CODE, "env_vars": {**shared, "OWN": "code"}},
        "Shared": {"working_dir": CODE, "env_vars": shared},
        "one": {"working_dir": CODE, "env_vars": shared},
        "two": {"working_dir": CODE, "env_vars": {**shared, "MODEL_ID": "/mnt/b"}},
    }


def test_a_deployment_that_the_code_has_not(module: str) -> None:
    entry: dict[str, Any] = {"name": "x", "import_path": f"{module}:build", "deployments": [{"name": "Model"}]}
    with pytest.raises(ValueError, match="application x has no deployment Model"):
        driver.built(entry, CODE)
