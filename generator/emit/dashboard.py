"""The Grafana dashboard of the services, in the form that Grafana imports.

Written for schemaVersion 39 (Grafana 10.4; newer ones migrate it on reading).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from generator.emit.panels import ROWS, SERVICE, Panel

UID = "modelyard-services"
TITLE = "Modelyard: model services"
WIDTH = 24  # of Grafana's grid
HEIGHT = 8
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard() -> dict[str, Any]:
    """What Grafana imports."""
    return {
        "uid": UID,
        "title": TITLE,
        "description": "Rendered by modelyard; change it there, or save it under another name.",
        "tags": ["modelyard", "ray", "llm"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": list(_variables())},
        "annotations": {"list": []},
        "panels": list(_panels()),
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1}
    yield _variable("namespace", "Namespace", "ray_serve_application_status", "namespace")
    known = 'ray_serve_application_status{namespace=~"$namespace"}'
    yield _variable("service", "Service", known, "modelyard_dev_service")
    yield _variable("application", "Application", f"ray_serve_application_status{{{SERVICE}}}", "application")


def _variable(name: str, label: str, series: str, of: str) -> dict[str, Any]:
    """A choice of the values that a label has, all at first."""
    query = f"label_values({series}, {of})"
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": "A"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _panels() -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for title, panels in ROWS:
        number += 1
        place = {"h": 1, "w": WIDTH, "x": 0, "y": y}
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        y += 1
        height = HEIGHT // 2 if panels[0].kind == "stat" else HEIGHT
        width = WIDTH // len(panels)
        for column, panel in enumerate(panels):
            number += 1
            yield _panel(panel, number, {"h": height, "w": width, "x": column * width, "y": y})
        y += height


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    """Shares go from nothing to all; other axes begin at nothing."""
    limits = {"min": 0, "max": 1} if panel.unit == "percentunit" else {"min": 0}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, **limits}, "overrides": []},
        "options": _OPTIONS[panel.kind],
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": expr, "legendFormat": legend}
            for index, (expr, legend) in enumerate(panel.series)
        ],
    }


_OPTIONS: dict[str, dict[str, Any]] = {
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "graphMode": "area"},
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
}
