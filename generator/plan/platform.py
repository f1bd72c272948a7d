"""Facts of the whole repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
