"""`nodepools/`: a NodePool for each accelerator that services use, on clusters with `nodePools`.

A pool makes nodes for its accelerator alone: tainted, so that other pods stay away, and labelled, so that workers find
the kind that they were sized for. Written for karpenter.sh/v1, which EKS Auto Mode and Karpenter share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from generator import devices, naming
from generator.assets import Assets
from generator.catalog import ACCELERATORS, Accelerator
from generator.plan import Cluster, Plan, Workers
from generator.yamlio import dump_all

FOLDER = "nodepools"
KINDS = (("karpenter.sh", "NodePool"),)
"""Cluster-scoped (group, kind)."""

# An update of a RayService runs the new Ray cluster beside the old one (KubeRay v1.7.0, NewCluster).
RAY_CLUSTERS = 2
# A replica that comes back soon finds its node, and the image on it.
IDLE = "10m"
# The longest that a worker may take to end (graceSeconds of our charts): Karpenter kills what is left after it.
DRAIN = "2h"
# Not spot, which AWS takes back with two minutes' notice; capacity that is reserved already comes first.
CAPACITY = ("reserved", "on-demand")


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes nodes: group and kind of its classes of nodes, and how long a node may live.

    The group is the domain of its labels, too.
    """

    group: str
    kind: str
    lifetime: str


# Auto Mode ends a node after 21 days whatever a pool says, so it is drained before (EKS user guide, Auto Mode managed
# instances); 720h is Karpenter's default.
MAKERS: Mapping[str, Maker] = MappingProxyType(
    {
        "auto-mode": Maker("eks.amazonaws.com", "NodeClass", "480h"),
        "karpenter": Maker("karpenter.k8s.aws", "EC2NodeClass", "720h"),
    }
)
NODE_CLASS = "default"


def emit(plan: Plan, assets: Assets) -> Iterator[tuple[str, bytes]]:
    """A file for each cluster whose nodes are ours to ask for."""
    for cluster in clusters_with_pools(plan):
        yield f"{FOLDER}/{cluster.name}.yaml", dump_all(_pools(plan, cluster))


def clusters_with_pools(plan: Plan) -> tuple[Cluster, ...]:
    """The clusters that get the folder."""
    return tuple(c for c in plan.clusters if c.node_pools is not None and _groups(plan, c))


def include(entry: str) -> str:
    """Pattern of the file for the cluster that `entry` names."""
    return f"{entry}.yaml"


def _pools(plan: Plan, cluster: Cluster) -> Iterator[dict[str, Any]]:
    maker = MAKERS[cluster.node_pools or ""]
    using: dict[str, list[Workers]] = {}
    for group in _groups(plan, cluster):
        using.setdefault(str(group.accelerator), []).append(group)
    for name in sorted(using):
        yield _pool(ACCELERATORS[name], maker, most(ACCELERATORS[name], using[name]))


def _groups(plan: Plan, cluster: Cluster) -> list[Workers]:
    """The worker groups with a device."""
    groups = (group for service in plan.services_on(cluster.name) for group in service.groups)
    return [group for group in groups if group.accelerator is not None]


def most(accelerator: Accelerator, groups: list[Workers]) -> int:
    """Bound of a pool, in units of `accelerator.bound`.

    For each worker that there may be, the whole of the smallest node that holds it; and all of that twice, for an
    update of every service at a time.
    """
    _, per_unit = accelerator.bound
    devices_wanted = sum(group.max * _node_devices(accelerator, group) for group in groups)
    return RAY_CLUSTERS * -(-devices_wanted // per_unit)


def _node_devices(accelerator: Accelerator, group: Workers) -> int:
    # Checks saw to it that there is a node.
    node = devices.smallest(accelerator, group.limits) or accelerator.nodes[-1]
    return node.devices


def _pool(accelerator: Accelerator, maker: Maker, limit: int) -> dict[str, Any]:
    name = naming.node_pool(accelerator.name)
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": name, "labels": dict(naming.labels("node-pool", name))},
        "spec": {
            "template": {
                "metadata": {"labels": {naming.ACCELERATOR_LABEL: accelerator.name}},
                "spec": {
                    "nodeClassRef": {"group": maker.group, "kind": maker.kind, "name": NODE_CLASS},
                    "requirements": _requirements(accelerator, maker),
                    "taints": [{"key": accelerator.toleration, "effect": "NoSchedule"}],
                    "expireAfter": maker.lifetime,
                    "terminationGracePeriod": DRAIN,
                },
            },
            "limits": {accelerator.bound[0]: str(limit)},
            "disruption": _disruption(),
        },
    }


def _requirements(accelerator: Accelerator, maker: Maker) -> list[dict[str, Any]]:
    wanted = (
        (f"{maker.group}/instance-family", accelerator.families),
        ("kubernetes.io/arch", (accelerator.architecture,)),
        ("kubernetes.io/os", ("linux",)),
        ("karpenter.sh/capacity-type", CAPACITY),
    )
    return [{"key": key, "operator": "In", "values": list(values)} for key, values in wanted]


def _disruption() -> dict[str, Any]:
    """A node with a replica is not emptied to save money, and one at a time for a new image of the node."""
    return {
        "consolidationPolicy": "WhenEmpty",
        "consolidateAfter": IDLE,
        "budgets": [{"nodes": "100%", "reasons": ["Empty"]}, {"nodes": "1", "reasons": ["Drifted", "Underutilized"]}],
    }
