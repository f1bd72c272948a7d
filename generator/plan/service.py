"""Services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from generator.bundle import Bundle
from generator.plan.cache import Cache
from generator.plan.model import Model
from generator.shutdown import Shutdown


@dataclass(frozen=True, slots=True)
class Ingress:
    """The way in from outside of the cluster."""

    host: str
    class_name: str
    tls_secret: str | None
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """A Service of its own for requests from outside. `annotations` are those that models.yaml has."""

    scope: str  # internal | public
    source_ranges: tuple[str, ...]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """Options of Ray's autoscaler."""

    idle_seconds: int
    upscaling: str  # default | aggressive | conservative


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What a change of the Ray cluster does."""

    strategy: str  # new-cluster | incremental | none
    gateway_class: str | None
    step_percent: int
    interval_seconds: int
    surge_percent: int


@dataclass(frozen=True, slots=True)
class FaultTolerance:
    """The Redis server that keeps Ray's control store."""

    redis: str
    username: str | None
    password_secret: str | None
    password_key: str


@dataclass(frozen=True, slots=True)
class Workers:
    """A worker group: one pod holds one replica of its largest application."""

    name: str
    accelerator: str | None  # row of catalog.ACCELERATORS
    image: str
    min: int
    max: int
    busy: int  # pods that hold a replica for certain; one without is never Ready
    limits: Mapping[str, str]  # Kubernetes quantities, requests are the same
    node_selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, str], ...]  # as a pod has them


@dataclass(frozen=True, slots=True)
class Application:
    """What answers behind one route, as the catalogue and Backstage show it."""

    name: str
    models: tuple[Model, ...]  # several behind a router
    weights: tuple[int, ...]  # of a router's models, empty for others
    app: str  # row of generator.apps
    route: str
    min_replicas: int  # of each model
    max_replicas: int  # of each model
    accelerators: int
    group: str  # name of its worker group


@dataclass(frozen=True, slots=True)
class Process:
    """An application as a program of its own, without Ray: one model, one port."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    health: str  # path that answers 200 when requests can come
    drain: int  # seconds for the answers in work
    shares: bool  # whether its processes share tensors, in /dev/shm


@dataclass(frozen=True, slots=True)
class Service:
    """One service, as it is on `clusters`; where profiles differ there are several of one name."""

    name: str
    title: str
    clusters: tuple[str, ...]
    image: str
    ray_version: str
    runtime: str  # row of generator.runtimes
    applications: tuple[Application, ...]
    groups: tuple[Workers, ...]
    head: Mapping[str, str]  # limits of the head pod
    shutdown: Shutdown
    serve_config: str  # YAML text of serveConfigV2; `BUCKET_SLOT` stands for the cluster's bucket
    code: Bundle | None  # None where Ray brings the code of every application
    code_by: str  # config-map | s3 | url
    cache: Cache
    capacity: str  # of the PersistentVolume, a Kubernetes quantity
    ingress: Ingress | None
    load_balancer: LoadBalancer | None
    autoscaler: Autoscaler
    upgrade: Upgrade | None
    fault_tolerance: FaultTolerance | None
    auth_secret: str | None
    priority_class: str | None
    queue: str | None  # LocalQueue of Kueue
    spread: str | None  # zone | host
    code_url: str | None = None  # folder of the zip, for `code_by` url
    process: Process | None = None  # its only application, where the runtime runs it without Ray

    @property
    def autoscaled(self) -> bool:
        """Whether Ray's autoscaler runs: an incremental upgrade needs it, too (KubeRay v1.7.0 validation.go)."""
        step_by_step = self.upgrade is not None and self.upgrade.strategy == "incremental"
        return step_by_step or any(group.max > group.min for group in self.groups)

    def group_of(self, application: Application) -> Workers:
        """The workers that the application runs on."""
        return next(group for group in self.groups if group.name == application.group)

    @property
    def accelerator(self) -> str | None:
        """Device of the first group that has one."""
        return next((group.accelerator for group in self.groups if group.accelerator), None)


BUCKET_SLOT = "@@modelyard-bucket@@"
"""Stands in `serve_config` where the bucket, known only on the cluster, goes; the chart replaces it."""
