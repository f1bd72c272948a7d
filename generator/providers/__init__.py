"""The providers of clusters: a module and a row each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from generator.providers import aks, eks, kubernetes, openshift
from generator.providers.base import Provider

PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    {row.name: row for row in (eks.PROVIDER, aks.PROVIDER, openshift.PROVIDER, kubernetes.PROVIDER)}
)

__all__ = ["PROVIDERS", "Provider"]
