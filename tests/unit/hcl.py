"""Reads Terraform modules, and has Terraform reckon what needs no provider."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import hcl2
import pytest

SOURCES = Path(__file__).parents[2] / "chart-templates/terraform"


@cache
def module(folder: str) -> dict[str, list[Any]]:
    """All files of a module parsed: block type to blocks, strings without the quotes of the source."""
    merged: dict[str, list[Any]] = {}
    for path in sorted((SOURCES / folder).glob("*.tf")):
        with path.open() as file:
            for kind, blocks in unquoted(hcl2.load(file)).items():
                if isinstance(blocks, list):
                    merged.setdefault(kind, []).extend(blocks)
    return merged


def unquoted(value: Any) -> Any:
    if isinstance(value, dict):
        return {unquoted(key): unquoted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unquoted(item) for item in value]
    return value[1:-1] if isinstance(value, str) and value[:1] == value[-1:] == '"' else value


def blocks(folder: str, kind: str, *labels: str) -> list[dict[str, Any]]:
    found: list[Any] = module(folder)[kind]
    for label in labels:
        found = [block[label] for block in found if label in block]
    return found


def one(folder: str, kind: str, *labels: str) -> dict[str, Any]:
    (block,) = blocks(folder, kind, *labels)
    return block


def declared(folder: str, kind: str = "variable") -> dict[str, dict[str, Any]]:
    """Name to body of a module's variables or outputs."""
    return {label: body for block in module(folder)[kind] for label, body in block.items()}


def text(folder: str) -> str:
    return "\n".join(path.read_text() for path in sorted((SOURCES / folder).glob("*.tf")))


def reckoned(folder: str, where: Path, names: tuple[str, ...] = (), **given: Any) -> dict[str, Any]:
    """A module's variables as they pass its validations, and its first locals, all or those of `names`.

    What needs a provider is not there. Raises ValueError with what Terraform refuses.
    """
    main = (SOURCES / folder / "main.tf").read_text()
    found = re.search(r"^locals \{\n(.*?)^\}", main, re.DOTALL | re.MULTILINE)
    assert found
    wanted = names or tuple(re.findall(r"^  (\w+) += ", found[1], re.MULTILINE))
    kept = found[0] if not names else _only(found[1], names)
    shown = "".join(f'output "{name}" {{\n  value = local.{name}\n}}\n' for name in wanted)
    here = where / folder.replace("/", "-")
    here.mkdir()
    shutil.copy(SOURCES / folder / "variables.tf", here)
    (here / "main.tf").write_text(kept.replace("data.aws_partition.current.partition", '"aws"') + "\n" + shown)
    (here / "given.tfvars.json").write_text(json.dumps(given))
    return _applied(here)


def _only(body: str, names: tuple[str, ...]) -> str:
    lines = [line for line in body.splitlines() if line.strip().split(" ", 1)[0] in names]
    return "\n".join(["locals {", *lines, "}"])


def _applied(here: Path) -> dict[str, Any]:
    program = shutil.which("terraform")
    if program is None:
        pytest.skip("terraform is not installed")

    def run(*command: str) -> str:
        done = subprocess.run([program, f"-chdir={here}", *command], capture_output=True, text=True)
        if done.returncode != 0:
            raise ValueError(done.stderr)
        return done.stdout

    run("init", "-input=false", "-no-color")
    run("apply", "-auto-approve", "-input=false", "-no-color", "-var-file=given.tfvars.json")
    outputs: Mapping[str, Any] = json.loads(run("output", "-json"))
    return {key: value["value"] for key, value in outputs.items()}
