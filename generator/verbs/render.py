"""`render` and `check`: the same files, written or compared."""

from __future__ import annotations

import json
from pathlib import Path

from generator import assets, compile, gitindex, report, tree
from generator.deployed import helm_program
from generator.errors import Diagnostic, ExitCode, Severity, UserError, exit_code
from generator.plan import Plan
from generator.tree import Difference


def render(catalogue: Path, out: Path | None, *, output: str, helm: str | None = None) -> ExitCode:
    """Compile the catalogue and write the tree."""
    found = assets.find()
    plan, warnings = _plan(catalogue, found)
    folder = _folder(catalogue, out, plan)
    done = tree.write(folder, compile.files(plan, found, helm_program(helm)))
    warnings += tuple(_left(folder, path) for path in done.left)
    if output == "json":
        counts = {"written": len(done.written), "removed": len(done.removed), "unchanged": len(done.unchanged)}
        report.line(json.dumps({"tree": str(folder), **counts, "diagnostics": report.as_data(warnings)}))
        return ExitCode.OK
    report.diagnostics(warnings, output=output)
    if done.recovered:
        report.line(f"{folder}: completed a render that had been interrupted")
    report.line(
        f"{folder}: {len(done.written)} written, {len(done.removed)} removed, {len(done.unchanged)} unchanged"
        f" ({report.counted(len(plan.models), 'model')}, {report.counted(len(plan.named), 'service')})"
    )
    return ExitCode.OK


def check(
    catalogue: Path, out: Path | None, *, output: str, tracked: bool = False, helm: str | None = None
) -> ExitCode:
    """Compile the catalogue and compare the tree; with `tracked`, Git must have its files too."""
    found = assets.find()
    plan, warnings = _plan(catalogue, found)
    folder = _folder(catalogue, out, plan)
    files = compile.files(plan, found, helm_program(helm))
    difference = tree.compare(folder, files)
    drift = _drift(folder, difference)
    if tracked and not drift:
        drift = gitindex.faults(folder, [folder / path for path in (*files.files, tree.MANIFEST)])
    if output == "json":
        report.line(
            json.dumps({"tree": str(folder), "drift": report.as_data(drift), "diagnostics": report.as_data(warnings)})
        )
        return exit_code(drift)
    for text in tree.unified_diff(folder, files, difference) if drift else ():
        report.line(text.removesuffix("\n"))
    report.diagnostics((*warnings, *drift), output=output)
    if not drift:
        report.line(f"{folder}: {len(files.files)} files, as the catalogue says")
    return exit_code(drift)


def _left(folder: Path, path: str) -> Diagnostic:
    message = "was edited after an interrupted render, and is left as it is"
    hint = "delete it if nobody needs it, then run `modelyard render`"
    return Diagnostic(message, str(folder / path), hint=hint, severity=Severity.WARNING)


def _plan(catalogue: Path, found: assets.Assets) -> tuple[Plan, tuple[Diagnostic, ...]]:
    planned = compile.plan_catalogue(catalogue, found)
    if planned.plan is None:
        raise UserError(planned.diagnostics)
    return planned.plan, planned.diagnostics


def _folder(catalogue: Path, out: Path | None, plan: Plan) -> Path:
    return out if out is not None else catalogue.parent / plan.platform.root


# Kind of difference, what it means, and the way out.
_DRIFT = (
    ("added", "is missing", "run `modelyard render`"),
    ("changed", "is stale", "run `modelyard render`"),
    ("removed", "is not rendered any more", "run `modelyard render`"),
    ("edited", "was edited by hand", "put the change into models.yaml, then `git checkout HEAD -- FILE` and render"),
    ("foreign", "is in the way: modelyard did not write it", "move or delete it, then run `modelyard render`"),
    ("untracked", "is no file of this catalogue", "move it out of the rendered tree, or delete it"),
)


def _drift(folder: Path, difference: Difference) -> tuple[Diagnostic, ...]:
    return tuple(
        Diagnostic(message, str(folder / path), hint=hint)
        for kind, message, hint in _DRIFT
        for path in getattr(difference, kind)
    )
