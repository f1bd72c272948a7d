"""Pods end later than Ray's drain, and that later than the slowest answer."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import assets, compile
from generator.shutdown import KEY, Shutdown, shutdown

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("applications", "expected"),
    [
        ([], Shutdown(50, 80)),  # Ray's own default
        ([{"deployments": [{KEY: 20}]}], Shutdown(50, 80)),
        ([{"deployments": [{KEY: 5}]}], Shutdown(50, 80)),  # another one may have the default
        ([{"deployments": [{KEY: 100}, {KEY: 600}]}, {"deployments": [{KEY: 204.4}]}], Shutdown(630, 660)),
        ([{"args": {"llm_configs": [{"deployment_config": {KEY: 90}}]}}], Shutdown(120, 150)),
    ],
)
def test_the_slowest_decides(applications: Any, expected: Shutdown) -> None:
    assert shutdown(applications) == expected


@pytest.mark.parametrize("catalogue", ["models.yaml", "tests/cases/everything/models.yaml"])
def test_each_service_ends_after_its_answers(catalogue: str) -> None:
    plan = compile.plan_catalogue(ROOT / catalogue, assets.find()).plan
    assert plan is not None and plan.services
    for service in plan.services:
        applications = yaml.safe_load(service.serve_config)["applications"]
        assert service.shutdown == shutdown(applications)
        assert service.shutdown.grace > service.shutdown.drain > 20


def test_pods_of_both_charts_get_it(helm: str) -> None:
    """The plain chart; tests/unit/test_emit_kro.py holds the graph to it."""
    values = ROOT / "chart-templates/ray-service/ci/two-services-values.yaml"
    command = [helm, "template", "x", str(values.parents[1]), "-f", str(values)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    services = [o for o in yaml.safe_load_all(done.stdout) if o and o["kind"] == "RayService"]
    asked = {name: s["shutdown"] for name, s in yaml.safe_load(values.read_text())["services"].items()}
    for service in services:
        config, times = service["spec"]["rayClusterConfig"], asked[service["metadata"]["name"]]
        pods = [config["headGroupSpec"]["template"]["spec"], config["workerGroupSpecs"][0]["template"]["spec"]]
        for pod in pods:
            env = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}
            assert pod["terminationGracePeriodSeconds"] == times["graceSeconds"]
            assert env["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"] == str(times["drainSeconds"])
