"""README of a chart: what it is for, and a table of its values from values.schema.json and values.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from generator import yamlio
from generator.assets import Assets

CHARTS = ("kserve-service", "model-services", "platform-manifests", "prestage", "ray-service")
_FOLDER = "chart-templates"


def readme(assets: Assets, chart: str) -> str:
    """The Markdown of `chart-templates/<chart>/README.md`."""
    about = yamlio.load(assets.read(f"{_FOLDER}/{chart}/Chart.yaml"), "Chart.yaml").data
    defaults = yamlio.load(assets.read(f"{_FOLDER}/{chart}/values.yaml"), "values.yaml").data
    schema = json.loads(assets.read(f"{_FOLDER}/{chart}/values.schema.json"))
    rows = (f"| `{key}` | {default} | {meaning} |" for key, default, meaning in _rows(schema, defaults, ""))
    return "\n".join(
        [
            f"# {about['name']}",
            "",
            f"{about['description']}.",
            "",
            "Static templates: they place values. `modelyard render` writes those of a catalogue to",
            "`clusters/<cluster>/`; what only the cluster knows comes from its ApplicationSet.",
            "",
            "| value | default | meaning |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _rows(schema: Mapping[str, Any], defaults: Any, path: str) -> Iterator[tuple[str, str, str]]:
    for name, inner in schema.get("properties", {}).items():
        if name == "global":
            continue
        place = f"{path}.{name}" if path else name
        default = defaults.get(name) if isinstance(defaults, dict) else None
        if "description" in inner:
            yield place, _default(default, known=isinstance(defaults, dict) and name in defaults), inner["description"]
        yield from _rows(inner, default, place)
        yield from _rows(inner.get("items", {}), None, f"{place}[]")
        free = inner.get("additionalProperties")
        if isinstance(free, dict) and "properties" in free:
            yield from _rows(free, None, f"{place}.<name>")


def _default(value: Any, *, known: bool) -> str:
    return f"`{json.dumps(value)}`" if known and not (isinstance(value, dict) and value) else ""
