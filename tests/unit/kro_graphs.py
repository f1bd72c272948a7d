"""Small graphs for the tests of generator.kro: one place to write them short."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from generator.errors import Diagnostic, Severity
from generator.kro.check import check
from generator.kro.reading import Document, parse
from generator.kro.schemas import Schemas

GOOD = Path(__file__).parents[1] / "kro" / "good"


def config_map(**data: Any) -> dict[str, Any]:
    """A ConfigMap template with these values."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "${schema.metadata.name}"}, "data": data}


def graph(
    spec: Mapping[str, Any] | None = None,
    *resources: Mapping[str, Any],
    status: Any = None,
    types: Any = None,
    **schema: Any,
) -> dict[str, Any]:
    """A graph of kind Thing with the given fields and resources; without resources, one ConfigMap."""
    own = {"apiVersion": "v1alpha1", "kind": "Thing", "spec": dict(spec or {}), **schema}
    own |= {key: value for key, value in (("status", status), ("types", types)) if value is not None}
    items = list(resources) or [{"id": "settings", "template": config_map()}]
    return {
        "apiVersion": "kro.run/v1alpha1",
        "kind": "ResourceGraphDefinition",
        "metadata": {"name": "thing"},
        "spec": {"schema": own, "resources": items},
    }


def values(**data: Any) -> dict[str, Any]:
    """The resource `settings`: a ConfigMap with these values."""
    return {"id": "settings", "template": config_map(**data)}


def found(data: Mapping[str, Any], schemas: Schemas | None = None) -> list[Diagnostic]:
    return check([Document(dict(data), "graph.yaml")], schemas)


def errors(data: Mapping[str, Any], schemas: Schemas | None = None) -> list[str]:
    """`place: message` of every error."""
    return [f"{d.path}: {d.message}" for d in found(data, schemas) if d.severity is Severity.ERROR]


def warnings(data: Mapping[str, Any], schemas: Schemas | None = None) -> list[str]:
    return [f"{d.path}: {d.message}" for d in found(data, schemas) if d.severity is Severity.WARNING]


def loaded(text: str) -> list[Document]:
    return parse(text, "graph.yaml")


def as_yaml(data: Any) -> str:
    return yaml.safe_dump(data, sort_keys=False)
