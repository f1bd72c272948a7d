"""`terraform/`: what the clouds have to have, per provider.

The modules are static files; only their variables are generated, as JSON, so no text becomes HCL. What the
catalogue cannot know (the account or subscription, the region) is a variable without a value: Terraform asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from generator.assets import Assets
from generator.emit.terraform import aks, eks
from generator.emit.terraform.base import Terraform
from generator.plan import Cluster, Plan

PROVIDERS: Mapping[str, Terraform] = MappingProxyType({"aks": aks.TERRAFORM, "eks": eks.TERRAFORM})
"""Providers with Terraform of ours: a module and a row each."""


def used(plan: Plan) -> tuple[Terraform, ...]:
    """The rows that some cluster needs."""
    return tuple(row for _, row in sorted(PROVIDERS.items()) if row.clusters(plan))


def brings(cluster: Cluster, addon: str) -> bool:
    """Whether Terraform installs the add-on where Argo CD does not."""
    return cluster.provider in PROVIDERS and addon in PROVIDERS[cluster.provider].brings


def emit(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """The modules of each provider that needs some, and their variables."""
    for row in used(plan):
        yield from row.emit(plan, assets, row.clusters(plan))
