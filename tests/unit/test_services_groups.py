"""Worker groups: which application runs on which, how large they are, and how Ray is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import assets, compile, yamlio
from generator.apps import APPS
from generator.plan import Plan, Service
from generator.spec import Service as Asked
from generator.workers import applications_on, group_of
from tests.unit.test_apps import serve

ROOT = Path(__file__).parents[2]
CASE = ROOT / "tests/cases/shared-gpu/models.yaml"
COMMIT = "fe8a4ea1ffedaf415f4da2f062534de366a451e6"
CPU, GPU = {"name": "cpu"}, {"name": "gpu", "accelerator": "nvidia-a10g"}


def image(name: str, release: str = "2.60.0") -> dict[str, str]:
    return {"image": f"registry.example.com/{name}:1.0", "rayVersion": release}


def application(name: str, **fields: Any) -> dict[str, Any]:
    return {"model": "tiny", "name": name, "route": f"/{name}", "memory": "8Gi", **fields}


def planned(
    folder: Path,
    provider: str = "eks",
    cache: dict[str, Any] | None = None,
    clusters: list[dict[str, Any]] | None = None,
    code: dict[str, Any] | None = None,
    **service: Any,
) -> Plan:
    """The plan of one service `chat`, delivered by helm."""
    roles = ("cpu", "gpu", "vllm")
    known = {"name": "c", "type": "s3", "bucket": "models-of-x"} | (cache or {})
    document = {
        "apiVersion": "modelyard.dev/v1alpha1",
        "kind": "ModelCatalog",
        "platform": {
            "prefix": "x",
            "repository": {"url": "https://git.example.com/platform/gitops.git"},
            "namespace": "models",
            **({"code": code} if code else {}),
            "images": {"prestage": "registry.example.com/prestage:1.0", **{role: image(role) for role in roles}},
        },
        "clusters": clusters or [{"name": "hub", "provider": provider, "servicesBy": "helm"}],
        "caches": [{key: value for key, value in known.items() if value is not None}],
        "models": [{"name": "tiny", "source": {"huggingface": "o/tiny", "revision": COMMIT}, "cache": "c"}],
        "services": [{"name": "chat", "clusters": ["hub"], "applications": [application("a")]} | service],
    }
    (folder / "models.yaml").write_bytes(yamlio.dump(document))
    found = compile.plan_catalogue(folder / "models.yaml", assets.find())
    assert found.plan is not None, found.diagnostics
    return found.plan


def service_of(folder: Path, **service: Any) -> Service:
    (found,) = planned(folder, **service).services
    return found


# Which group


@pytest.mark.parametrize(
    ("groups", "fields", "chosen"),
    [
        ([CPU, GPU], {}, "cpu"),
        ([GPU, CPU], {}, "gpu"),
        ([CPU, GPU], {"workers": "gpu"}, "gpu"),
        ([CPU, GPU], {"app": "vllm"}, "gpu"),
        ([CPU, GPU], {"accelerators": 1}, "gpu"),
        ([{"name": "neuron", "accelerator": "aws-trainium1"}, CPU], {}, "cpu"),
    ],
)
def test_an_application_goes_where_it_can(groups: list[dict[str, Any]], fields: dict[str, Any], chosen: str) -> None:
    asked = Asked.model_validate(
        {"name": "chat", "clusters": ["hub"], "workers": groups, "applications": [application("a", **fields)]},
    )
    group = group_of(asked, asked.applications[0])
    assert group is not None and group.name == chosen
    assert {g.name for g in asked.workers if applications_on(asked, g)} == {chosen}


def test_without_groups_there_is_one_as_ever(tmp_path: Path) -> None:
    service = service_of(tmp_path, accelerator="nvidia-a10g", applications=[application("a", replicas={"max": 3})])
    (group,) = service.groups
    assert (group.name, group.accelerator, group.min, group.max) == ("workers", "nvidia-a10g", 1, 3)
    assert group.tolerations == ({"key": "nvidia.com/gpu", "operator": "Exists"},)
    assert group.image == service.image == image("gpu")["image"]
    assert service.applications[0].group == "workers" and "label_selector" not in service.serve_config


# How large, how many, which image


def test_each_group_is_sized_for_its_own(tmp_path: Path) -> None:
    small = application("small", cpu="500m", memory="4Gi", replicas={"min": 1, "max": 2})
    large = application("large", app="vllm", cpu="8", memory="32Gi", accelerators=2, replicas={"min": 0, "max": 3})
    cpu, gpu = service_of(tmp_path, workers=[CPU, GPU], applications=[small, large]).groups
    assert cpu.limits == {"cpu": "1", "memory": "4Gi"}
    assert gpu.limits == {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "2"}
    assert ((cpu.min, cpu.max), (gpu.min, gpu.max)) == ((1, 2), (0, 3))


@pytest.mark.parametrize(
    ("stated", "replicas", "bounds"),
    [
        ({}, {"min": 2, "max": 4}, (2, 4)),
        ({"min": 0}, {"min": 2, "max": 4}, (0, 4)),
        ({"max": 8}, {"min": 2, "max": 4}, (2, 8)),
        ({"max": 3}, {"min": 2, "max": 4}, (2, 3)),
        ({"min": 3, "max": 5}, {"max": 1}, (3, 5)),
    ],
)
def test_bounds_are_those_of_replicas_unless_stated(
    stated: dict[str, int], replicas: dict[str, int], bounds: tuple[int, int], tmp_path: Path
) -> None:
    (group,) = service_of(tmp_path, workers=[CPU | stated], applications=[application("a", replicas=replicas)]).groups
    assert (group.min, group.max) == bounds


def test_a_profile_that_allows_fewer_replicas_allows_fewer_pods(tmp_path: Path) -> None:
    clusters = [{"name": "hub", "provider": "eks", "servicesBy": "helm", "profile": "development"}]
    asked = [application("a", replicas={"min": 3, "max": 5})]
    (service,) = planned(tmp_path, clusters=clusters, workers=[CPU | {"min": 3}], applications=asked).services
    assert (service.groups[0].min, service.groups[0].max) == (1, 1)


def test_what_stands_in_front_of_the_models_keeps_a_pod(tmp_path: Path) -> None:
    asleep = application("a", app="composition", prompt="Say: {input}", replicas={"min": 0, "max": 2})
    (group,) = service_of(tmp_path, applications=[asleep]).groups
    assert (group.min, group.max) == (1, 2)


def test_each_group_has_its_image_and_the_head_one_that_builds_all(tmp_path: Path) -> None:
    both = [application("a"), application("b", app="vllm")]
    service = service_of(tmp_path, workers=[CPU, GPU], applications=both)
    assert [group.image for group in service.groups] == [image("cpu")["image"], image("vllm")["image"]]
    assert (service.image, service.ray_version) == (image("vllm")["image"], "2.60.0")


def test_selectors_and_tolerations_add_up(tmp_path: Path) -> None:
    group = GPU | {
        "nodeSelector": {"pool": "b", "rack": "1"},
        "tolerations": [{"key": "dedicated"}, {"key": "team", "value": "ml", "effect": "NoExecute"}],
    }
    found = service_of(tmp_path, nodeSelector={"pool": "a", "arch": "x"}, workers=[group]).groups[0]
    assert found.node_selector == {"arch": "x", "pool": "b", "rack": "1"}
    assert found.tolerations == (
        {"key": "nvidia.com/gpu", "operator": "Exists"},
        {"key": "dedicated", "operator": "Exists"},
        {"key": "team", "operator": "Equal", "value": "ml", "effect": "NoExecute"},
    )


# Where replicas go


def mentions(node: Any, key: str) -> list[Any]:
    """The values of every `key` inside `node`."""
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    own = [node[key]] if isinstance(node, dict) and key in node else []
    return own + [found for child in inner for found in mentions(child, key)]


@pytest.mark.parametrize("app", sorted(APPS))
def test_every_deployment_of_an_application_goes_to_its_group(app: str) -> None:
    wanted = {"modelyard.dev/group": "gpu"}
    more = {"accelerators": 1} if APPS[app].needs_accelerator else {}
    entry = serve(app, group="gpu", **more)
    actors, bundles = mentions(entry, "label_selector"), mentions(entry, "placement_group_bundle_label_selector")
    if app == "vllm":
        assert actors == [entry["args"]["ingress_deployment_config"]["ray_actor_options"]["label_selector"]] == [wanted]
        assert bundles == [[wanted]]
    else:
        assert actors == [wanted] * len(entry["deployments"]) and bundles == []
    assert "label_selector" not in json.dumps(serve(app, **more))


def test_ray_takes_the_labels(tmp_path: Path) -> None:
    """Ray's own reading of the Serve config and, for the autoscaler, of the groups (autoscaler v2, Ray 2.60)."""
    schema = pytest.importorskip("ray.serve.schema")
    reading = pytest.importorskip("ray.autoscaler._private.kuberay.autoscaling_config")
    plan = compile.plan_catalogue(CASE, assets.find()).plan
    assert plan is not None
    (service,) = plan.services
    config = schema.ServeDeploySchema.model_validate(yaml.safe_load(service.serve_config))
    assert [d.ray_actor_options.label_selector for d in config.applications[0].deployments] == [
        {"modelyard.dev/group": "cpu"}
    ]
    for group in service.groups:
        spec = {"groupName": group.name, "labels": {"modelyard.dev/group": group.name}, "rayStartParams": {}}
        assert reading._get_labels_from_group_spec(spec, group.name) == {"modelyard.dev/group": group.name}
