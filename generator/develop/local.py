"""A service on a Ray of its own, on this machine: started once, given each version, ended."""

from __future__ import annotations

import importlib.metadata
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator import bundle
from generator.develop import models
from generator.develop.models import Placed
from generator.develop.version import Version, hasty
from generator.errors import UserError
from generator.quantities import gibibytes
from generator.rehearse import fitting, raycluster
from generator.rehearse.fitting import Fitted, Machine, Part
from generator.rehearse.raycluster import Ray
from generator.rehearse.served import Voice
from generator.rehearse.work import named

_ROOM = 4  # times what the service reserves: numbers for placement, and models.yaml may gain applications


@dataclass(frozen=True, slots=True)
class Wanted:
    """`patience`: seconds until a version has to run."""

    port: int
    models: models.Given
    patience: float
    machine: Machine


@dataclass(frozen=True, slots=True)
class Desk:
    """A Ray that takes versions, and the folder for what they need."""

    ray: Ray
    wanted: Wanted
    scratch: Path
    voice: Voice
    placed: dict[tuple[str, ...], Placed]  # by the models' paths: they hold still while code changes

    @property
    def url(self) -> str:
        return f"http://{fitting.LOOPBACK}:{self.wanted.port}"

    def check(self) -> None:
        """Raises UserError where Ray has ended."""
        raycluster.check_alive(self.ray)

    def deploy(self, version: Version) -> Mapping[str, str]:
        """Serves the version in place of the one before; route by application. Raises UserError."""
        fitted = fit(version, self.wanted, self.scratch, self.voice, self.placed)
        raycluster.deploy(self.ray, fitted.serve)
        names = [str(application["name"]) for application in fitted.serve["applications"]]
        voice = self.voice
        raycluster.wait_until_running(self.ray, names, self.wanted.patience, voice.say, voice.detail)
        return routes(fitted.serve["applications"])


@contextmanager
def started(first: Version, wanted: Wanted, voice: Voice) -> Iterator[Desk]:
    """Ray, with room for the version; it and its files are gone at the end. Raises UserError."""
    part = here(first, wanted.machine)
    for name, reason in part.left.items():
        voice.say(f"without application {name}: it {reason}")
    check_port(wanted.port)
    scratch = Path(tempfile.mkdtemp(prefix="modelyard-serve-"))
    try:
        placed: dict[tuple[str, ...], Placed] = {}
        fitted = fit(first, wanted, scratch, Voice(voice.say, lambda text: None), placed)
        cpus = fitted.cpus * _ROOM + wanted.machine.cores
        memory = fitted.memory * _ROOM + wanted.machine.memory
        if fitted.memory > wanted.machine.memory:
            needed, there = gibibytes(fitted.memory), gibibytes(wanted.machine.memory)
            voice.say(f"the replicas reserve {needed} of memory, this machine has {there}: it may not suffice")
        (scratch / "tmp").mkdir()
        environment = {"HOME": str(scratch), "TMPDIR": str(scratch / "tmp")}
        voice.say(f"starting Ray {raycluster.version()}")
        with raycluster.head(cpus, memory, environment) as ray:
            yield Desk(ray, wanted, scratch, voice, placed)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def here(version: Version, machine: Machine) -> Part:
    """What of the service this machine can run. Raises UserError where it is nothing."""
    found = fitting.part(version.serve, machine)
    if found.fault:
        hint = "--cluster CONTEXT serves it on a cluster that has what it takes"
        raise UserError.of(f"service `{version.service.name}` {found.fault}", hint=hint)
    return found


def check_port(port: int) -> None:
    """Raises UserError where somebody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection that has ended is nobody
        try:
            probe.bind((fitting.LOOPBACK, port))
        except OSError as error:
            message = f"port {port} cannot be used: {error.strerror}"
            raise UserError.of(message, hint="is it served already? else another one: --port PORT") from error


def fit(version: Version, wanted: Wanted, scratch: Path, voice: Voice, known: dict[tuple[str, ...], Placed]) -> Fitted:
    """serveConfigV2 of the version for this machine; its models and its code lie below `scratch` afterwards.

    `known` keeps the models.
    """
    part = here(version, wanted.machine)
    key = tuple(sorted(model.path for model in version.models.values() if named(part.serve, model.path)))
    if key not in known:
        known[key] = models.placed(version, part.serve, wanted.models, scratch, voice.say)
    placed = known[key]
    serve = with_code(version, part.serve, scratch / "code")
    fitted = fitting.fit(serve, wanted.machine, placed.folders, {}, wanted.port, placed.context)
    for change in fitted.changes:
        voice.detail(f"{change.path}: {change.was} -> {change.now} ({change.why})")
    return fitted


def with_code(version: Version, serve: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """`serve` with the working tree's code. Ray caches by URI: the digest is in the name."""
    applications = hasty(serve["applications"])
    if not version.files:
        return {**serve, "applications": applications}
    made = bundle.build(version.service.name, version.files)
    folder.mkdir(exist_ok=True)
    (folder / made.filename).write_bytes(made.zip)
    uri = (folder / made.filename).absolute().as_uri()
    return {**serve, "applications": [_working_dir(application, uri) for application in applications]}


def _working_dir(application: Mapping[str, Any], uri: str) -> dict[str, Any]:
    environment = dict(application.get("runtime_env", {}))
    if "working_dir" in environment:
        environment["working_dir"] = uri
    return {**application, "runtime_env": environment}


def routes(applications: list[dict[str, Any]]) -> dict[str, str]:
    """Where each application answers, below the address of the proxy."""
    return {str(a["name"]): str(a.get("route_prefix") or "/").rstrip("/") for a in applications}


def ray_differs(version: Version) -> str:
    """What to say where the service's image has another Ray than this machine; empty where it has the same."""
    there, here = version.service.ray_version, importlib.metadata.version("ray")
    return f"the cluster's image has Ray {there}, this machine has {here}" if there != here else ""
