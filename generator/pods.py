"""How large worker pods are: one holds a replica of the largest application of its group, and all helpers."""

from __future__ import annotations

from generator import memory
from generator.apps import APPS
from generator.catalog import DEFAULT_REPLICA_MEMORY
from generator.lock import Lock
from generator.quantities import cores, gibibytes, in_bytes
from generator.spec import Application, Service
from generator.spec.raycluster import WorkerGroup
from generator.workers import applications_on, device, on_host


def limits(service: Service, group: WorkerGroup, lock: Lock) -> dict[str, str]:
    """Resources of one pod of a group that has applications, Kubernetes quantities.

    What stands in front of the models (`App.helpers`) is on the same pods: each has room for all of it, so that a
    replica finds its place wherever the others went.
    """
    accelerator, applications = device(group), applications_on(service, group)
    helpers = [helper for a in applications for helper in APPS[a.app].helpers]
    cpus = max(cores(a.cpu) for a in applications) + sum(h.cpus * h.replicas for h in helpers)
    beside = sum(h.memory * h.replicas for h in helpers)
    largest = max((replica_memory(service, a, lock) for a in applications), key=in_bytes)
    found = {
        "cpu": str(-(-int(cpus * 1000) // 1000)),
        "memory": gibibytes(in_bytes(largest) + beside) if beside else largest,
    }
    if accelerator is not None:
        found[accelerator.resource] = str(max(a.accelerators for a in applications))
    return found


def busy(service: Service, group: WorkerGroup, lock: Lock) -> int:
    """Pods of the group that its fewest replicas fill at least, however well Ray packs them.

    A bound from below: on accelerators only these count, for what ray.serve.llm asks of CPUs is its own to say.
    """
    there, accelerator = limits(service, group, lock), device(group)
    fewest = [(a, a.replicas.min * len(a.models)) for a in applications_on(service, group)]
    if accelerator is not None:
        return _filled(sum(a.accelerators * count for a, count in fewest), int(there[accelerator.resource]))
    cpus = sum(int(cores(a.cpu) * 1000) * count for a, count in fewest)
    held = sum(in_bytes(replica_memory(service, a, lock)) * count for a, count in fewest)
    return max(_filled(cpus, int(there["cpu"]) * 1000), _filled(held, in_bytes(there["memory"])))


def _filled(asked: int, each: int) -> int:
    return -(-asked // each)


def replica_memory(service: Service, application: Application, lock: Lock) -> str:
    """Host memory of a replica: that of the largest model."""
    if application.memory is not None:
        return application.memory
    host = on_host(service, application)
    needed = [memory.needed(application, lock.models.get(name), on_host=host) for name in application.models]
    known = [size for size in needed if size is not None]
    return gibibytes(max(known)) if known and len(known) == len(needed) else DEFAULT_REPLICA_MEMORY
