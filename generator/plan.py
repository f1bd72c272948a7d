"""The Plan: everything resolved. Emitters see this and the assets, never the Spec; they decide no default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from generator.bundle import Bundle
from generator.shutdown import Shutdown


@dataclass(frozen=True, slots=True)
class Platform:
    """Facts of the whole repository."""

    prefix: str
    repo_url: str
    repo_revision: str
    root: str  # folder of the rendered tree inside the repository
    namespace: str
    argocd_namespace: str
    project: str
    notify: Notify
    backstage: Backstage | None
    monitoring: Monitoring | None
    parallel: int  # Workflows that stage at a time on a cluster


@dataclass(frozen=True, slots=True)
class Notify:
    """Who is told how staging ended; empty where nobody is."""

    sns_topic: str
    webhook_secret: str
    webhook_key: str


@dataclass(frozen=True, slots=True)
class Monitoring:
    """What the Prometheus operator of the clusters takes."""

    labels: Mapping[str, str]  # by which it selects rules and monitors
    namespace: str | None  # that alone may read metrics; None: every namespace
    dashboards: bool  # as ConfigMaps for Grafana's sidecar
    push_gateway: PushGateway | None


@dataclass(frozen=True, slots=True)
class PushGateway:
    """The Service of a Prometheus Pushgateway."""

    namespace: str
    service: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.service}.{self.namespace}.svc:{self.port}"


@dataclass(frozen=True, slots=True)
class Backstage:
    """What the software template needs; `text` is models.yaml as it was read."""

    owner: str
    scm: str  # github | gitlab
    repo: str  # RepoUrlPicker form: host?owner=o&repo=r
    catalogue: str  # path of models.yaml in the repository
    text: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster, or the clusters that a selector chooses."""

    name: str
    provider: str
    selector: Mapping[str, str]  # matchLabels of the cluster Secret
    destination: str  # Argo CD cluster name, `*` where a selector may choose several
    values: Mapping[str, str]  # stated instead of GitOps Bridge annotations
    services_by: str  # kro | helm
    gitops: str  # argocd | kubectl
    profile: str | None  # row of generator.profiles; None: as the services say
    key_vault: KeyVault | None
    node_pools: str | None  # auto-mode | karpenter; None: the platform's own
    addons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyVault:
    """An Azure Key Vault, and the workload identity that reads it."""

    name: str
    tenant: str
    client: str
    secrets: tuple[VaultSecret, ...]


@dataclass(frozen=True, slots=True)
class VaultSecret:
    """The key of a Secret that is made of a secret of the vault."""

    secret: str
    key: str
    object: str


@dataclass(frozen=True, slots=True)
class Token:
    """A key of a Secret that holds a Hub token."""

    secret: str
    key: str


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model; `digest` is `sha256:<64 hex>` or, for small files, the Hub's `git:<40 hex>` blob id."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model at one commit. Sizes in bytes; None is unknown, never a guess."""

    name: str
    title: str
    repo: str
    revision: str  # as asked
    commit: str
    cache: Cache
    clusters: tuple[str, ...]
    token: Token | None
    allow: tuple[str, ...]
    ignore: tuple[str, ...]
    license: str | None
    gated: bool | None
    size: int | None
    weights: int | None
    dtype: str | None
    parameters: int | None
    context_length: int | None
    files: tuple[File, ...] | None
    labels: Mapping[str, str]
    key: str  # bucket key prefix
    path: str  # folder that pods see
    refresh: Refresh | None
    load_test: bool
    compiled_for: tuple[str, ...]  # rows of catalog.ACCELERATORS


@dataclass(frozen=True, slots=True)
class Refresh:
    """When the Hub is looked at for a new commit, and on which branch."""

    schedule: str  # five fields of cron
    time_zone: str
    revision: str


@dataclass(frozen=True, slots=True)
class Region:
    """A region and its bucket."""

    region: str
    bucket: str


@dataclass(frozen=True, slots=True)
class Cache:
    """Where weights are staged. The classes below are the kinds."""

    name: str
    kind: str  # row of generator.caches


@dataclass(frozen=True, slots=True)
class Bucket(Cache):
    """An S3 bucket."""

    bucket: str | None  # None: <prefix>-ray-models-<account> of the cluster, or one of `regions`
    credentials: str  # driver | pod
    regions: tuple[Region, ...]  # the first is staged from the Hub, the others from the first; empty: one bucket
    server: S3Server | None  # None: AWS

    @property
    def of_cluster(self) -> bool:
        """Whether the bucket is named after the cluster."""
        return self.bucket is None and not self.regions


@dataclass(frozen=True, slots=True)
class S3Server:
    """An S3 server that is not AWS's, and the Secret with its credentials."""

    endpoint: str
    region: str
    secret: str


@dataclass(frozen=True, slots=True)
class Claims(Cache):
    """A PersistentVolumeClaim for each model and commit."""

    storage_class: str  # that the claims name: `made`, where there is one
    made: StorageClass | None
    access_mode: str
    size: str | None  # a Kubernetes quantity; None: from the lock


@dataclass(frozen=True, slots=True)
class StorageClass:
    """A class that the tree makes: that of the cluster, with Retain."""

    name: str
    provisioner: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Baked(Cache):
    """The images of services."""

    repository: str


@dataclass(frozen=True, slots=True)
class Prestage:
    """How one model is staged."""

    model: Model
    ways: Mapping[str, str]  # cluster -> row of generator.stagings; empty where nothing is staged on clusters
    image: str
    deadline: int  # seconds, of the whole run
    digest: str  # of all inputs but the cluster's own values
    plan: str  # canonical JSON that the program reads: source, commit, files


@dataclass(frozen=True, slots=True)
class Ingress:
    """The way in from outside of the cluster."""

    host: str
    class_name: str
    tls_secret: str | None
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Workers:
    """A worker group: one pod holds one replica of its largest application."""

    name: str
    accelerator: str | None  # row of catalog.ACCELERATORS
    image: str
    min: int
    max: int
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

    @property
    def autoscaled(self) -> bool:
        return any(group.max > group.min for group in self.groups)

    def group_of(self, application: Application) -> Workers:
        """The workers that the application runs on."""
        return next(group for group in self.groups if group.name == application.group)

    @property
    def accelerator(self) -> str | None:
        """Device of the first group that has one."""
        return next((group.accelerator for group in self.groups if group.accelerator), None)


BUCKET_SLOT = "@@modelyard-bucket@@"
"""Stands in `serve_config` where the bucket, known only on the cluster, goes; the chart replaces it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole repository."""

    platform: Platform
    clusters: tuple[Cluster, ...]
    models: tuple[Model, ...]
    prestages: tuple[Prestage, ...]
    services: tuple[Service, ...]
    bundles: tuple[Bundle, ...]
    images: Mapping[str, str]  # reference as used -> role, for the catalogue
    version: str  # of the generator

    def models_on(self, cluster: str) -> tuple[Prestage, ...]:
        return tuple(p for p in self.prestages if cluster in p.ways)

    def staged(self, cluster: str, way: str) -> tuple[Prestage, ...]:
        """What a row of generator.stagings has to do on a cluster."""
        return tuple(p for p in self.prestages if p.ways.get(cluster) == way)

    def services_on(self, cluster: str) -> tuple[Service, ...]:
        return tuple(s for s in self.services if cluster in s.clusters)
