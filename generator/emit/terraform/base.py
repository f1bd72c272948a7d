"""What the modules of all providers have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from generator.assets import Assets
from generator.plan import Cluster, Plan

SOURCE = "chart-templates/terraform"
STATIC = (".tf", ".md")  # a checkout in which somebody ran Terraform holds more


@dataclass(frozen=True, slots=True)
class Terraform:
    """The modules of a provider. `title` and `page` are for people, `page` in the rendered tree.

    `clusters` are those that need it; `emit` makes its files for them. `brings` are rows of catalog.ADDONS that it
    installs where Argo CD does not.
    """

    title: str
    page: str
    clusters: Callable[[Plan], tuple[Cluster, ...]]
    emit: Callable[[Plan, Assets, tuple[Cluster, ...]], Iterator[tuple[str, bytes]]]
    brings: frozenset[str] = frozenset()


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
