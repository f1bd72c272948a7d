"""What the cluster would run for a service of KServe: Jobs that stage, what waits for them, the server. Pure.

The claim is where KServe's webhook mounts it (v0.20.0, storage_initializer_injector.go): read-only at /mnt/models, with
the folder of `storageUri: pvc://claim/folder` as its subPath.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from generator.deployed import Object
from generator.errors import UserError
from generator.rehearse.deployed import Deployed, Place
from generator.rehearse.fitting import LOOPBACK, Change, Machine
from generator.rehearse.pods import Claim, Container, Mount, container, one
from generator.rehearse.work import Job, jobs, moved

MODELS = "/mnt/models"
_SCHEME = "pvc://"
_CONTEXT = "CONTEXT_LENGTH"


@dataclass(frozen=True, slots=True)
class Inference:
    """One service: the Jobs that stage its model, the init containers, the server.

    `devices` are the resources of the server that are no CPU and no memory; `health` is the path that answers 200 when
    it is ready.
    """

    place: Place
    jobs: tuple[Job, ...]
    waits: tuple[Container, ...]
    pods: Container
    devices: tuple[str, ...]
    health: str

    @property
    def module(self) -> str:
        """Python module of the server; empty where it is another program."""
        return _after(self.pods.words, "-m")

    @property
    def route(self) -> str:
        """Path prefix without a slash at its end."""
        return _after(self.pods.words, "--route").rstrip("/")


def inference(deployed: Deployed) -> Inference:
    """Raises UserError where the objects do not go together."""
    objects = deployed.objects
    predictor = one(objects, "InferenceService", deployed.place.service)["spec"]["predictor"]
    model = predictor["model"]
    runtime = one(objects, "ServingRuntime", model["runtime"])["spec"]
    pod = {"volumes": [*runtime.get("volumes", ()), *predictor.get("volumes", ())]}
    spec = _merged(runtime["containers"][0], model)
    server = container(objects, pod, spec)
    claimed = _claimed(objects, model["storageUri"])
    server = replace(server, mounts=(*server.mounts, claimed))
    staged = tuple(jobs(objects, (claimed,)))
    if not staged:
        hint = "run `modelyard render`; if that does not help, this is a bug"
        raise UserError.of(f"no prestage Job fills {model['storageUri']}", hint=hint)
    waits = tuple(container(objects, pod, item) for item in predictor.get("initContainers", ()))
    limits = spec.get("resources", {}).get("limits", {})
    devices = tuple(name for name in limits if "/" in name)
    return Inference(deployed.place, staged, waits, server, devices, _health(spec))


def unfit(what: Inference, machine: Machine) -> str:
    """Why this machine cannot run the server; empty where it can."""
    if what.devices and not machine.gpus:
        return "needs a GPU, and this machine has none"
    if (what.module or " ".join(what.pods.words)).startswith("vllm") and not machine.vllm:
        return "needs vLLM, which is not installed here"
    return ""


def fit(
    what: Inference, folders: Mapping[str, str], port: int, context: int | None
) -> tuple[Container, tuple[Change, ...]]:
    """The server as it runs here: `folders` stand for its mounts; `context` in tokens is what a stand-in can."""
    words, changes = list(what.pods.words), []
    for option, now, why in (("--port", str(port), "a free one"), ("--host", LOOPBACK, "only this machine may ask")):
        changes.append(Change(option, _after(words, option) or None, now, why))
        words = [*_without(words, option), option, now]
    environment = dict(what.pods.environment)
    if context is not None and int(environment.get(_CONTEXT, "0")) > context:
        changes.append(Change(_CONTEXT, environment[_CONTEXT], str(context), "what the stand-in model can"))
        environment[_CONTEXT] = str(context)
    changes += _moved(environment, folders)
    environment = {name: moved(value, folders) for name, value in environment.items()}
    words = [words[0], *(moved(word, folders) for word in words[1:])]
    return replace(what.pods, words=tuple(words), environment=environment), tuple(changes)


def _moved(environment: Mapping[str, str], folders: Mapping[str, str]) -> Iterator[Change]:
    for name, value in environment.items():
        if (now := moved(value, folders)) != value:
            yield Change(name, value, now, "the mount's folder")


def _merged(server: Object, model: Object) -> dict[str, Any]:
    """The runtime's container with what the predictor says of its own (KServe: MergeRuntimeContainers)."""
    added = {"args": [*server.get("args", ()), *model.get("args", ())]}
    env = {item["name"]: item for item in (*server.get("env", ()), *model.get("env", ()))}
    said = {key: model[key] for key in ("resources", "readinessProbe", "startupProbe", "command") if key in model}
    return {**server, **said, **added, "env": list(env.values())}


def _claimed(objects: Sequence[Object], uri: str) -> Mount:
    if not uri.startswith(_SCHEME):
        raise UserError.of(f"storageUri {uri} is no claim", hint="only models on claims can be rehearsed")
    claim, _, folder = uri.removeprefix(_SCHEME).partition("/")
    one(objects, "PersistentVolumeClaim", claim)
    return Mount(MODELS, Claim(claim), folder)


def _health(spec: Mapping[str, Any]) -> str:
    for name in ("startupProbe", "readinessProbe"):
        if path := spec.get(name, {}).get("httpGet", {}).get("path"):
            return str(path)
    return "/v1/models"


def _without(words: Sequence[str], option: str) -> list[str]:
    """The words without an option and its value."""
    at = words.index(option) if option in words else len(words)
    return [*words[:at], *words[at + 2 :]]


def _after(words: Sequence[str], option: str) -> str:
    return words[words.index(option) + 1] if option in words[:-1] else ""
