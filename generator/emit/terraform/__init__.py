"""`terraform/`: what the clouds have to have, per provider.

The modules are static files; only their variables are generated, as JSON, so no text becomes HCL. What the
catalogue cannot know (the account or subscription, the region) is a variable without a value: Terraform asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from generator.assets import Assets
from generator.emit.terraform import aks, eks
from generator.emit.terraform.base import Emitter
from generator.plan import Plan

PROVIDERS: Mapping[str, Emitter] = MappingProxyType({"aks": aks.emit, "eks": eks.emit})
"""Providers with Terraform of ours: a module and a row each."""


def emit(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """The modules of each provider among the clusters, and their variables."""
    for provider in sorted({cluster.provider for cluster in plan.clusters} & PROVIDERS.keys()):
        yield from PROVIDERS[provider](plan, assets)
