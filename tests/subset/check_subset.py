"""Shows that each of our schemas accepts nothing that the real schema of its kind refuses.

    python -m tests.subset.check_subset FOLDER

FOLDER holds the real schemas (JSON Schema draft 7, one file per kind, `core/` below). Two ways: containment, path by
path, and instances generated from ours that have to pass theirs. Prints a line for each kind and a closing count.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, assume, given, settings
from jsonschema import Draft7Validator

from tests.subset.containment import Prover
from tests.subset.instances import instances

OURS = Path(__file__).parents[2] / "schemas" / "kinds"
INSTANCES = 200
# Kinds that have no schema at hand to compare with; the name of our file.
NOTHING_TO_COMPARE = (
    "component_backstage",
    "location_backstage",
    "resource_backstage",
    "secretproviderclass_secrets-store",
    "system_backstage",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--instances", type=int, default=INSTANCES)
    parser.add_argument("--only", default="", help="part of a file's name")
    arguments = parser.parse_args()
    real = dict(real_schemas(arguments.folder))
    passed = failed = 0
    for path in sorted(path for path in OURS.glob("*.json") if arguments.only in path.name):
        if path.name.startswith(("_", *NOTHING_TO_COMPARE)):
            continue
        faults, line = judge(bundled(path), real.get(key_of(json.loads(path.read_bytes()), path)), arguments.instances)
        print(f"{path.name}: {line}")
        for fault in faults:
            print(f"    {fault}")
        passed, failed = passed + (not faults), failed + bool(faults)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def real_schemas(folder: Path) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """`(apiVersion, kind)` and schema of every file."""
    for path in [*folder.glob("*.json"), *folder.glob("core/*.json")]:
        schema = json.loads(path.read_bytes())
        yield key_of(schema, path), schema


def key_of(schema: Mapping[str, Any], path: Path) -> tuple[str, str]:
    """What a schema is of; the serve configuration and Backstage's template are known by their file's name."""
    if path.name.startswith("serve-config"):
        return ("", "serve-config")
    if path.name.startswith("template_scaffolder"):
        return ("scaffolder.backstage.io/v1beta3", "Template")
    return (schema["properties"]["apiVersion"]["const"], schema["properties"]["kind"]["const"])


def bundled(path: Path) -> dict[str, Any]:
    """One of our schemas with the definitions of other files beside its own."""
    definitions: dict[str, Any] = {}
    for other in sorted(path.parent.glob("_*.json")):
        for name, schema in json.loads(other.read_bytes())["definitions"].items():
            definitions[f"{other.stem}.{name}"] = relinked(schema, other.stem)
    own = json.loads(path.read_bytes())
    definitions |= {f"own.{name}": relinked(schema, "own") for name, schema in own.pop("definitions", {}).items()}
    return {**relinked(own, "own"), "definitions": definitions}


def relinked(node: Any, here: str) -> Any:
    """The node with every reference pointing into the bundle."""
    if isinstance(node, list):
        return [relinked(value, here) for value in node]
    if not isinstance(node, dict):
        return node
    out = {key: relinked(value, here) for key, value in node.items()}
    if isinstance(out.get("$ref"), str):
        file, _, name = out["$ref"].partition("#/definitions/")
        out["$ref"] = f"#/definitions/{file.removesuffix('.json') or here}.{name}"
    return out


def judge(ours: dict[str, Any], theirs: dict[str, Any] | None, count: int) -> tuple[list[str], str]:
    """Faults, and a line that says what was done."""
    if theirs is None:
        return ["there is no real schema of this kind"], "not compared"
    prover = Prover(ours, theirs)
    prover.run()
    tried, refused = generated(ours, theirs, count)
    line = f"{prover.checked} places, {len(prover.unproven)} unproven; {tried} instances, {len(refused)} refused"
    return [*prover.unproven, *refused], line


def generated(ours: dict[str, Any], theirs: dict[str, Any], count: int) -> tuple[int, list[str]]:
    """How many instances of ours were tried, and why theirs refused some."""
    mine, validator = Draft7Validator(ours), Draft7Validator(theirs)
    refused: list[str] = []
    tried = 0

    @settings(
        max_examples=count,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(instances(ours, ours))
    def look(instance: Any) -> None:
        nonlocal tried
        assume(mine.is_valid(instance))
        tried += 1
        error = next(iter(validator.iter_errors(instance)), None)
        if error is not None:
            refused.append(f"{'/'.join(map(str, error.absolute_path))}: {error.message[:150]}")

    look()
    return tried, sorted(set(refused))[:10]


if __name__ == "__main__":
    sys.exit(main())
