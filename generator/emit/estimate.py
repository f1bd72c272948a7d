"""What services request of a cluster: CPU, memory and devices, with the fewest and with the most replicas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from generator.plan import Cluster, Plan, Service
from generator.quantities import cores, in_bytes
from generator.runtimes import RUNTIMES


@dataclass(frozen=True, slots=True)
class Requests:
    """Sums: cores, bytes, and devices by row of catalog.ACCELERATORS."""

    cpu: float
    memory: int
    devices: Mapping[str, int]


def requests(plan: Plan, cluster: Cluster) -> tuple[Requests, Requests]:
    """Of all services on the cluster: at least, at most."""
    services = plan.services_on(cluster.name)
    return _sum(_pods(services, most=False)), _sum(_pods(services, most=True))


_Pods = tuple[Mapping[str, str], str | None, int]
"""Limits of a pod, its accelerator, and how many there are."""


def _pods(services: Iterable[Service], *, most: bool) -> Iterable[_Pods]:
    for service in services:
        for limits in RUNTIMES[service.runtime].beside(service):
            yield limits, None, 1
        for group in service.groups:
            yield group.limits, group.accelerator, group.max if most else group.min


def _sum(pods: Iterable[_Pods]) -> Requests:
    cpu, memory = 0.0, 0
    devices: dict[str, int] = {}
    for limits, accelerator, count in pods:
        cpu += count * cores(limits["cpu"])
        memory += count * in_bytes(limits["memory"])
        if accelerator is not None and count:
            each = next(int(amount) for name, amount in limits.items() if name not in ("cpu", "memory"))
            devices[accelerator] = devices.get(accelerator, 0) + count * each
    return Requests(cpu, memory, devices)
