"""Azure Kubernetes Service: the cluster with its node pools, the registry of its images, and its Key Vault.

One module, `aks-platform`, applied once per cluster. A registry or a vault that several clusters use is made with the
first of them; the others find it in that one's resource group.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from generator import naming
from generator.assets import Assets
from generator.catalog import ADDONS
from generator.emit.terraform.base import Terraform, prefix, static, variables_path
from generator.plan import Baked, Cluster, Plan, Service, Workers
from generator.providers import azure
from generator.yamlio import pretty_json

OPERATOR = "kuberay-operator"
GPU_TAINT = "nvidia.com/gpu=present:NoSchedule"
# By this label the chart of NVIDIA's device plugin finds its nodes.
GPU_LABEL = "nvidia.com/gpu.present"
# A change of a service runs the new Ray cluster beside the old one (KubeRay v1.7.0, NewCluster).
RAY_CLUSTERS = 2
# The system's share of a node's disk, and what Azure gives a node when nobody asks for more, in GB.
SYSTEM_DISK, LEAST_DISK, MOST_DISK = 64, 128, 2048
# An image is on the disk as it came and unpacked, and that of an update beside the one that still serves.
IMAGE_COPIES = 4
UNKNOWN_MODEL = 16 * 10**9  # bytes of a model that the lock does not know

REGISTRY = re.compile(r"([a-z0-9]{5,50})\.azurecr\.io")


@dataclass(frozen=True, slots=True)
class Sizing:
    """What a profile asks of Azure. Counts are of nodes; `zones` empty: Azure places the nodes."""

    sku_tier: str
    registry_sku: str
    system: str  # virtual machine of the system pool
    system_nodes: tuple[int, int]
    fewest: int  # nodes for what has no accelerator
    zones: tuple[str, ...]
    host_encryption: bool


# A cluster of no profile has what users need, an API server that is answered for among it, and neither zones, which
# not every region has, nor nodes that wait for the loss of one.
SIZES: Mapping[str | None, Sizing] = MappingProxyType(
    {
        None: Sizing("Standard", "Standard", "Standard_D4s_v5", (2, 3), 1, (), True),
        "development": Sizing("Free", "Basic", "Standard_D2s_v5", (1, 2), 1, (), False),
        "production": Sizing("Standard", "Premium", "Standard_D4s_v5", (3, 5), 3, ("1", "2", "3"), True),
    }
)


def emit(plan: Plan, assets: Assets, clusters: tuple[Cluster, ...]) -> Iterator[tuple[str, bytes]]:
    """The module `aks-platform`, and the variables of each cluster."""
    yield from static(assets, "aks")
    for cluster in clusters:
        yield variables_path(cluster.name), pretty_json(variables(plan, cluster))


def variables(plan: Plan, cluster: Cluster) -> dict[str, Any]:
    """Variables of `aks-platform` for one cluster."""
    sizing = SIZES[cluster.profile]
    services = plan.services_on(cluster.name)
    return {
        "cluster": cluster.name,
        "prefix": prefix(plan, cluster),
        "namespace": plan.platform.namespace,
        "sku_tier": sizing.sku_tier,
        "host_encryption_enabled": sizing.host_encryption,
        "os_disk_size_gb": disk(services),
        "drain_timeout_minutes": _drain(services),
        "system_pool": _pool(sizing.system, *sizing.system_nodes, zones=sizing.zones),
        "node_pools": dict(sorted(node_pools(services, sizing).items())),
        **_registries(plan, cluster, sizing),
        **_key_vault(plan, cluster),
        **_operator(cluster, services),
    }


def _clusters(plan: Plan) -> tuple[Cluster, ...]:
    return tuple(cluster for cluster in plan.clusters if cluster.provider == "aks")


def node_pools(services: Iterable[Service], sizing: Sizing) -> dict[str, dict[str, Any]]:
    """Name to variables: one pool for all pods without accelerator, and one per size of GPU nodes.

    The GPU pools have no zones, because many regions have such machines in one zone only; and no node before a pod
    waits for it.
    """
    services = tuple(services)
    groups = [group for service in services for group in service.groups]
    heads = [(service.head, 1) for service in services if service.runtime == "ray"]
    plain = heads + [(group.limits, group.max) for group in groups if group.accelerator is None]
    size = _holding([limits for limits, _ in plain])
    most = max(2 * sizing.fewest, RAY_CLUSTERS * azure.nodes(size, plain, None))
    return {"cpu": _pool(size.name, sizing.fewest, most, zones=sizing.zones), **_gpu_pools(groups)}


def _holding(pods: Iterable[Mapping[str, str]]) -> azure.Size:
    """The first size that holds each of the pods; checks saw to it that there is one."""
    found = [azure.smallest(limits, None) or azure.largest(None) for limits in pods]
    return max(found, key=azure.CPU_SIZES.index, default=azure.CPU_SIZES[0])


def _gpu_pools(groups: Iterable[Workers]) -> dict[str, dict[str, Any]]:
    using: dict[azure.Size, list[Workers]] = {}
    for group in groups:
        if group.accelerator is not None and not azure.unavailable(group.accelerator):
            size = azure.smallest(group.limits, group.accelerator) or azure.largest(group.accelerator)
            using.setdefault(size, []).append(group)
    return {size.pool: _gpu_pool(size, members) for size, members in using.items()}


def _gpu_pool(size: azure.Size, groups: list[Workers]) -> dict[str, Any]:
    accelerator = groups[0].accelerator or ""
    most = RAY_CLUSTERS * azure.nodes(size, ((group.limits, group.max) for group in groups), accelerator)
    labels = {naming.ACCELERATOR_LABEL: accelerator, GPU_LABEL: "true"}
    return _pool(size.name, 0, most) | {"labels": labels, "taints": [GPU_TAINT]}


def _pool(size: str, fewest: int, most: int, zones: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"vm_size": size, "min_count": fewest, "max_count": most, "zones": list(zones)}


def disk(services: Iterable[Service]) -> int:
    """GB of a node's disk: images with weights have to fit, twice."""
    baked = (service for service in services if isinstance(service.cache, Baked))
    largest = max((_weights(service) for service in baked), default=0)
    return min(MOST_DISK, max(LEAST_DISK, SYSTEM_DISK + -(-IMAGE_COPIES * largest // 10**9)))


def _weights(service: Service) -> int:
    models = {model.name: model for application in service.applications for model in application.models}
    return sum(UNKNOWN_MODEL if model.size is None else model.size for model in models.values())


def _drain(services: Iterable[Service]) -> int:
    """Minutes that an upgrade waits for a node to be empty: the longest grace of a pod, rounded up, and some more."""
    return max((-(-service.shutdown.grace // 60) for service in services), default=0) + 30


def _registries(plan: Plan, cluster: Cluster, sizing: Sizing) -> dict[str, Any]:
    """Registries of Azure among the images of the cluster: those that it is the first to use are made with it."""
    owner = {name: other for other in reversed(_clusters(plan)) for name in registries(plan, other)}
    used = registries(plan, cluster)
    return {
        "registries": [name for name in used if owner[name].name == cluster.name],
        "existing_registries": {
            name: resource_group(plan, owner[name]) for name in used if owner[name].name != cluster.name
        },
        "registry_sku": sizing.registry_sku,
    }


def registries(plan: Plan, cluster: Cluster) -> list[str]:
    """Names of the registries, from the images `<name>.azurecr.io/…` that pods on the cluster run."""
    services = plan.services_on(cluster.name)
    images = [image for service in services for image in (service.image, *(group.image for group in service.groups))]
    images += [service.cache.repository for service in services if isinstance(service.cache, Baked)]
    images += [prestage.image for prestage in plan.models_on(cluster.name)]
    found = (REGISTRY.fullmatch(image.partition("/")[0]) for image in images)
    return sorted({match[1] for match in found if match})


def resource_group(plan: Plan, cluster: Cluster) -> str:
    """Name of a cluster's resource group, as the module derives it."""
    return f"{prefix(plan, cluster)}-{cluster.name}"


def _key_vault(plan: Plan, cluster: Cluster) -> dict[str, Any]:
    vault = cluster.key_vault
    if vault is None:
        return {}
    owner = next(c for c in _clusters(plan) if c.key_vault is not None and c.key_vault.name == vault.name)
    elsewhere = {} if owner.name == cluster.name else {"key_vault_resource_group": resource_group(plan, owner)}
    return {
        "tenant_id": vault.tenant,
        "key_vault_name": vault.name,
        "key_vault_client_id": vault.client,
        **elsewhere,
        "service_accounts": sorted(naming.service_account(service.name) for service in plan.services_on(cluster.name)),
    }


def _operator(cluster: Cluster, services: Iterable[Service]) -> dict[str, Any]:
    """The KubeRay operator, where Argo CD does not install it."""
    row = ADDONS[OPERATOR]
    needed = any(service.runtime == "ray" for service in services)
    return {
        "install_kuberay_operator": needed and (cluster.gitops == "kubectl" or OPERATOR not in cluster.addons),
        "kuberay_operator": {
            "repository": row.repository,
            "chart": row.chart,
            "version": row.version,
            "namespace": cluster.operator_namespace,
            "release": row.release,
            "values": dict(row.values),
        },
    }


TERRAFORM = Terraform(
    title="The clusters, their registry and their vault",
    page="terraform/aks-platform/README.md",
    clusters=_clusters,
    emit=emit,
    brings=frozenset({"kuberay-operator"}),
)
