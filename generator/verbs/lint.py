"""`lint`: judge a rendered tree."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from generator import assets, report
from generator.errors import ExitCode, UserError, exit_code
from generator.lint import lint as judge


def lint(tree: Path, *, helm: str | None, with_helm: bool, output: str) -> ExitCode:
    """Judge `tree` with our schemas and rules and, unless told not to, with helm."""
    program = (helm or shutil.which("helm")) if with_helm else None
    if with_helm and program is None:
        raise UserError.of(
            "helm is not on PATH", hint="install helm, give --helm PATH, or leave the charts out: --no-helm"
        )
    judged = judge(tree, assets.find(), program)
    if output == "json":
        report.line(json.dumps({"objects": judged.counts, "diagnostics": report.as_data(judged.diagnostics)}))
        return exit_code(judged.diagnostics)
    report.diagnostics(judged.diagnostics, output=output)
    code = exit_code(judged.diagnostics)
    verdict = "faults found" if code else "no faults"
    report.line(f"{tree}: {sum(judged.counts.values())} objects of {len(judged.counts)} kinds, {verdict}")
    return code
