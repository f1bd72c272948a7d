"""A service of Ray on this machine: a Ray of its own that gets the tree's Serve configuration, fitted to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from generator.quantities import gibibytes
from generator.rehearse import fitting, processes, raycluster
from generator.rehearse.fitting import Fitted, Machine
from generator.rehearse.served import Answering, Served, Voice
from generator.rehearse.work import Work, moved


@contextmanager
def served(
    what: Work,
    machine: Machine,
    shown: Mapping[str, str],
    codes: Mapping[str, str],
    context: int | None,
    patience: float,
    voice: Voice,
) -> Iterator[Served]:
    """What answers, while it does. For the arguments see `fitting.fit`; `patience` in seconds. Raises UserError."""
    (port,) = processes.free_ports(1)
    fitted = fitting.fit(what.serve, machine, shown, codes, port, context)
    _tell(fitted, machine, voice)
    environment = {name: moved(value, shown) for name, value in what.pods.environment.items()}
    environment["TMPDIR"] = moved("/tmp", shown)  # noqa: S108  the pods'
    voice.say(f"starting Ray {raycluster.version()}")
    with raycluster.head(max(fitted.cpus, machine.cores), fitted.memory, environment) as ray:
        raycluster.deploy(ray, fitted.serve)
        names = [str(application["name"]) for application in fitted.serve["applications"]]
        voice.say(f"serving {', '.join(names)}")
        running = raycluster.wait_until_running(ray, names, patience, voice.say, voice.detail)
        answering = tuple(
            Answering(
                str(application["name"]),
                str(application["import_path"]),
                f"http://{fitting.LOOPBACK}:{port}{str(application.get('route_prefix') or '/').rstrip('/')}",
            )
            for application in fitted.serve["applications"]
        )
        yield Served(answering, ray.seconds, running, fitted.changes, lambda: ray.process.poll() is None)


def _tell(fitted: Fitted, machine: Machine, voice: Voice) -> None:
    if fitted.cpus > machine.cores:
        voice.say(
            f"the replicas reserve {fitted.cpus} cores, this machine has {machine.cores}: Ray is told it has enough"
        )
    if fitted.memory > machine.memory:
        needed, there = gibibytes(fitted.memory), gibibytes(machine.memory)
        voice.say(f"the replicas reserve {needed} of memory, this machine has {there}: it may not suffice")
    for change in fitted.changes:
        voice.detail(f"{change.path}: {change.was} -> {change.now} ({change.why})")
