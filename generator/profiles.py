"""Profiles of clusters: how large the same services are where people try things, and where users depend on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from generator.spec import Service
from generator.spec.application import Application, Replicas

HEAD: Mapping[str, str] = MappingProxyType({"cpu": "1", "memory": "4Gi"})
"""Requests and limits of a head pod without a profile."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Bounds of replicas, and what follows. `head` are requests and limits of the head pod."""

    name: str
    fewest: int  # replicas, where an application has any
    most: int | None
    head: Mapping[str, str]
    spread: str | None  # zone | host, where the service does not say


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        row.name: row
        for row in (
            Profile("development", fewest=0, most=1, head=MappingProxyType({"cpu": "1", "memory": "2Gi"}), spread=None),
            Profile(
                "production", fewest=2, most=None, head=MappingProxyType({"cpu": "2", "memory": "8Gi"}), spread="host"
            ),
        )
    }
)


def head(profile: str | None) -> Mapping[str, str]:
    return PROFILES[profile].head if profile else HEAD


def applied(service: Service, profile: str | None) -> Service:
    """The service as it is on clusters of the profile."""
    if profile is None:
        return service
    row = PROFILES[profile]
    changed = tuple(_application(application, row) for application in service.applications)
    return service.model_copy(update={"applications": changed, "spread": service.spread or row.spread})


def _application(application: Application, row: Profile) -> Application:
    """Scaling to nothing stays: who asks for it pays for no idle replica."""
    asked = application.replicas
    most = asked.max if row.most is None else min(asked.max, row.most)
    fewest = asked.min if asked.min == 0 else min(max(asked.min, row.fewest), row.most or 1000)
    return application.model_copy(update={"replicas": Replicas(min=fewest, max=max(fewest, most))})
