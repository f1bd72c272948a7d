"""One rehearsal from start to end: everything that it started is gone when it ends, whichever way."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from generator.errors import UserError
from generator.rehearse import asking, deployed, fitting, onkserve, onray, processes, raycluster, staging, standins
from generator.rehearse.asking import Answer, Question
from generator.rehearse.deployed import Deployed
from generator.rehearse.fitting import Change, Machine
from generator.rehearse.hub import Hub
from generator.rehearse.inference import Inference, inference, unfit
from generator.rehearse.served import Say, Served, Voice
from generator.rehearse.staging import Staged
from generator.rehearse.standins import StandIn
from generator.rehearse.work import Job, Work, named, narrowed, work
from generator.suggest import suggest

Task = Work | Inference
_TRANSLATES = "translation"  # the package whose models are not text generators


@dataclass(frozen=True, slots=True)
class Wanted:
    """The words on the command line. `folders` are model folders by model, "" for every other model."""

    tree: Path
    helm: str | None  # the program; only a cluster with Argo CD needs it
    prompt: str
    max_tokens: int
    patience: float  # seconds until every application has to run
    service: str | None = None
    cluster: str | None = None
    demo: str | None = None
    applications: tuple[str, ...] = ()  # of the service; empty: all that this machine can run
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
    """What a rehearsal has shown. `left` are applications that this machine cannot run, and why; for the rest see
    `Served`."""

    place: deployed.Place
    staged: tuple[Staged, ...]
    store: str
    ray: float | None
    running: float
    asked: tuple[Asked, ...]
    changes: tuple[Change, ...]
    facts: Mapping[str, str]
    left: Mapping[str, str]
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
        found, what, left = _chosen(wanted, machine)
        _tell(found, what, left, voice.say)
        stand_ins = _stand_ins(wanted, what, scratch, voice.say)
        shown = staging.folders(what.pods.mounts, scratch / "pod", scratch / staging.CLAIMS)
        store, staged = _staged(what, stand_ins, shown, scratch, voice.say)
        context = min((s.context for s in stand_ins.values() if s.context), default=None)
        codes = {path.name: path.absolute().as_uri() for path in wanted.tree.glob("serve/*.zip")}
        if isinstance(what, Inference):
            serving = onkserve.served(what, shown, scratch, context, wanted.patience, voice)
        else:
            serving = onray.served(what, machine, shown, codes, context, wanted.patience, voice)
        served = stack.enter_context(serving)
        asked = tuple(_asked(served, wanted, voice.say))
        times = served.ray, served.running
        yield Outcome(found.place, staged, store, *times, asked, served.changes, found.facts, left, served.alive)


def this_machine() -> Machine:
    """What is here."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpus = sum(path.name.removeprefix("nvidia").isdigit() for path in Path("/dev").glob("nvidia*"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(cores, gpus, importlib.util.find_spec("vllm") is not None, memory)


def _chosen(wanted: Wanted, machine: Machine) -> tuple[Deployed, Task, Mapping[str, str]]:
    """The service that was named, else the first one that this machine can run; and what of it is left out.

    Raises UserError.
    """
    places = deployed.chosen(deployed.places(wanted.tree), wanted.service, wanted.cluster, wanted.tree)
    faults: dict[str, str] = {}
    for place in places:
        found = deployed.deploy(wanted.tree, place, wanted.helm)
        what, left, fault = _part(found, machine, wanted.applications)
        if not fault:
            return found, what, left
        faults[place.service] = fault
    message = "; ".join(f"service `{service}` {fault}" for service, fault in faults.items())
    raise UserError.of(message, hint="name a service on CPUs, or rehearse on a machine that has what it takes")


def _part(found: Deployed, machine: Machine, names: Sequence[str]) -> tuple[Task, Mapping[str, str], str]:
    """What this machine can run of a service, what it leaves out and why, and why it can run nothing."""
    service = found.place.service
    if any(item["kind"] == "InferenceService" and item["metadata"]["name"] == service for item in found.objects):
        if names:
            message = f"--application: service `{service}` runs on KServe, which serves one application"
            raise UserError.of(message, hint="leave the option out")
        server = inference(found)
        return server, {}, unfit(server, machine)
    what = work(found)
    part = fitting.part(what.serve, machine, names)
    return narrowed(what, part.serve), part.left, part.fault


def _tell(found: Deployed, what: Task, left: Mapping[str, str], say: Say) -> None:
    facts = "".join(f", {name} {value}" for name, value in sorted(found.facts.items()))
    say(
        f"service {found.place.service} of cluster {found.place.cluster}" + (f", made up: {facts[2:]}" if facts else "")
    )
    for name, reason in left.items():
        say(f"without application {name}: it {reason}")
    if isinstance(what, Work) and what.ray_version not in ("", raycluster.version()):
        say(f"the cluster's image has Ray {what.ray_version}, this machine has {raycluster.version()}")


def _stand_ins(wanted: Wanted, what: Task, scratch: Path, say: Say) -> dict[str, StandIn]:
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


def _kind(what: Task, job: Job) -> str:
    """What the application that reads the Job's model wants."""
    if isinstance(what, Inference):
        return standins.CAUSAL  # the runtime has no other application
    readers = [item["import_path"] for item in what.serve["applications"] if named(item, job.path)]
    translates = any(str(path).startswith(_TRANSLATES) for path in readers)
    return standins.SEQ2SEQ if translates else standins.CAUSAL


def _staged(
    what: Task, stand_ins: Mapping[str, StandIn], shown: Mapping[str, str], scratch: Path, say: Say
) -> tuple[str, tuple[Staged, ...]]:
    """The store's name and what is visible below `shown`. Hub and S3 are gone afterwards: the pods have their copy."""
    staging.check_hub([job for job in what.jobs if job.name not in stand_ins])
    done = []
    with Hub() as hub, staging.store(what.jobs, scratch / "s3", say) as store:
        for job in what.jobs:
            stand_in = stand_ins.get(job.name)
            place = f", in place of {job.content['source']['huggingface']}" if stand_in else ""
            say(f"staging {job.model} into {store.name}" + (f": {stand_in.title}{place}" if stand_in else ""))
            done.append(staging.stage(job, stand_in, hub, store, shown, scratch / job.name, say))
        return store.name, tuple(done)


def _asked(served: Served, wanted: Wanted, say: Say) -> Iterator[Asked]:
    for one in served.applications:
        say(f"asking {one.name} at {one.url}")
        answer = asking.ask(one.name, one.kind, Question(one.url, wanted.prompt, wanted.max_tokens))
        yield Asked(one.name, one.url, answer, _load(asking.healthz(one.url)))


def _load(health: Mapping[str, object]) -> dict[str, float]:
    phases = health.get("load")
    return {str(k): float(v) for k, v in phases.items()} if isinstance(phases, Mapping) else {}
