"""How large a service's worker pods are: one holds a replica of the largest application, and all helpers."""

from __future__ import annotations

from generator import memory
from generator.apps import APPS
from generator.catalog import ACCELERATORS, DEFAULT_REPLICA_MEMORY
from generator.lock import Lock
from generator.quantities import cores, gibibytes, in_bytes
from generator.spec import Application, Service


def limits(service: Service, lock: Lock) -> dict[str, str]:
    """Resources of one pod, Kubernetes quantities.

    What stands in front of the models (`App.helpers`) is on the same pods: each has room for all of it, so that a
    replica finds its place wherever the others went.
    """
    accelerator = ACCELERATORS.get(service.accelerator or "")
    helpers = [helper for a in service.applications for helper in APPS[a.app].helpers]
    cpus = max(cores(a.cpu) for a in service.applications) + sum(h.cpus * h.replicas for h in helpers)
    beside = sum(h.memory * h.replicas for h in helpers)
    largest = max((replica_memory(service, a, lock) for a in service.applications), key=in_bytes)
    found = {
        "cpu": str(-(-int(cpus * 1000) // 1000)),
        "memory": gibibytes(in_bytes(largest) + beside) if beside else largest,
    }
    if accelerator is not None:
        found[accelerator.resource] = str(max(a.accelerators for a in service.applications))
    return found


def replica_memory(service: Service, application: Application, lock: Lock) -> str:
    """Host memory of a replica: that of the largest model."""
    if application.memory is not None:
        return application.memory
    on_host = service.accelerator is None
    needed = [memory.needed(application, lock.models.get(name), on_host=on_host) for name in application.models]
    return DEFAULT_REPLICA_MEMORY if None in needed else gibibytes(max(n for n in needed if n is not None))
