"""Each folder of tests/cases is a catalogue and the tree that it renders to, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from generator import assets, compile
from generator.spec import Spec
from generator.tree import MANIFEST
from tests import golden

CASES = Path(__file__).parents[1] / "cases"


@pytest.mark.parametrize("case", sorted(p.parent.name for p in CASES.glob("*/models.yaml")))
def test_renders_as_expected(case: str, update_golden: bool, helm: Path) -> None:
    found = assets.find()
    planned = compile.plan_catalogue(CASES / case / "models.yaml", found)
    assert planned.plan is not None, planned.diagnostics
    tree = compile.files(planned.plan, found, str(helm))
    made = {**tree.files, MANIFEST: tree.manifest}
    golden.compare(CASES / case / "expected", made, update=update_golden)


def test_the_repository_is_rendered() -> None:
    """rendered/ is what models.yaml says."""
    root = CASES.parents[1]
    found = assets.find()
    planned = compile.plan_catalogue(root / "models.yaml", found)
    assert planned.plan is not None, planned.diagnostics
    tree = compile.files(planned.plan, found)
    golden.compare(root / "rendered", {**tree.files, MANIFEST: tree.manifest}, update=False)


def keys_of_the_language(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Every key that models.yaml can hold, as a path without indexes."""
    for name, field in model.model_fields.items():
        place = f"{path}.{field.alias or name}" if path else str(field.alias or name)
        yield place
        for inner in models_in(field.annotation):
            yield from keys_of_the_language(inner, place)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def keys_of(data: Any, path: str = "") -> Iterator[str]:
    if isinstance(data, list):
        for item in data:
            yield from keys_of(item, path)
    elif isinstance(data, dict):
        for key, value in data.items():
            place = f"{path}.{key}" if path else key
            yield place
            yield from keys_of(value, place)


def test_the_everything_case_sets_every_key() -> None:
    data = yaml.safe_load((CASES / "everything/models.yaml").read_text(encoding="utf-8"))
    assert set(keys_of_the_language(Spec)) - set(keys_of(data)) == set()
