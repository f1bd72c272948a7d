"""`init` and `add`: start a repository, and edit its catalogue without losing a comment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from generator import assets, compile, edit, report, scaffold
from generator.errors import ExitCode, UserError
from generator.lock import Lock


def init(folder: Path, platform: str) -> ExitCode:
    """Write what a repository needs and does not have."""
    done = scaffold.init(folder, assets.find(), platform)
    for path in done.written:
        report.line(f"wrote  {folder / path}")
    for path in done.kept:
        report.line(f"kept   {folder / path}")
    report.diagnostics(done.notes, output="text")
    report.line("next: edit models.yaml, run `modelyard lock` and `modelyard render`, and commit what they write")
    return ExitCode.OK


def add_model(catalogue: Path, **asked: Any) -> ExitCode:
    """Append a model; says which command pins it."""
    text = _edited(catalogue, lambda old, lock: edit.add_model(old, str(catalogue), edit.AddModel(**asked), lock))
    report.line(f"{catalogue}: {text} added; next: `modelyard lock`, then `modelyard render`")
    return ExitCode.OK


def add_service(catalogue: Path, **asked: Any) -> ExitCode:
    """Append a service."""
    text = _edited(catalogue, lambda old, lock: edit.add_service(old, str(catalogue), edit.AddService(**asked), lock))
    report.line(f"{catalogue}: {text} added; next: `modelyard render`")
    return ExitCode.OK


def _edited(catalogue: Path, change: Callable[[str, Lock], str]) -> str:
    """Apply `change` and save; returns how many lines came in, for people."""
    try:
        old = catalogue.read_bytes().decode("utf-8")
    except OSError as error:
        raise UserError.of(
            f"cannot read: {error.strerror}", file=str(catalogue), hint="run `modelyard init`"
        ) from error
    new = change(old, compile.read_lock(catalogue))
    edit.save(catalogue, new)
    return f"{new.count(chr(10)) - old.count(chr(10))} lines"
