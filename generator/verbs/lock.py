"""`lock`: ask the Hub and the registries, write models.lock.yaml."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from generator import checks, compile, lock, lockplan, registry, report
from generator.catalog import DEFAULT_RAY_IMAGES, RAY_IMAGE_ROLES
from generator.errors import Diagnostic, ExitCode, Severity, UserError, exit_code
from generator.files import replace_file
from generator.load import load
from generator.lock import Lock, LockedModel, ModelSource
from generator.spec import Spec
from generator.versions import moves
from generator.versions.moves import Moves
from generator.yamlio import Document

PUBLIC_HUB = "https://huggingface.co"


def lock_models(
    catalogue: Path, names: tuple[str, ...], *, upgrade: bool, images: bool, summary: Path | None, output: str
) -> ExitCode:
    """Bring the lock up to date with the catalogue; what could not be asked keeps its entry.

    `summary` gets what moved as Markdown, its first line a subject, also when nothing did.
    """
    document = compile.read_catalogue(catalogue)
    loaded = load(document)
    if loaded.spec is None:
        raise UserError(loaded.diagnostics)
    old = compile.read_lock(catalogue)
    models = [(model.name, checks.asked(model)) for model in loaded.spec.models]
    update = lockplan.plan_update(models, old, _wanted(names, upgrade))
    outcome = _hub().resolve_all(update.ask, progress=_progress(output))
    references = image_references(loaded.spec)
    asked = lockplan.images_to_ask(references, old, upgrade=upgrade and not names) if images else ()
    digests, warnings = registry.resolve_all(asked)
    new = lockplan.updated(old, models, outcome.models, references, digests)
    _write(catalogue.with_name(lock.FILE), new)
    moved = moves.between(old, new)
    unanswered = [asked.name for asked in update.ask if asked.name not in outcome.models]
    if summary is not None:
        replace_file(summary, moves.markdown(moved, unanswered, hub=_hub_address()).encode())
    said = (*_placed(document, loaded.spec, outcome.diagnostics, new, dict(models)), *warnings)
    _report(new, said, moved, asked=len(update.ask), answered=outcome.models, output=output)
    return exit_code(said)


def _hub_address() -> str:
    """Where people look at commits; empty for a Hub of one's own, whose pages may be elsewhere."""
    return "" if os.environ.get("HF_ENDPOINT") else PUBLIC_HUB


def _hub() -> ModuleType:
    """The module that asks the Hub; it needs a package that compiling does not."""
    try:
        from generator import hub
    except ModuleNotFoundError as error:
        hint = "pip install 'modelyard[prestage]'"
        raise UserError.of(f"`modelyard lock` needs the package {error.name}", hint=hint) from error
    return hub


def image_references(spec: Spec) -> tuple[str, ...]:
    """Every image that the catalogue uses, as written there or in our table of defaults."""
    images = spec.platform.images
    chosen = (getattr(images, role) or DEFAULT_RAY_IMAGES.get(role) for role in RAY_IMAGE_ROLES)
    return tuple(sorted({images.prestage, *(row.image for row in chosen if row is not None)}))


def _wanted(names: tuple[str, ...], upgrade: bool) -> frozenset[str] | lockplan.Upgrade | None:
    return frozenset(names) if names else lockplan.ALL if upgrade else None


def _progress(output: str) -> Callable[[str, int, int], None] | None:
    if output == "json":
        return lambda name, done, total: report.line(
            json.dumps({"event": "asked", "model": name, "done": done, "total": total})
        )
    if not sys.stderr.isatty():
        return None
    return lambda name, done, total: report.line(f"[{done}/{total}] {name}", sys.stderr)


def _write(path: Path, new: Lock) -> None:
    content = lock.write(new)
    if not path.is_file() or path.read_bytes() != content:
        replace_file(path, content)


def _placed(
    document: Document,
    spec: Spec,
    said: Mapping[str, tuple[Diagnostic, ...]],
    new: Lock,
    sources: Mapping[str, ModelSource],
) -> tuple[Diagnostic, ...]:
    """What the Hub's answers mean, at the model's place. A model that stays pinned is only warned about."""
    places = {model.name: document.locate(("models", i, "source")) for i, model in enumerate(spec.models)}
    return tuple(
        replace(
            diagnostic,
            file=document.file,
            line=places[name][0],
            column=places[name][1],
            path=f"models.{name}",
            severity=Severity.WARNING
            if lockplan.is_current(new.models.get(name), sources[name])
            else diagnostic.severity,
        )
        for name, diagnostics in said.items()
        for diagnostic in diagnostics
    )


def _report(
    new: Lock,
    said: tuple[Diagnostic, ...],
    moved: Moves,
    *,
    asked: int,
    answered: Mapping[str, LockedModel],
    output: str,
) -> None:
    if output == "json":
        data = {
            "event": "done",
            "models": len(new.models),
            "asked": asked,
            "answered": len(answered),
            "images": len(new.images),
        }
        report.line(json.dumps(data | moves.data(moved) | {"diagnostics": report.as_data(said)}))
        return
    report.diagnostics(said, output=output)
    for text in moves.lines(moved):
        report.line(text)
    held = f"{len(new.models)} models, {len(new.images)} images"
    report.line(f"{lock.FILE}: {held}; {asked} models asked, {len(answered)} answered")
