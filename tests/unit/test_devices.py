"""Accelerators: rows of the table, and what a service that names one is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import assets, compile, devices, naming
from generator.apps import APPS
from generator.apps.base import image_role
from generator.catalog import ACCELERATORS, DEFAULT_RAY_IMAGES, GIB, RAY_GPU, RAY_IMAGE_ROLES, Node, suits
from generator.emit.nodepools import MAKERS
from generator.errors import Severity
from generator.plan import Plan
from generator.spec.platform import Images

COMMIT = "fe8a4ea1ffedaf415f4da2f062534de366a451e6"
NEURON = sorted(name for name, row in ACCELERATORS.items() if row.compiled)
CATALOGUE: dict[str, Any] = {
    "apiVersion": "modelyard.dev/v1alpha1",
    "kind": "ModelCatalog",
    "platform": {
        "prefix": "x",
        "repository": {"url": "https://git.example.com/platform/gitops.git"},
        "images": {
            "prestage": "registry.example.com/prestage:1.0",
            "neuron": {"image": "registry.example.com/ml/ray-neuron:1.0", "rayVersion": "2.60.0"},
        },
    },
    "clusters": [{"name": "hub", "provider": "eks"}],
    "caches": [{"name": "s3", "type": "s3"}],
    "models": [],
    "services": [],
}
# 8 B parameters in bfloat16, as Llama 3.1 8B has them: 128 KiB of KV cache a token.
LOCKED: dict[str, Any] = {
    "commit": COMMIT,
    "dtype": "BF16",
    "contextLength": 131072,
    "kv": {"layers": 32, "heads": 8, "headDim": 128},
    "weights": 16 * 10**9,
    "size": 16 * 10**9,
}


def model(name: str = "llama", compiled_for: tuple[str, ...] = (), **source: Any) -> dict[str, Any]:
    more: dict[str, Any] = {"compiledFor": list(compiled_for)} if compiled_for else {}
    return {"name": name, "cache": "s3", "source": {"huggingface": f"org/{name}", "revision": COMMIT, **source}, **more}


def service(accelerator: str | None, **application: Any) -> dict[str, Any]:
    device = {"accelerator": accelerator} if accelerator is not None else {}
    return {"name": "chat", "clusters": ["hub"], **device, "applications": [{"model": "llama", **application}]}


def neuron(**application: Any) -> dict[str, Any]:
    """A service on two cores, which models.yaml states in full."""
    whole = {"app": "vllm", "accelerators": 2, "contextLength": 4096, "concurrency": 4} | application
    return service("aws-inferentia2", **{key: value for key, value in whole.items() if value is not None})


def compiled(folder: Path, lock: dict[str, Any] | None = None, **changes: Any) -> compile.Planned:
    (folder / "models.yaml").write_text(yaml.safe_dump(CATALOGUE | changes, sort_keys=False))
    entries = {
        item["name"]: {"source": {"huggingface": item["source"]["huggingface"], "revision": COMMIT} | source} | lock
        for item in changes.get("models", ())
        for source in [{k: v for k, v in item["source"].items() if k in ("allow", "ignore")}]
        if lock is not None
    }
    document = {"apiVersion": "modelyard.dev/v1alpha1", "kind": "ModelLock", "models": entries}
    (folder / "models.lock.yaml").write_text(yaml.safe_dump(document))
    return compile.plan_catalogue(folder / "models.yaml", assets.find())


def told(found: compile.Planned) -> dict[str, tuple[Severity, str, str]]:
    """What was said of devices by place; that sizes are unknown is left out."""
    return {
        d.path: (d.severity, d.message, d.hint)
        for d in found.diagnostics
        if "whether it fits is not checked" not in d.message
    }


def plan_of(found: compile.Planned) -> Plan:
    assert found.plan is not None, found.diagnostics
    return found.plan


@pytest.mark.parametrize("name", sorted(ACCELERATORS))
def test_a_row_is_whole(name: str) -> None:
    row = ACCELERATORS[name]
    assert row.name == name
    assert len(naming.node_pool(name)) <= 63
    assert row.families
    assert list(row.counts) == sorted(set(row.counts))
    assert row.counts[0] == 1
    assert list(row.nodes) == sorted(row.nodes, key=lambda node: node.devices)
    assert all(node.devices % row.bound[1] == 0 for node in row.nodes), "a pool is bounded by whole units"
    assert row.apps is None or row.apps <= set(APPS)
    assert row.image is None or row.image in RAY_IMAGE_ROLES
    assert bool(row.compiled) == (row.artefacts is not None)


def test_every_role_of_an_image_is_a_field() -> None:
    assert set(RAY_IMAGE_ROLES) == set(Images.model_fields) - {"prestage"}
    assert set(DEFAULT_RAY_IMAGES) < set(RAY_IMAGE_ROLES)


@pytest.mark.parametrize(
    ("name", "gibibytes"),
    [("nvidia-a10g", 24), ("aws-inferentia2", 16), ("aws-trainium1", 16), ("aws-trainium2", 24)],
)
def test_memory_of_one_device(name: str, gibibytes: int) -> None:
    """A NeuronCore is a device: 32 GiB for two, 96 GiB for the four logical ones of Trainium2."""
    assert ACCELERATORS[name].memory == gibibytes * GIB


@pytest.mark.parametrize("name", NEURON)
def test_kuberay_and_ray_know_the_resource(name: str) -> None:
    """`aws.amazon.com/neuron` would be mapped to nothing (KubeRay v1.7.0 pod.go)."""
    from ray._private.accelerators import get_all_accelerator_resource_names

    row = ACCELERATORS[name]
    assert (row.resource, row.ray) == ("aws.amazon.com/neuroncore", "neuron_cores")
    assert row.ray in get_all_accelerator_resource_names()


@pytest.mark.parametrize(
    ("name", "compiled_for", "runs"),
    [
        (None, (), True),
        ("nvidia-l4", (), True),
        ("aws-trainium1", (), False),
        ("aws-trainium1", ("aws-inferentia2",), False),
        ("aws-trainium1", ("aws-inferentia2", "aws-trainium1"), True),
        ("nvidia-l4", ("aws-trainium1",), False),
        (None, ("aws-trainium1",), False),
    ],
)
def test_a_model_and_a_device_suit_each_other(name: str | None, compiled_for: tuple[str, ...], runs: bool) -> None:
    assert suits(ACCELERATORS[name] if name else None, compiled_for) is runs


@pytest.mark.parametrize(
    ("name", "app", "role"),
    [
        (None, "text-generation", "cpu"),
        ("nvidia-l4", "text-generation", "gpu"),
        ("nvidia-l4", "vllm", "vllm"),
        ("aws-trainium2", "vllm", "neuron"),
    ],
)
def test_the_image_of_a_device_comes_first(name: str | None, app: str, role: str) -> None:
    assert image_role(APPS[app], ACCELERATORS[name] if name else None) == role


def test_a_service_on_neuron(tmp_path: Path) -> None:
    """What pods may have, what actors ask for, and what the engine runs on are the same cores."""
    models = [model(compiled_for=("aws-inferentia2",))]
    found = compiled(tmp_path, LOCKED, models=models, services=[neuron(memory="24Gi")])
    assert told(found) == {}
    (chat,) = plan_of(found).services
    assert chat.image == "registry.example.com/ml/ray-neuron:1.0"
    (group,) = chat.groups
    assert group.limits == {"cpu": "2", "memory": "24Gi", "aws.amazon.com/neuroncore": "2"}
    assert group.tolerations == ({"key": "aws.amazon.com/neuron", "operator": "Exists"},)
    (entry,) = yaml.safe_load(chat.serve_config)["applications"]
    (config,) = entry["args"]["llm_configs"]
    assert (
        entry["runtime_env"]["env_vars"]["NEURON_COMPILED_ARTIFACTS"] == config["model_loading_config"]["model_source"]
    )
    assert config["engine_kwargs"]["tensor_parallel_size"] == 2
    assert config["deployment_config"]["ray_actor_options"] == {"resources": {"neuron_cores": 2}}
    assert "num_gpus" not in chat.serve_config


@pytest.mark.filterwarnings("ignore")  # of Ray itself
def test_ray_takes_the_configuration_for_one_without_gpus(tmp_path: Path) -> None:
    """Else it would wait for a part of a GPU, which no node has (Ray 2.60 vllm_engine.py)."""
    from ray.llm._internal.common.placement import PlacementGroupConfig
    from ray.llm._internal.serve.core.configs.accelerators import infer_hardware_kind_from_bundles

    found = compiled(tmp_path, LOCKED, models=[model(compiled_for=("aws-inferentia2",))], services=[neuron()])
    (config,) = yaml.safe_load(plan_of(found).services[0].serve_config)["applications"][0]["args"]["llm_configs"]
    placement = PlacementGroupConfig(**config["placement_group_config"]).model_dump(exclude_unset=True)
    assert placement == {"bundles": [{"CPU": 0}], "strategy": "STRICT_PACK"}
    assert infer_hardware_kind_from_bundles(placement) == "cpu"


@pytest.mark.parametrize("app", sorted(set(APPS) - {"vllm"}))
def test_our_applications_are_refused_on_neuron(app: str, tmp_path: Path) -> None:
    more: dict[str, Any] = {"composition": {"prompt": "{input}"}}.get(app, {})
    models = [model(compiled_for=("aws-inferentia2",)), model("other", compiled_for=("aws-inferentia2",))]
    item = neuron(app=app, accelerators=1, maxTokens=100, **more)
    if app == "router":
        item["applications"][0] |= {"backends": [{"model": m, "weight": 1} for m in ("llama", "other")]}
        del item["applications"][0]["model"]
    found = compiled(tmp_path, models=models, services=[item])
    place = "services[0].applications[0].app"
    hint = "use `app: vllm`, or another accelerator"
    assert told(found) == {place: (Severity.ERROR, f"`{app}` does not run on aws-inferentia2", hint)}


def test_the_place_of_an_application_that_is_not_named(tmp_path: Path) -> None:
    models = [model(compiled_for=("aws-inferentia2",))]
    found = compiled(tmp_path, models=models, services=[neuron(app=None, accelerators=None, maxTokens=100)])
    assert list(told(found)) == ["services[0].applications[0]"]


def test_a_model_without_a_compiled_variant(tmp_path: Path) -> None:
    found = compiled(tmp_path, models=[model()], services=[neuron()])
    severity, message, hint = told(found)["services[0].applications[0].model"]
    assert (severity, message) == (Severity.ERROR, "`llama` has no variant compiled for aws-inferentia2")
    assert "`compiledFor: [aws-inferentia2]`" in hint


def test_a_variant_for_another_chip(tmp_path: Path) -> None:
    found = compiled(tmp_path, models=[model(compiled_for=("aws-trainium2",))], services=[neuron()])
    assert "no variant compiled for aws-inferentia2" in told(found)["services[0].applications[0].model"][1]


@pytest.mark.parametrize(("accelerator", "where"), [("nvidia-l4", "on nvidia-l4"), (None, "on CPUs")])
def test_a_compiled_model_elsewhere(accelerator: str | None, where: str, tmp_path: Path) -> None:
    item = service(accelerator, app="vllm" if accelerator else "text-generation", maxTokens=100, contextLength=4096)
    found = compiled(tmp_path, models=[model(compiled_for=("aws-inferentia2",))], services=[item])
    message = f"`llama` is compiled for aws-inferentia2 and does not run {where}"
    hint = "set `accelerator: aws-inferentia2`, or serve the model that it was compiled from"
    assert told(found) == {"services[0].applications[0].model": (Severity.ERROR, message, hint)}


def test_an_image_that_is_missing(tmp_path: Path) -> None:
    platform = CATALOGUE["platform"] | {"images": {"prestage": "registry.example.com/prestage:1.0"}}
    models = [model(compiled_for=("aws-inferentia2",))]
    found = compiled(tmp_path, platform=platform, models=models, services=[neuron()])
    severity, message, hint = told(found)["services[0].accelerator"]
    assert (severity, message) == (
        Severity.ERROR,
        "aws-inferentia2 needs an image of its own, and `platform.images` has no `neuron`",
    )
    assert "docs/accelerators.md" in hint


def test_an_old_ray_in_the_image(tmp_path: Path) -> None:
    images = CATALOGUE["platform"]["images"] | {"neuron": {"image": "a.example.com/x:1", "rayVersion": "2.9.3"}}
    found = compiled(tmp_path, platform=CATALOGUE["platform"] | {"images": images})
    assert list(told(found)) == ["platform.images.neuron.rayVersion"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("aws-inferentia", "there is no accelerator `aws-inferentia`"),
        ("nvidia-l4", "nvidia-l4 takes weights as they are: nothing is compiled for it"),
    ],
)
def test_what_a_model_may_be_compiled_for(name: str, said: str, tmp_path: Path) -> None:
    found = compiled(tmp_path, models=[model(compiled_for=(name,))])
    ((place, (severity, message, hint)),) = told(found).items()
    assert (place, severity, message) == ("models[0].compiledFor[0]", Severity.ERROR, said)
    assert "aws-inferentia2" in hint


@pytest.mark.parametrize(
    ("files", "source", "place"),
    [
        (["config.json", "checkpoint/weights/tp0_sharded_checkpoint.safetensors"], {}, "models[0].source"),
        (["config.json"], {"allow": ["*.md"]}, "models[0].source.allow"),
        (["config.json", "model.pt"], {"allow": ["model.pt"]}, None),
        (["config.json", "compiled/a.neff"], {"allow": ["compiled/*.neff"]}, None),
    ],
)
def test_compiled_files_are_asked_for_by_name(
    files: list[str], source: dict[str, Any], place: str | None, tmp_path: Path
) -> None:
    unknown = {key: value for key, value in LOCKED.items() if key not in ("size", "weights")}
    lock = unknown | {"files": "".join(f"git:{'1' * 40} 10 {name}\n" for name in sorted(files))}
    found = told(compiled(tmp_path, lock, models=[model(compiled_for=("aws-inferentia2",), **source)]))
    assert list(found) == ([place] if place else [])
    if place:
        assert "`allow: [model.pt]`" in found[place][2]


@pytest.mark.parametrize(
    ("name", "count", "refused"),
    [
        ("aws-inferentia2", 3, ""),
        ("aws-trainium1", 8, ""),
        ("aws-trainium1", 4, "it can have 1, 2, 8, 16, 32"),
        ("aws-trainium2", 8, "it can have 1, 2, 4, 16, 32, 64"),
        ("aws-trainium2", 16, ""),
        ("nvidia-a10g", 16, ""),
    ],
)
def test_how_many_cores_a_replica_can_have(name: str, count: int, refused: str, tmp_path: Path) -> None:
    compiled_for = (name,) if name in NEURON else ()
    item = service(name, app="vllm", accelerators=count, contextLength=4096)
    found = told(compiled(tmp_path, models=[model(compiled_for=compiled_for)], services=[item]))
    place = "services[0].applications[0].accelerators"
    expected = {place: (Severity.ERROR, f"a replica cannot have {count} of {name}", refused)} if refused else {}
    assert found == expected


def test_a_length_that_is_not_stated_is_only_warned_of(tmp_path: Path) -> None:
    found = compiled(tmp_path, models=[model(compiled_for=("aws-inferentia2",))], services=[neuron(contextLength=None)])
    severity, message, hint = told(found)["services[0].applications[0]"]
    assert (severity, found.plan is not None) == (Severity.WARNING, True)
    assert "`contextLength` is not stated" in message
    assert "neuron_config.json" in hint


@pytest.mark.parametrize(
    ("cores", "concurrency", "said"),
    [
        (1, 1, "weights of `llama` (16.0 GB) do not fit: 1 x aws-inferentia2 holds 15.5 GB"),
        (2, 4, None),
        (2, 64, "weights (16.0 GB) and the KV cache of 64 requests of 4096 tokens do not fit"),
        (8, 64, None),
    ],
)
def test_memory_is_that_of_the_cores(cores: int, concurrency: int, said: str | None, tmp_path: Path) -> None:
    """All of the cache is taken at the start: what would be a warning on a GPU is a fault."""
    models = [model(compiled_for=("aws-inferentia2",))]
    item = neuron(accelerators=cores, concurrency=concurrency)
    found = told(compiled(tmp_path, LOCKED, models=models, services=[item]))
    messages = [message for _, message, _ in found.values()]
    assert messages == ([] if said is None else messages)
    assert said is None or said in messages[0]
    if concurrency == 64 and said:
        assert "compiled for 27 requests" in next(iter(found.values()))[2]


def test_on_a_gpu_requests_that_do_not_fit_wait(tmp_path: Path) -> None:
    item = service("nvidia-l40s", app="vllm", contextLength=4096, concurrency=64)
    ((severity, message, _),) = told(compiled(tmp_path, LOCKED, models=[model()], services=[item])).values()
    assert severity is Severity.WARNING
    assert "requests of 4096 tokens fit" in message


POOLED = [{"name": "hub", "provider": "eks", "nodePools": "auto-mode"}]


@pytest.mark.parametrize(
    ("key", "refused"),
    [
        ("node.example.com/pool", True),
        ("karpenter.sh/nodepool", True),
        ("topology.kubernetes.io/zone", False),
        ("node.kubernetes.io/instance-type", False),
        ("eks.amazonaws.com/instance-size", False),
    ],
)
def test_a_label_that_no_node_of_our_pools_has(key: str, refused: bool, tmp_path: Path) -> None:
    item = service("nvidia-l4", app="vllm", contextLength=4096) | {"nodeSelector": {key: "a"}}
    found = told(compiled(tmp_path, clusters=POOLED, models=[model()], services=[item]))
    assert list(found) == ([f"services[0].nodeSelector.{key}"] if refused else [])
    without = told(compiled(tmp_path, models=[model()], services=[item]))
    assert without == {}


@pytest.mark.parametrize(
    ("count", "cpu", "memory", "fits"),
    [(1, "4", "16Gi", True), (1, "64", "16Gi", True), (8, "4", "700Gi", False), (16, "4", "16Gi", False)],
)
def test_a_worker_that_no_node_can_hold(count: int, cpu: str, memory: str, fits: bool, tmp_path: Path) -> None:
    item = service("nvidia-l4", app="vllm", accelerators=count, cpu=cpu, memory=memory, contextLength=4096)
    found = told(compiled(tmp_path, clusters=POOLED, models=[model()], services=[item]))
    assert list(found) == ([] if fits else ["services[0]"])


@pytest.mark.parametrize(
    ("limits", "node"),
    [
        ({"nvidia.com/gpu": "1", "cpu": "4", "memory": "16Gi"}, Node(1, 64, 256)),
        ({"nvidia.com/gpu": "1", "cpu": "64", "memory": "16Gi"}, Node(4, 96, 384)),
        ({"nvidia.com/gpu": "1", "cpu": "4", "memory": "230Gi"}, Node(4, 96, 384)),
        ({"nvidia.com/gpu": "5", "cpu": "4", "memory": "16Gi"}, Node(8, 192, 768)),
        ({"nvidia.com/gpu": "9", "cpu": "4", "memory": "16Gi"}, None),
    ],
)
def test_the_smallest_node(limits: dict[str, str], node: Node | None) -> None:
    assert devices.smallest(ACCELERATORS["nvidia-l4"], limits) == node


def test_gpus_are_asked_for_as_before(tmp_path: Path) -> None:
    item = service("nvidia-a10g", app="vllm", accelerators=2, contextLength=4096)
    (chat,) = plan_of(compiled(tmp_path, models=[model()], services=[item])).services
    (entry,) = yaml.safe_load(chat.serve_config)["applications"]
    (config,) = entry["args"]["llm_configs"]
    assert config.keys() == {"model_loading_config", "engine_kwargs", "deployment_config"}
    assert "ray_actor_options" not in config["deployment_config"]
    assert ACCELERATORS["nvidia-a10g"].ray == RAY_GPU
    assert set(MAKERS) == {"auto-mode", "karpenter"}


def test_the_table_for_people_is_the_table() -> None:
    lines = (Path(__file__).parents[2] / "docs" / "accelerators.md").read_text().splitlines()
    cells = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")
    ]
    assert [(c[0], c[2], c[3], c[4], c[5]) for c in cells] == [
        (row.name, f"{row.memory // GIB} GiB", row.resource, row.ray, ", ".join(row.families))
        for row in ACCELERATORS.values()
    ]
