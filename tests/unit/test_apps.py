"""What each application makes of its fields: entries of serveConfigV2, judged by our schema of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml
from referencing import Registry, Resource

from generator import assets, compile
from generator.apps import APPS, OWN_FIELDS, Deployment, Served
from generator.apps.base import drain
from generator.catalog import ACCELERATORS
from generator.plan import Plan
from generator.spec import Application
from generator.spec.application import AppName

KINDS = assets.find().root / "schemas/kinds"
ONE = Served("tiny", "/mnt/models/models/tiny/aaaaaaaaaaaa", 2048)
OTHER = Served("other", "/mnt/models/models/other/bbbbbbbbbbbb", None)


def deployment(**changes: Any) -> Deployment:
    known: dict[str, Any] = {
        "name": "chat",
        "route": "/chat",
        "models": (ONE,),
        "working_dir": "s3://bucket/code/x-0123456789ab.zip",
        "min_replicas": 1,
        "max_replicas": 1,
        "cpus": 2.0,
        "accelerators": 0,
        "max_tokens": 256,
        "concurrency": 4,
        "memory": 4 * 2**30,
        "prompt": "Say: {input}",
    }
    if changes.get("accelerators"):
        known["accelerator"] = ACCELERATORS["nvidia-l4"]
    return Deployment(**(known | changes))


def serve(app: str, **changes: Any) -> dict[str, Any]:
    if app == "router":
        weighted = tuple(Served(m.name, m.path, m.context_length, w) for m, w in ((ONE, 90), (OTHER, 10)))
        changes = {"models": weighted} | changes
    return APPS[app].serve(deployment(**changes))


@pytest.fixture(scope="module")
def validator() -> Any:
    resources = [(path.name, Resource.from_contents(json.loads(path.read_text()))) for path in KINDS.glob("*.json")]
    registry: Any = Registry().with_resources(resources)
    schema = json.loads((KINDS / "serve-config.json").read_text())
    return jsonschema.Draft7Validator(schema, registry=registry)


OURS = sorted(name for name, app in APPS.items() if app.packages)
VARIANTS: list[dict[str, Any]] = [
    {},
    {"accelerators": 1, "max_replicas": 3, "dtype": "bfloat16"},
    {"ray_version": "2.54.0", "kv_cache_tokens": 4096},
    {"cpus": 0.5, "concurrency": 1, "memory": None},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=range(len(VARIANTS)))
@pytest.mark.parametrize("app", sorted(APPS))
def test_entries_fit_the_schema(app: str, changes: dict[str, Any], validator: Any) -> None:
    validator.validate({"applications": [serve(app, **({"accelerators": 1} | changes))]})


def places(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key of the entry that is ours to spell, not the application's or the user's."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("env_vars", "user_config", "args"):
                continue
            yield (*at, key)
            yield from places(value, (*at, key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from places(value, (*at, number))


@pytest.mark.parametrize("app", OURS)
def test_a_typo_in_any_key_is_seen(app: str, validator: Any) -> None:
    entry = serve(app, max_replicas=3)
    every = list(places(entry))
    assert len(every) > 10
    for place in every:
        wrong = json.loads(json.dumps(entry))
        node = wrong
        for part in place[:-1]:
            node = node[part]
        node[f"{place[-1]}x"] = node.pop(place[-1])
        assert not validator.is_valid({"applications": [wrong]}), place


def test_the_language_names_every_application() -> None:
    assert set(get_args(AppName)) == set(APPS)
    assert all(app.needs | app.takes <= set(OWN_FIELDS) <= set(Application.model_fields) for app in APPS.values())


@pytest.mark.parametrize(
    ("max_tokens", "seconds"), [(1, 20), (100, 20), (101, 21), (1024, 205), (3000, 600), (10**6, 600)]
)
def test_seconds_to_finish_answers(max_tokens: int, seconds: int) -> None:
    assert drain(max_tokens) == seconds


@pytest.mark.parametrize(("version", "told"), [("2.54.0", False), ("2.59.9", False), ("2.60.0", True), ("3.0.0", True)])
@pytest.mark.parametrize("app", OURS)
def test_backpressure_is_for_a_ray_that_knows_it(app: str, version: str, told: bool) -> None:
    deployments = serve(app, ray_version=version)["deployments"]
    assert ["backpressure_config" in d for d in deployments] == [told] * len(deployments)


def test_text_generation() -> None:
    entry = serve("text-generation", dtype="float16", kv_cache_tokens=4096, cpus=2.5)
    (model,) = entry["deployments"]
    assert entry["runtime_env"]["env_vars"] == {
        "MODEL_ID": ONE.path,
        "MODEL_NAME": "tiny",
        "CONTEXT_LENGTH": "2048",
        "MAX_TOKENS": "256",
        "CONCURRENCY": "4",
        "OMP_NUM_THREADS": "2",
        "KV_CACHE_TOKENS": "4096",
        "DTYPE": "float16",
        "HF_HUB_OFFLINE": "1",
    }
    assert (model["name"], model["max_ongoing_requests"], model["max_queued_requests"]) == ("TextGeneration", 8, 16)
    assert model["ray_actor_options"] == {"num_cpus": 2.5, "memory": 4 * 2**30}


def test_half_a_core_is_one_thread() -> None:
    assert serve("text-generation", cpus=0.5)["runtime_env"]["env_vars"]["OMP_NUM_THREADS"] == "1"


def test_models_of_a_router_have_environments_of_their_own() -> None:
    entry = serve("router", sticky="X-User")
    assert "MODEL_ID" not in entry["runtime_env"]["env_vars"]
    front, *models = entry["deployments"]
    assert front["user_config"] == {"weights": {"tiny": 90, "other": 10}, "sticky": "X-User"}
    assert entry["args"] == {"models": ["tiny", "other"]}
    assert [m["name"] for m in models] == ["TextGeneration-tiny", "TextGeneration-other"]
    assert [m["ray_actor_options"]["runtime_env"]["env_vars"] for m in models] == [
        {"MODEL_ID": ONE.path, "MODEL_NAME": "tiny", "CONTEXT_LENGTH": "2048"},
        {"MODEL_ID": OTHER.path, "MODEL_NAME": "other"},
    ]


def test_the_front_takes_all_that_the_models_can() -> None:
    """Their queues say when it is too much, not the one of the router."""
    front, *models = serve("router", max_replicas=3)["deployments"]
    assert front["max_ongoing_requests"] == sum(3 * m["max_ongoing_requests"] for m in models) + 16


def test_composition() -> None:
    front, model = serve("composition")["deployments"]
    assert (front["name"], front["user_config"]) == ("Preprocessor", {"prompt": "Say: {input}"})
    assert model["name"] == "TextGeneration"


def test_vllm() -> None:
    (config,) = serve("vllm", accelerators=2, dtype="bfloat16")["args"]["llm_configs"]
    assert config["engine_kwargs"] == {
        "tensor_parallel_size": 2,
        "max_num_seqs": 4,
        "override_generation_config": {"max_new_tokens": 256},
        "max_model_len": 2048,
        "dtype": "bfloat16",
    }
    assert config["deployment_config"]["graceful_shutdown_timeout_s"] == 52


@pytest.mark.parametrize(("accelerator", "asked"), [("nvidia-l4", {"num_gpus": 1}), (None, {})])
def test_devices_that_an_actor_asks_for(accelerator: str | None, asked: dict[str, Any]) -> None:
    row = ACCELERATORS[accelerator] if accelerator else None
    (model,) = serve("text-generation", accelerator=row, accelerators=1 if row else 0)["deployments"]
    assert model["ray_actor_options"] == {"num_cpus": 2, "memory": 4 * 2**30, **asked}


def test_vllm_on_neuron() -> None:
    """One bundle, in which the actor has all cores; its CPU is the one that Serve gives a replica."""
    entry = serve("vllm", accelerator=ACCELERATORS["aws-trainium1"], accelerators=8)
    assert entry["runtime_env"] == {"env_vars": {"NEURON_COMPILED_ARTIFACTS": ONE.path, "HF_HUB_OFFLINE": "1"}}
    (config,) = entry["args"]["llm_configs"]
    assert config["engine_kwargs"]["tensor_parallel_size"] == 8
    assert config["placement_group_config"] == {"bundles": [{"CPU": 0}], "strategy": "STRICT_PACK"}
    assert config["deployment_config"]["ray_actor_options"] == {"resources": {"neuron_cores": 8}}


CATALOGUE = """\
apiVersion: modelyard.dev/v1alpha1
kind: ModelCatalog
platform:
  prefix: x
  repository: {url: "https://git.example.com/platform/gitops.git"}
  images: {prestage: "registry.example.com/prestage:1.0"}
clusters: [{name: hub, provider: eks, servicesBy: helm}]
caches: [{name: s3, type: s3}]
models:
  - {name: tiny, cache: s3, source: {huggingface: org/tiny, revision: fe8a4ea1ffedaf415f4da2f062534de366a451e6}}
  - {name: big, cache: s3, source: {huggingface: org/big, revision: 63a8b081895390a26e140280378bc85ec8bce07a}}
services:
  - name: chat
    clusters: [hub]
    applications:
"""
LOCK = """\
apiVersion: modelyard.dev/v1alpha1
kind: ModelLock
models:
  tiny:
    source: {huggingface: org/tiny, revision: fe8a4ea1ffedaf415f4da2f062534de366a451e6}
    commit: fe8a4ea1ffedaf415f4da2f062534de366a451e6
    dtype: BF16
    contextLength: 2048
    kv: {layers: 22, heads: 4, headDim: 64}
    weights: 2147483648
    size: 2147483648
  big:
    source: {huggingface: org/big, revision: 63a8b081895390a26e140280378bc85ec8bce07a}
    commit: 63a8b081895390a26e140280378bc85ec8bce07a
    dtype: BF16
    contextLength: 32768
    kv: {layers: 32, heads: 8, headDim: 128}
    weights: 10737418240
    size: 10737418240
"""


def planned(folder: Path, *applications: str) -> Plan:
    items = "".join(f"      - {application}\n" for application in applications)
    (folder / "models.yaml").write_text(CATALOGUE + items)
    (folder / "models.lock.yaml").write_text(LOCK)
    found = compile.plan_catalogue(folder / "models.yaml", assets.find())
    assert found.plan is not None, found.diagnostics
    return found.plan


ROUTER = "{app: router, name: ab, memory: 32Gi, backends: [{model: tiny, weight: W}, {model: big, weight: 10}]}"


def test_new_weights_change_user_config_and_the_catalogue_page_only(tmp_path: Path) -> None:
    found = assets.find()
    trees = [compile.files(planned(tmp_path, ROUTER.replace("W", weight)), found) for weight in ("90", "20")]
    before, after = (tree.files for tree in trees)
    changed = [path for path in before if before[path] != after[path]]
    assert changed == ["README.md", "clusters/hub/services/chat.yaml"]
    old, new = (yaml.safe_load(tree["clusters/hub/services/chat.yaml"])["services"]["chat"] for tree in (before, after))
    configs = [yaml.safe_load(service.pop("serveConfigV2")) for service in (old, new)]
    assert old == new
    weights = [config["applications"][0]["deployments"][0]["user_config"].pop("weights") for config in configs]
    assert weights == [{"tiny": 90, "big": 10}, {"tiny": 20, "big": 10}]
    assert configs[0] == configs[1]


def test_each_replica_of_each_model_has_a_pod(tmp_path: Path) -> None:
    """And every pod room for the router's two replicas, so that no replica waits for a place."""
    (service,) = planned(tmp_path, ROUTER.replace("W", "1").replace("ab,", "ab, replicas: {min: 1, max: 3},")).services
    (group,) = service.groups
    assert (group.min, group.max) == (2, 6)
    assert dict(group.limits) == {"cpu": "3", "memory": "33Gi"}
    deployments = yaml.safe_load(service.serve_config)["applications"][0]["deployments"]
    whole = [d["ray_actor_options"]["memory"] for d in deployments]
    assert whole == [2**29, 32 * 2**30, 32 * 2**30]


@pytest.mark.parametrize(
    ("application", "memory"),
    [
        # weights and a fifth, 2 GiB for the program, 8 requests of 2048 tokens of 22,528 bytes
        ("{model: tiny}", "5Gi"),
        ("{model: tiny, dtype: float32}", "8Gi"),
        ("{model: big, maxTokens: 100}", "46Gi"),
        ("{model: big, contextLength: 2048}", "16Gi"),
        ("{model: big, kvCacheTokens: 32768}", "18Gi"),
        ("{app: router, backends: [{model: tiny, weight: 1}, {model: big, weight: 1}]}", "47Gi"),
    ],
)
def test_memory_that_is_left_out(application: str, memory: str, tmp_path: Path) -> None:
    (service,) = planned(tmp_path, application).services
    assert service.groups[0].limits["memory"] == memory


def test_names_that_are_left_out(tmp_path: Path) -> None:
    applications = ("{model: tiny, route: /a}", ROUTER.replace("name: ab, ", "route: /b, ").replace("W", "1"))
    (service,) = planned(tmp_path, *applications).services
    assert [a.name for a in service.applications] == ["tiny", "chat"]


def test_every_model_of_a_router_is_referred_to(tmp_path: Path) -> None:
    (service,) = planned(tmp_path, ROUTER.replace("W", "0")).services
    (application,) = service.applications
    assert ([m.name for m in application.models], application.weights) == (["tiny", "big"], (0, 10))
    assert service.capacity == "12Gi"
