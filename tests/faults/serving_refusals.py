"""Folders that are no model, or not the one that was staged: each is refused with a reason that names what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from tests.faults.serving_load import Measured
from tests.faults.serving_models import make, stage

ROOT = Path(__file__).parents[2]
MANIFEST = ".modelyard/manifest.json"
SIGSYS = -31
Change = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Broken:
    """A fault, and what the reason has to name; None where the replica has to start. `staged`: the manifest agrees."""

    name: str
    change: Change
    named: str | None
    staged: bool = False
    environment: tuple[tuple[str, str], ...] = ()


def broken_models(sources: Path, every: int = 1) -> Measured:
    """Every fault in a copy of its own, or each `every`th of them; counts folders. `sources` is the application."""
    found = Measured()
    with tempfile.TemporaryDirectory(prefix="broken-") as name:
        good = make(Path(name) / "good", 7)
        command = [sys.executable, "-m", "tests.faults.serving_start", str(sources)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, text=True, cwd=ROOT, **pipes) as starter:  # type: ignore[call-overload]
            for number, fault in enumerate(islice(faults(good), 0, None, every)):
                folder = Path(name) / str(number)
                shutil.copytree(good, folder)
                fault.change(folder)
                if fault.staged:
                    stage(folder)
                found.count += 1
                _judge(found, fault, _asked(starter, folder, fault), folder)
            starter.stdin.close()
    return found


def _asked(starter: subprocess.Popen[str], folder: Path, fault: Broken) -> dict[str, Any]:
    assert starter.stdin and starter.stdout
    environment = {"MODEL_ID": str(folder), "MAX_TOKENS": "64", **dict(fault.environment)}
    starter.stdin.write(json.dumps({"environment": environment}) + "\n")
    starter.stdin.flush()
    told: dict[str, Any] = json.loads(starter.stdout.readline())
    return told


def _judge(found: Measured, fault: Broken, told: dict[str, Any], folder: Path) -> None:
    refused, reason = told.get("refused"), str(told.get("reason", ""))
    found.notes["started" if told.get("started") else f"refused by {refused}" if refused else "died"] += 1
    if told.get("died") == SIGSYS:
        found.wrong.append(f"{fault.name}: it opens a network socket")
    elif fault.named is None:
        found.wrong += [] if told.get("started") else [f"{fault.name}: not started: {told}"]
    elif refused != "StartRefused" or fault.named not in reason:
        found.wrong.append(f"{fault.name}: {told}, not refused with a reason that names {fault.named!r}")
    if (folder / "ran").exists():
        found.wrong.append(f"{fault.name}: code of the model was run")


def faults(good: Path) -> Iterator[Broken]:
    yield Broken("nothing wrong", lambda folder: None, None)
    yield Broken("nothing wrong, by digest", lambda folder: None, None, environment=DIGESTS)
    yield Broken("no folder", shutil.rmtree, "not a folder")
    yield Broken("an empty folder", _empty, "config.json is missing")
    yield from _manifests()
    for path in sorted(path.relative_to(good) for path in good.rglob("*") if path.is_file() and path.suffix != ""):
        if str(path) != MANIFEST:
            yield from _of_file(str(path))
    yield from _contents()
    for name, value, named in SETTINGS:
        yield Broken(f"{name}={value}", lambda folder: None, named, environment=((name, value),))


DIGESTS = (("MODELYARD_VERIFY", "digests"),)
SETTINGS = (
    ("MODEL_ID", "", "MODEL_ID"),
    ("CONTEXT_LENGTH", "100000", "CONTEXT_LENGTH"),
    ("MAX_TOKENS", "many", "MAX_TOKENS"),
    ("CONCURRENCY", "-1", "CONCURRENCY"),
    ("DTYPE", "int3", "DTYPE"),
    ("MODELYARD_VERIFY", "maybe", "MODELYARD_VERIFY"),
)


def _of_file(path: str) -> Iterator[Broken]:
    """What a copy that broke off, or a disk, does to a file of the manifest."""
    needed = "*.safetensors" if path.endswith(".safetensors") else path
    yield Broken(f"{path}: missing", lambda folder: (folder / path).unlink(), needed)
    yield Broken(f"{path}: empty", lambda folder: os.truncate(folder / path, 0), path)
    yield Broken(f"{path}: a byte less", lambda folder: _resize(folder / path, -1), path)
    yield Broken(f"{path}: a byte more", lambda folder: _resize(folder / path, 1), path)
    yield Broken(f"{path}: a folder", lambda folder: _as_folder(folder / path), path)
    yield Broken(f"{path}: one bit", lambda folder: _flip(folder / path), path, environment=DIGESTS)


def _manifests() -> Iterator[Broken]:
    yield Broken("no manifest", lambda folder: (folder / MANIFEST).unlink(), MANIFEST)
    texts = ("", "{", "null", "[]", '{"version": 1}', "\xff", '{"version": 2, "files": []}', "[" * 100_000)
    for text in texts:
        yield Broken(f"the manifest is {text[:30]!r}", partial(_write, path=MANIFEST, text=text), MANIFEST)
    for path in ("../good/config.json", "/etc/passwd", "a/../../b"):
        yield Broken(f"the manifest lists {path}", partial(_list, path=path), path)
    yield Broken(
        "weights that are not listed", lambda folder: _write(folder, "more.safetensors", ""), "more.safetensors"
    )


def _contents() -> Iterator[Broken]:
    """Staged as they are, so that the manifest agrees."""

    def content(name: str, path: str, text: str, named: str) -> Broken:
        return Broken(name, lambda folder: _write(folder, path, text), named, staged=True)

    yield content("config.json is no JSON", "config.json", "{", "config.json")
    yield content("config.json is a list", "config.json", "[]", "config.json")
    yield content("config.json is empty JSON", "config.json", "{}", "config.json")
    yield content("config.json names no known model", "config.json", '{"model_type": "nothing"}', "config.json")
    yield content(
        "config.json names a model that writes no text", "config.json", '{"model_type": "vit"}', "config.json"
    )
    yield content("tokenizer.json is no JSON", "tokenizer.json", "{", "tokenizer")
    yield content("tokenizer_config.json is a list", "tokenizer_config.json", "[]", "tokenizer_config.json")
    yield content("weights that are none", "model.safetensors", "x" * 100, "safetensors")
    yield content("weights with a header of 2**63 bytes", "model.safetensors", "\x7f" * 100, "safetensors")
    yield Broken("pickled weights only", _pickled, "safetensors", staged=True)
    yield Broken("code of the model's own", _code, "config.json", staged=True)
    yield Broken("weights of another shape", lambda folder: _set(folder, "hidden_size", 128), "weights", staged=True)
    yield Broken(
        "a layer more than there are weights",
        lambda folder: _set(folder, "num_hidden_layers", 3),
        "weights",
        staged=True,
    )
    for target in ("../good/model.safetensors", "/etc/passwd", "absent.safetensors", "a/b.safetensors"):
        yield Broken(f"the index names {target}", partial(_index, target=target), target, staged=True)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def _as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _resize(path: Path, by: int) -> None:
    os.truncate(path, path.stat().st_size + by)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _write(folder: Path, path: str, text: str) -> None:
    (folder / path).write_text(text, encoding="latin-1")


def _list(folder: Path, path: str) -> None:
    content = json.loads((folder / MANIFEST).read_bytes())
    content["files"].append({"path": path, "size": 1, "sha256": "0" * 64})
    _write(folder, MANIFEST, json.dumps(content))


def _set(folder: Path, name: str, value: object) -> None:
    config = json.loads((folder / "config.json").read_bytes())
    _write(folder, "config.json", json.dumps({**config, name: value}))


def _index(folder: Path, target: str) -> None:
    _write(
        folder, "model.safetensors.index.json", json.dumps({"metadata": {}, "weight_map": {"lm_head.weight": target}})
    )


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _code(folder: Path) -> None:
    """A configuration class that leaves a file behind where it is imported."""
    names = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    _write(folder, "config.json", json.dumps({"model_type": "own", "auto_map": names}))
    _write(folder, "own.py", f"open({str(folder / 'ran')!r}, 'w').close()\nclass Config: ...\nclass Model: ...\n")
