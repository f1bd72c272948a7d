"""What the modules of all providers have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from generator.assets import Assets
from generator.plan import Cluster, Plan

Emitter = Callable[[Plan, Assets], Iterator[tuple[str, bytes]]]

SOURCE = "chart-templates/terraform"
STATIC = (".tf", ".md")  # a checkout in which somebody ran Terraform holds more


def static(assets: Assets, provider: str) -> Iterator[tuple[str, bytes]]:
    """The static files of a provider, at their places below `terraform/`."""
    for name, content in assets.files(f"{SOURCE}/{provider}"):
        if name.endswith(STATIC):
            yield f"terraform/{name}", content


def variables_path(name: str) -> str:
    """Where the variables of a cluster, or of a module that all share, stand."""
    return f"terraform/{name}.tfvars.json"


def prefix(plan: Plan, cluster: Cluster) -> str:
    """Prefix of cloud resources: the cluster's own one first."""
    return cluster.values.get("resource_prefix", plan.platform.prefix)


def agreed(values: Iterable[str | None]) -> str | None:
    """The one value that all have, None where they differ."""
    different = set(values)
    return different.pop() if len(different) == 1 else None
