"""Folders of this machine that stand for the models of a service: the user's, a demo model, or out of the Hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generator import plan
from generator.develop.version import Version
from generator.errors import UserError
from generator.prestage import manifest
from generator.rehearse import staging, standins
from generator.rehearse.hub import Hub
from generator.rehearse.pods import Container, Files, Mount
from generator.rehearse.standins import StandIn
from generator.rehearse.work import Job, named
from generator.suggest import suggest

_PLAN = "/plan"  # a mount's path: of a Job that never was in a pod
_NO_DIGEST = "0" * 64  # replicas compare sizes: whoever names a folder has it for themselves
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Given:
    """The words on the command line. `folders` are model folders by model, "" for every other model."""

    folders: Mapping[str, Path] = field(default_factory=dict)
    demo: str | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """Folders of this machine by the path that pods see; `context` (tokens) of a model that stands in, if any."""

    folders: Mapping[str, str]
    context: int | None


def check(version: Version, given: Given) -> None:
    """Raises UserError where a model is named that the service has not."""
    if unknown := sorted(set(given.folders) - set(version.models) - {""}):
        message = f"--model-folder: service `{version.service.name}` has no model `{unknown[0]}`"
        raise UserError.of(message, hint=suggest(unknown[0], version.models))


def placed(version: Version, serve: Mapping[str, Any], given: Given, scratch: Path, say: Say) -> Placed:
    """Every model that `serve` reads in a folder, with its manifest. Raises UserError."""
    check(version, given)
    made: dict[str, StandIn] = {}  # each is read once
    folders = {}
    contexts = []
    for model in (model for model in version.models.values() if named(serve, model.path)):
        stand_in = _stand_in(version, model, given, made, scratch, say)
        if stand_in is None:
            folders[model.path] = str(_of_hub(model, version.plans[model.name], scratch, say))
        else:
            folders[model.path] = str(linked(stand_in, model, scratch / "models" / model.name))
            contexts += [stand_in.context] if stand_in.context else []
    return Placed(folders, min(contexts, default=None))


def _stand_in(
    version: Version, model: plan.Model, given: Given, made: dict[str, StandIn], scratch: Path, say: Say
) -> StandIn | None:
    folder = given.folders.get(model.name, given.folders.get(""))
    if folder is not None:
        say(f"model {model.name}: {folder}")
        return made.setdefault(str(folder), made.get(str(folder)) or standins.of_folder(folder))
    if not given.demo:
        return None
    kind = standins.SEQ2SEQ if model.name in _translated(version) else standins.CAUSAL
    found = made[kind] = made.get(kind) or standins.demo(given.demo, kind, scratch, say)
    say(f"model {model.name}: {found.title}, in place of {model.repo}")
    return found


def _translated(version: Version) -> set[str]:
    return {model.name for a in version.service.applications if a.app == "translation" for model in a.models}


def linked(stand_in: StandIn, model: plan.Model, folder: Path) -> Path:
    """A folder of links to the files of a model, with a manifest: nothing is copied."""
    entries = []
    for path, blob in stand_in.files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        if isinstance(blob.content, Path):
            target.symlink_to(blob.content.absolute())
        else:
            target.write_bytes(blob.content)
        entries.append(manifest.Entry(path, blob.size, blob.sha256 or _NO_DIGEST, ""))
    (folder / manifest.PATH).parent.mkdir(exist_ok=True)
    (folder / manifest.PATH).write_bytes(
        manifest.write(manifest.Manifest(model.name, model.repo, model.commit, tuple(entries)))
    )
    return folder


def _of_hub(model: plan.Model, text: str, scratch: Path, say: Say) -> Path:
    """Staged by the Jobs' own program into the user's cache, where it stays: once for each commit."""
    folder = standins.cache_folder() / model.key
    words = ("python", "-m", "generator.prestage", f"{_PLAN}/plan.json", "--target", str(folder))
    secrets = {"HF_TOKEN": (model.token.secret, model.token.key)} if model.token else {}
    mounts = (Mount(_PLAN, Files({"plan.json": text.encode()})),)
    job = Job(model.name, (Container(words, {}, secrets, mounts),), "", model.key, str(folder), f"{_PLAN}/plan.json")
    if not (folder / manifest.PATH).is_file():
        staging.check_hub([job])
        say(f"model {model.name}: {json.loads(text)['source']['huggingface']} from the Hub; it stays in {folder}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with Hub() as hub:
        staging.stage(job, None, hub, staging.Store(None), {}, scratch / f"stage-{model.name}", say)
    return folder
