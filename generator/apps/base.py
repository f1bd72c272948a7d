"""What an application row says of itself, and the parts of a Serve config that several rows write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from generator import naming
from generator.catalog import RAY_GPU, Accelerator
from generator.plan import Process

# The next requests wait at the replica, so that they join the batch at once; the ones after them in Serve's queue.
ONGOING_PER_SLOT = 2
# Beyond this many waiting requests the answer is 503: a backlog that grows helps nobody.
QUEUE_PER_SLOT = 4
BACKPRESSURE_SINCE = (2, 60)  # Ray 2.59 refuses `backpressure_config`
SLOWEST = 5  # tokens a second that an answer in work may be expected to make, when a replica has to end
SHORTEST_DRAIN, LONGEST_DRAIN = 20, 600  # seconds


@dataclass(frozen=True, slots=True)
class Served:
    """A model of an application. `path` is the folder that pods see, `weight` its share behind a router."""

    name: str
    path: str
    context_length: int | None
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Deployment:
    """One application of a service, resolved: what its row turns into an entry of serveConfigV2.

    `cpus` in cores and `memory` in bytes are those of one replica, lengths are in tokens; `working_dir` is the URI
    of the zip, empty without one. `models` are several for a router only. A replica has so many `accelerators`, of the
    kind `accelerator`; without it, it runs on CPUs. `group` is the worker group whose pods it has to be on, empty where
    there is one only.
    """

    name: str
    route: str
    models: tuple[Served, ...]
    working_dir: str
    min_replicas: int
    max_replicas: int
    cpus: float
    accelerators: int
    max_tokens: int
    concurrency: int
    memory: int | None = None
    dtype: str = "auto"
    kv_cache_tokens: int | None = None
    sticky: str | None = None
    prompt: str | None = None
    ray_version: str = "2.60.0"
    accelerator: Accelerator | None = None
    group: str = ""

    @property
    def model(self) -> Served:
        """The only model of an application that has one."""
        return self.models[0]


@dataclass(frozen=True, slots=True)
class Helper:
    """A deployment of an application that holds no model and stands beside those that do, on the same pods."""

    name: str
    replicas: int
    cpus: float  # cores of one replica
    memory: int  # bytes of one replica


@dataclass(frozen=True, slots=True)
class App:
    """A kind of application.

    `packages` are its folders under serving/, none when Ray brings the code; `image` maps "runs on an accelerator" to
    the role of its image (catalog.RAY_IMAGE_ROLES), where the accelerator has none of its own; `serve` makes its entry
    of `applications:`. Of the fields that not every application knows (`OWN_FIELDS`) it must have those in `needs` and
    may have those in `takes`. `alone` makes the program that it is without Ray, none where it needs Ray.
    `one_window`: prompt and answer share the context length. `suits_all`: serves any model that generates text, from
    the fields which a form asks for.
    """

    name: str
    packages: tuple[str, ...]
    image: Callable[[bool], str]
    needs_accelerator: bool
    max_accelerators: int
    serve: Callable[[Deployment], dict[str, Any]]
    alone: Callable[[Deployment], Process] | None = None
    needs: frozenset[str] = frozenset({"model"})
    takes: frozenset[str] = frozenset()
    helpers: tuple[Helper, ...] = ()
    one_window: bool = True
    suits_all: bool = True


OWN_FIELDS = ("model", "backends", "sticky", "prompt", "kv_cache_tokens")
"""Fields of an application in models.yaml that only some rows know."""


def entry(
    deployment: Deployment,
    package: str,
    env: Mapping[str, str],
    deployments: list[dict[str, Any]],
    args: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """An application of ours: the `app` of a package builds it from `args`, `env` is what all its deployments read."""
    return {
        "name": deployment.name,
        "route_prefix": deployment.route,
        "import_path": f"{package}.app:build",
        "runtime_env": {"working_dir": deployment.working_dir, "env_vars": {**env, "HF_HUB_OFFLINE": "1"}},
        **({"args": dict(args)} if args is not None else {}),
        "deployments": deployments,
    }


def replica(deployment: Deployment, name: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A deployment that holds a model; `env` joins what the application reads."""
    actor: dict[str, Any] = {"num_cpus": number(deployment.cpus), **devices(deployment)}
    if deployment.memory is not None:
        actor["memory"] = deployment.memory
    actor |= placed(deployment)
    if env is not None:
        actor["runtime_env"] = {"env_vars": dict(env)}
    return {
        "name": name,
        **scaling(deployment),
        "max_ongoing_requests": deployment.concurrency * ONGOING_PER_SLOT,
        **queue(deployment, deployment.concurrency * QUEUE_PER_SLOT),
        **lifetime(deployment),
        "ray_actor_options": actor,
    }


def helper(deployment: Deployment, row: Helper, user_config: Mapping[str, Any]) -> dict[str, Any]:
    """The deployment in front of the models. It takes all that they can: they say when it is too much."""
    models = len(deployment.models) * deployment.max_replicas
    return {
        "name": row.name,
        "num_replicas": row.replicas,
        "max_ongoing_requests": deployment.concurrency * (models * ONGOING_PER_SLOT + QUEUE_PER_SLOT),
        **queue(deployment, deployment.concurrency * QUEUE_PER_SLOT),
        "user_config": dict(user_config),
        **lifetime(deployment),
        "ray_actor_options": {"num_cpus": number(row.cpus), "memory": row.memory, **placed(deployment)},
    }


def queue(deployment: Deployment, most: int) -> dict[str, Any]:
    """How many requests may wait, and what the ones after them are told; a Ray that cannot say it answers 503 too."""
    told = {"backpressure_config": {"status_code": 503, "retry_after_s": 1}}
    new = tuple(map(int, deployment.ray_version.split(".")[:2])) >= BACKPRESSURE_SINCE
    return {"max_queued_requests": most, **(told if new else {})}


def lifetime(deployment: Deployment) -> dict[str, Any]:
    """A replica that ends finishes its longest answer first; health checks wait longer than a step of a busy one."""
    return {
        "graceful_shutdown_timeout_s": drain(deployment.max_tokens),
        "health_check_period_s": 10,
        "health_check_timeout_s": 30,
    }


def drain(max_tokens: int) -> int:
    """Seconds for the answers that are in work."""
    return min(max(-(-max_tokens // SLOWEST), SHORTEST_DRAIN), LONGEST_DRAIN)


def scaling(deployment: Deployment) -> dict[str, Any]:
    """Replica count or autoscaling, with the field names of Ray 2.60 (an int beside autoscaling_config is refused)."""
    if deployment.max_replicas == deployment.min_replicas:
        return {"num_replicas": deployment.min_replicas}
    return {
        "autoscaling_config": {
            "min_replicas": deployment.min_replicas,
            "max_replicas": deployment.max_replicas,
            "target_ongoing_requests": max(1, deployment.concurrency // 2),
        }
    }


def environment(deployment: Deployment) -> dict[str, str]:
    """What every replica with a model reads (serving/text_generation/settings.py), but for the model itself."""
    values = {
        "MAX_TOKENS": str(deployment.max_tokens),
        "CONCURRENCY": str(deployment.concurrency),
        "OMP_NUM_THREADS": str(max(1, int(deployment.cpus))),
    }
    if deployment.kv_cache_tokens is not None:
        values["KV_CACHE_TOKENS"] = str(deployment.kv_cache_tokens)
    if deployment.dtype != "auto":
        values["DTYPE"] = deployment.dtype
    return values


def model_environment(model: Served) -> dict[str, str]:
    """What a replica reads of its own model."""
    values = {"MODEL_ID": model.path, "MODEL_NAME": model.name}
    if model.context_length is not None:
        values["CONTEXT_LENGTH"] = str(model.context_length)
    return values


def devices(deployment: Deployment) -> dict[str, Any]:
    """How an actor asks for the devices of a replica."""
    if deployment.accelerator is None:
        return {}
    if deployment.accelerator.ray == RAY_GPU:
        return {"num_gpus": deployment.accelerators}
    return {"resources": {deployment.accelerator.ray: deployment.accelerators}}


def placed(deployment: Deployment) -> dict[str, Any]:
    """How an actor asks for the pods of its group: KubeRay makes Ray labels of a group's `labels` (1.5 and later)."""
    return {"label_selector": selector(deployment)} if deployment.group else {}


def selector(deployment: Deployment) -> dict[str, str]:
    """Ray labels of its group; Ray 2.60 takes keys with a prefix as Kubernetes does (ray/_private/label_utils.py)."""
    return {naming.GROUP_LABEL: deployment.group}


def image_role(app: App, accelerator: Accelerator | None) -> str:
    """Field of `platform.images` that such a replica runs."""
    own = accelerator.image if accelerator is not None else None
    return own or app.image(accelerator is not None)


def ray_image(accelerated: bool) -> str:
    """Role of the image that runs our applications."""
    return "gpu" if accelerated else "cpu"


def number(value: float) -> float | int:
    """`2.0` as `2`: both mean the same to Ray, one reads better."""
    return int(value) if value == int(value) else value
