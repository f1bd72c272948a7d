"""The Plan: everything resolved. Emitters see this and the assets, never the Spec; they decide no default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from generator.bundle import Bundle
from generator.plan.cache import Baked, Bucket, Cache, Claims, Region, S3Server, StorageClass
from generator.plan.cluster import Cluster, KeyVault, VaultSecret
from generator.plan.model import File, Image, Model, Prestage, Refresh, Token
from generator.plan.platform import Backstage, Monitoring, Notify, Platform, PushGateway
from generator.plan.service import (
    BUCKET_SLOT,
    Application,
    Autoscaler,
    FaultTolerance,
    Ingress,
    LoadBalancer,
    Process,
    Service,
    Upgrade,
    Workers,
)


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
    baked: tuple[Image, ...] = ()  # images with models inside, sorted by service and target

    def models_on(self, cluster: str) -> tuple[Prestage, ...]:
        return tuple(p for p in self.prestages if cluster in p.ways)

    def staged(self, cluster: str, way: str) -> tuple[Prestage, ...]:
        """What a row of generator.stagings has to do on a cluster."""
        return tuple(p for p in self.prestages if p.ways.get(cluster) == way)

    @property
    def named(self) -> tuple[Service, ...]:
        """One service of each name: what does not depend on a profile."""
        return tuple({service.name: service for service in reversed(self.services)}.values())[::-1]

    def services_on(self, cluster: str) -> tuple[Service, ...]:
        return tuple(s for s in self.services if cluster in s.clusters)


__all__ = [
    "BUCKET_SLOT",
    "Application",
    "Autoscaler",
    "Backstage",
    "Baked",
    "Bucket",
    "Cache",
    "Claims",
    "Cluster",
    "FaultTolerance",
    "File",
    "Image",
    "Ingress",
    "KeyVault",
    "LoadBalancer",
    "Model",
    "Monitoring",
    "Notify",
    "Plan",
    "Platform",
    "Prestage",
    "Process",
    "PushGateway",
    "Refresh",
    "Region",
    "S3Server",
    "Service",
    "StorageClass",
    "Token",
    "Upgrade",
    "VaultSecret",
    "Workers",
]
