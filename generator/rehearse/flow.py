"""One rehearsal from start to end: everything that it started is gone when it ends, whichever way."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from generator.errors import UserError
from generator.quantities import gibibytes
from generator.rehearse import asking, deployed, fitting, processes, raycluster, staging, standins
from generator.rehearse.asking import Answer, Question
from generator.rehearse.deployed import Deployed
from generator.rehearse.fitting import Change, Fitted, Machine
from generator.rehearse.hub import Hub
from generator.rehearse.staging import Staged
from generator.rehearse.standins import StandIn
from generator.rehearse.work import Job, Work, moved, named, work
from generator.suggest import suggest

_TRANSLATES = "translation"  # the package whose models are not text generators

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Voice:
    """`say` hears what happens, `detail` what only -v shows."""

    say: Say
    detail: Say


@dataclass(frozen=True, slots=True)
class Wanted:
    """The words on the command line. `folders` are model folders by model, "" for every other model."""

    tree: Path
    helm: str
    prompt: str
    max_tokens: int
    patience: float  # seconds until every application has to run
    service: str | None = None
    cluster: str | None = None
    demo: str | None = None
    folders: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """An application that was asked. `load` is what its replica says of its start, in seconds by phase."""

    name: str
    url: str
    answer: Answer
    load: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rehearsal has shown. `ray` and `running` are seconds until each was ready; `serving` tells of now."""

    place: deployed.Place
    staged: tuple[Staged, ...]
    store: str
    ray: float
    running: float
    asked: tuple[Asked, ...]
    changes: tuple[Change, ...]
    facts: Mapping[str, str]
    serving: Callable[[], bool]


@contextmanager
def rehearsed(wanted: Wanted, voice: Voice) -> Iterator[Outcome]:
    """The outcome, while the service still runs.

    Raises UserError; KeyboardInterrupt for SIGINT, SIGTERM and SIGHUP.
    """
    machine = this_machine()
    with processes.interruptible(), ExitStack() as stack:
        scratch = Path(tempfile.mkdtemp(prefix="modelyard-rehearsal-"))
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        found, what = _chosen(wanted, machine)
        _tell(found, what, machine, voice.say)
        stand_ins = _stand_ins(wanted, what, scratch, voice.say)
        shown = staging.folders(what.pods.mounts, scratch / "pod")
        store, staged = _staged(what, stand_ins, shown, scratch, voice.say)
        (port,) = processes.free_ports(1)
        context = min((s.context for s in stand_ins.values() if s.context), default=None)
        codes = {path.name: path.absolute().as_uri() for path in wanted.tree.glob("serve/*.zip")}
        fitted = fitting.fit(what, machine, shown, codes, port, context)
        _tell_changes(fitted, machine, voice)
        environment = {name: moved(value, shown) for name, value in what.pods.environment.items()}
        environment["TMPDIR"] = moved("/tmp", shown)  # noqa: S108  the pods'
        voice.say(f"starting Ray {raycluster.version()}")
        cpus = max(fitted.cpus, machine.cores)
        ray = stack.enter_context(raycluster.head(cpus, fitted.memory, environment))
        raycluster.deploy(ray, fitted.serve)
        names = [str(application["name"]) for application in fitted.serve["applications"]]
        voice.say(f"serving {', '.join(names)}")
        running = raycluster.wait_until_running(ray, names, wanted.patience, voice.say, voice.detail)
        asked = tuple(_asked(fitted, port, wanted, voice.say))
        yield Outcome(
            found.place,
            staged,
            store,
            ray.seconds,
            running,
            asked,
            fitted.changes,
            found.facts,
            lambda: ray.process.poll() is None,
        )


def this_machine() -> Machine:
    """What is here."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpus = sum(path.name.removeprefix("nvidia").isdigit() for path in Path("/dev").glob("nvidia*"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(cores, gpus, importlib.util.find_spec("vllm") is not None, memory)


def _chosen(wanted: Wanted, machine: Machine) -> tuple[Deployed, Work]:
    """The service that was named, else the first one that this machine can run. Raises UserError."""
    places = deployed.chosen(deployed.places(wanted.tree), wanted.service, wanted.cluster, wanted.tree)
    unfit: dict[str, str] = {}
    for place in places:
        found = deployed.deploy(wanted.tree, place, wanted.helm)
        what = work(found)
        fault = fitting.unfit(what.serve, machine)
        if not fault:
            return found, what
        unfit[place.service] = fault
    message = "; ".join(f"service `{service}` {fault}" for service, fault in unfit.items())
    raise UserError.of(message, hint="name a service on CPUs, or rehearse on a machine that has what it takes")


def _tell(found: Deployed, what: Work, machine: Machine, say: Say) -> None:
    facts = "".join(f", {name} {value}" for name, value in sorted(found.facts.items()))
    say(
        f"service {found.place.service} of cluster {found.place.cluster}" + (f", made up: {facts[2:]}" if facts else "")
    )
    if what.ray_version and what.ray_version != raycluster.version():
        say(f"the cluster's image has Ray {what.ray_version}, this machine has {raycluster.version()}")


def _tell_changes(fitted: Fitted, machine: Machine, voice: Voice) -> None:
    for change in fitted.changes:
        voice.detail(f"{change.path}: {change.was} -> {change.now} ({change.why})")
    if fitted.cpus > machine.cores:
        voice.say(
            f"the replicas reserve {fitted.cpus} cores, this machine has {machine.cores}: Ray is told it has enough"
        )
    if fitted.memory > machine.memory:
        needed, there = gibibytes(fitted.memory), gibibytes(machine.memory)
        voice.say(f"the replicas reserve {needed} of memory, this machine has {there}: it may not suffice")


def _stand_ins(wanted: Wanted, what: Work, scratch: Path, say: Say) -> dict[str, StandIn]:
    """What stands in for the model of each Job, by the Job's name; those that are missing come from the Hub."""
    models = {job.model for job in what.jobs}
    if unknown := sorted(set(wanted.folders) - models - {""}):
        message = f"--model-folder: service `{what.place.service}` has no model `{unknown[0]}`"
        raise UserError.of(message, hint=suggest(unknown[0], models))
    made: dict[Path | str, StandIn] = {}  # each is read once
    found = {}
    for job in what.jobs:
        folder = wanted.folders.get(job.model, wanted.folders.get(""))
        if folder is not None:
            found[job.name] = made[folder] = made.get(folder) or standins.of_folder(folder)
        elif wanted.demo:
            kind = _kind(what, job)
            found[job.name] = made[kind] = made.get(kind) or standins.demo(wanted.demo, kind, scratch, say)
    return found


def _kind(what: Work, job: Job) -> str:
    """What the application that reads the Job's model wants."""
    readers = [item["import_path"] for item in what.serve["applications"] if named(item, job.path)]
    translates = any(str(path).startswith(_TRANSLATES) for path in readers)
    return standins.SEQ2SEQ if translates else standins.CAUSAL


def _staged(
    what: Work, stand_ins: Mapping[str, StandIn], shown: Mapping[str, str], scratch: Path, say: Say
) -> tuple[str, tuple[Staged, ...]]:
    """The store's name and what is visible below `shown`. Hub and S3 are gone afterwards: the pods have their copy."""
    staging.check_hub([job for job in what.jobs if job.name not in stand_ins])
    done = []
    with Hub() as hub, staging.store(scratch / "s3", say) as store:
        for job in what.jobs:
            stand_in = stand_ins.get(job.name)
            place = f", in place of {job.content['source']['huggingface']}" if stand_in else ""
            say(f"staging {job.model} into {store.name}" + (f": {stand_in.title}{place}" if stand_in else ""))
            done.append(staging.stage(job, stand_in, hub, store, shown, scratch / job.name, say))
        return store.name, tuple(done)


def _asked(fitted: Fitted, port: int, wanted: Wanted, say: Say) -> Iterator[Asked]:
    for application in fitted.serve["applications"]:
        route = str(application.get("route_prefix") or "/").rstrip("/")
        url = f"http://{fitting.LOOPBACK}:{port}{route}"
        say(f"asking {application['name']} at {url or '/'}")
        answer = asking.ask(application, Question(url, wanted.prompt, wanted.max_tokens))
        yield Asked(str(application["name"]), url, answer, _load(asking.healthz(url)))


def _load(health: Mapping[str, object]) -> dict[str, float]:
    phases = health.get("load")
    return {str(k): float(v) for k, v in phases.items()} if isinstance(phases, Mapping) else {}
