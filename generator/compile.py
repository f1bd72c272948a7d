"""The flow: models.yaml and its lock to a Plan, and the Plan to the files of the tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from generator import __version__, baking, bundle, checks, deployed, lock, tree, yamlio
from generator.apps import APPS
from generator.assets import Assets
from generator.emit import emit
from generator.errors import Diagnostic, Fault, Severity, UserError, dotted
from generator.load import Loaded, load
from generator.lock import Lock
from generator.plan import Plan
from generator.resolve import resolve
from generator.yamlio import Document


@dataclass(frozen=True, slots=True)
class Planned:
    """A catalogue that was read: its Plan when there is no error, and all that there is to say."""

    plan: Plan | None
    diagnostics: tuple[Diagnostic, ...]


def plan_catalogue(catalogue: Path, assets: Assets) -> Planned:
    """Read models.yaml at `catalogue` and the lock beside it.

    Raises UserError when a file cannot be read at all or is not YAML.
    """
    document = read_catalogue(catalogue)
    locked, diagnostics = _lock_or_faults(catalogue)
    loaded = load(document)
    diagnostics += loaded.diagnostics
    if loaded.partial is not None:
        faults = checks.check(loaded.partial, locked, loaded.ghosts)
        diagnostics += _placed(document, loaded, faults)
    if locked is None or loaded.spec is None or any(d.severity is Severity.ERROR for d in diagnostics):
        return Planned(None, tuple(diagnostics))
    code = {package: bundle.read_app(assets.root / "serving" / package) for package in _packages()}
    recipe = baking.read(assets)
    return Planned(resolve(loaded.spec, locked, code, recipe, document.text), tuple(diagnostics))


def read_catalogue(path: Path) -> Document:
    """The YAML of models.yaml. Raises UserError."""
    if not path.exists():
        hint = "run `modelyard init` to start one, or name it with --file"
        raise UserError.of("there is no such catalogue", file=str(path), hint=hint)
    return yamlio.load_file(path, str(path))


def _lock_or_faults(catalogue: Path) -> tuple[Lock | None, list[Diagnostic]]:
    """A faulty lock does not hide the faults of the catalogue."""
    try:
        return read_lock(catalogue), []
    except UserError as error:
        return None, list(error.diagnostics)


def read_lock(catalogue: Path) -> Lock:
    """The lock beside `catalogue`; an empty one when there is none yet."""
    path = catalogue.with_name(lock.FILE)
    return lock.load(path) if path.is_file() else Lock()


def files(plan: Plan, assets: Assets, helm: str | None = None) -> tree.Tree:
    """The whole tree, path to content. `helm` is the program; only clusters with `gitops: kubectl` need it.

    Raises UserError where helm is needed and missing, or fails.
    """
    emitted = list(emit(plan, assets))
    by_hand = deployed.emit(plan, dict(emitted), helm)
    return tree.build(chain(emitted, by_hand), generator=__version__)


def _packages() -> list[str]:
    return sorted({package for app in APPS.values() for package in app.packages})


def _placed(document: Document, loaded: Loaded, faults: Iterator[Fault]) -> Iterator[Diagnostic]:
    reported = {diagnostic.path for diagnostic in loaded.diagnostics}
    for fault in faults:
        path = loaded.true_path(fault.path)
        if dotted(path) in reported:
            continue  # a faulty value was taken out: it is not missing
        line, column = document.locate(path)
        yield Diagnostic(fault.message, document.file, line, column, dotted(path), fault.hint, fault.severity)
