"""Generated documentation and schema are fresh, and the schema says what the language says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from generator import cli, clireference, reference

ROOT = Path(__file__).parents[2]
GENERATED: dict[str, Callable[[], str]] = {
    reference.SCHEMA_FILE: reference.json_schema,
    reference.MARKDOWN_FILE: reference.markdown,
    "docs/cli.md": lambda: clireference.markdown(cli.cli),
}
SCHEMA: dict[str, Any] = json.loads(reference.json_schema())
VALID = [
    ROOT / "models.yaml",
    ROOT / "chart-templates/init/models.yaml",
    *sorted(ROOT.glob("tests/cases/*/models.yaml")),
]
# Faults of shape, which an editor can show while typing; the others need the whole file or the lock.
SHAPE = (
    "bad-name",
    "missing-key",
    "number-for-text",
    "unknown-key",
    "unknown-key-deep",
    "wrong-type",
    "accelerator-unknown",
)


@pytest.mark.parametrize("path", sorted(GENERATED))
def test_is_fresh(path: str, update_golden: bool) -> None:
    text = GENERATED[path]()
    if update_golden:
        (ROOT / path).write_text(text, encoding="utf-8")
    assert (ROOT / path).read_text(encoding="utf-8") == text, "renew with: pytest --update-golden"


@pytest.mark.parametrize("path", VALID, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_schema_accepts_what_the_language_accepts(path: Path) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(data)] == []


@pytest.mark.parametrize("case", SHAPE)
def test_the_schema_shows_faults_of_shape(case: str) -> None:
    data = yaml.safe_load((ROOT / f"tests/invalid/{case}.yaml").read_text(encoding="utf-8"))
    assert not Draft202012Validator(SCHEMA).is_valid(data)


def fields(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, node in {"models.yaml": schema, **schema["$defs"]}.items():
        for key, field in node.get("properties", {}).items():
            yield f"{name}.{key}", field


def test_every_field_is_described() -> None:
    described = {
        name: field.get("description") or SCHEMA["$defs"][str(field.get("$ref", "")).rpartition("/")[2]]["description"]
        for name, field in fields(SCHEMA)
    }
    assert [name for name, text in described.items() if not str(text).strip()] == []


def is_leaf(field: dict[str, Any]) -> bool:
    text = json.dumps(field)
    return "$ref" not in text


def test_every_leaf_has_an_example() -> None:
    assert [name for name, field in fields(SCHEMA) if is_leaf(field) and not field.get("examples")] == []


def test_numbers_and_quantities_have_a_unit() -> None:
    numbers = [(name, field) for name, field in fields(SCHEMA) if "integer" in json.dumps(field)]
    assert numbers and [name for name, field in numbers if "x-unit" not in field] == []
