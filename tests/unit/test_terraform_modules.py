"""What every Terraform module has to be, whatever its provider."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import hcl2
import pytest

from generator.emit.terraform import PROVIDERS
from tests.unit import hcl

FILES = sorted(path.relative_to(hcl.SOURCES).as_posix() for path in hcl.SOURCES.rglob("*.tf"))
MODULES = sorted({path.rpartition("/")[0] for path in FILES})


def test_each_provider_has_a_folder_of_modules() -> None:
    assert {name.partition("/")[0] for name in MODULES} == PROVIDERS.keys()
    assert "aks/aks-platform" in MODULES and "eks/model-bucket" in MODULES


@pytest.mark.parametrize("path", FILES)
def test_every_file_parses(path: str) -> None:
    with (hcl.SOURCES / path).open() as file:
        assert hcl2.load(file)


def test_formatting_is_canonical() -> None:
    program = shutil.which("terraform")
    if program is None:
        assert all("\t" not in (hcl.SOURCES / path).read_text() for path in FILES)
        return
    command = [program, "fmt", "-check", "-recursive", "-diff", str(hcl.SOURCES)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", MODULES)
def test_versions_are_bounded(name: str) -> None:
    settings = hcl.one(name, "terraform")
    assert settings["required_version"] == ">= 1.9, < 2.0"
    (providers,) = settings["required_providers"]
    providers = {label: body for label, body in providers.items() if isinstance(body, dict)}
    assert all(re.search(r"~>|<", provider["version"]) for provider in providers.values())
    assert {label for block in hcl.module(name)["provider"] for label in block} == providers.keys()


@pytest.mark.parametrize("name", MODULES)
def test_variables_and_outputs_are_described(name: str) -> None:
    for label, body in hcl.declared(name).items():
        assert len(body["description"]) > 15 and "type" in body, label
    for label, body in hcl.declared(name, "output").items():
        assert len(body["description"]) > 15, label


@pytest.mark.parametrize("name", MODULES)
def test_every_variable_is_used_and_every_use_is_declared(name: str) -> None:
    used = set(re.findall(r"\bvar\.([a-z0-9_]+)", hcl.text(name)))
    assert used == hcl.declared(name).keys()


@pytest.mark.parametrize("name", MODULES)
def test_what_texts_may_be_is_checked_or_free(name: str) -> None:
    """A text without a default is asked for: a typo has to be found before a plan is."""
    for label, body in hcl.declared(name).items():
        if body["type"] in ("string", "${string}") and "default" not in body and not label.endswith("service_account"):
            assert body["validation"], label


@pytest.mark.parametrize("name", MODULES)
def test_references_lead_to_something(name: str) -> None:
    source = re.sub(r"#.*", "", hcl.text(name))
    used = set(re.findall(r"(?<![\w.\"/])(data\.)?([a-z]+_[a-z0-9_]+)\.([a-z_]+)(?=[\[.\]),\s])", source))
    kinds = {kind for _, kind, _ in found(name)}
    referred = {(bool(data), kind, label) for data, kind, label in used if kind in kinds}
    assert referred and referred <= found(name), referred - found(name)
    local = {key for block in hcl.module(name).get("locals", []) for key in block if not key.startswith("__")}
    assert set(re.findall(r"\blocal\.([a-z_]+)", source)) == local


def found(name: str) -> set[tuple[bool, str, str]]:
    """(whether data, type, name) of all that the module declares."""
    return {
        (section == "data", kind, label)
        for section in ("data", "resource")
        for block in hcl.module(name).get(section, [])
        for kind, body in block.items()
        for label in named(body)
    }


def named(body: Any) -> list[str]:
    return list(body) if isinstance(body, dict) else []
