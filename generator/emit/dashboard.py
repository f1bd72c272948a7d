"""A Grafana dashboard in the form that Grafana imports.

Written for schemaVersion 39 (Grafana 10.4; newer ones migrate it on reading).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from generator.emit.boards import Board, Choice, Panel

WIDTH = 24  # of Grafana's grid
HEIGHT = 8
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard(board: Board) -> dict[str, Any]:
    """What Grafana imports."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": "Rendered by modelyard; change it there, or save it under another name.",
        "tags": list(board.tags),
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": board.refresh,
        "time": {"from": f"now-{board.since}", "to": "now"},
        "templating": {"list": list(_variables(board))},
        "annotations": {"list": []},
        "panels": list(_panels(board)),
    }


def _variables(board: Board) -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1}
    yield from map(_variable, board.choices)


def _variable(choice: Choice) -> dict[str, Any]:
    """A choice of the values that a label has, all at first."""
    return {
        "name": choice.name,
        "label": choice.title,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": f"label_values({choice.series}, {choice.of})", "refId": "A"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _panels(board: Board) -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for title, panels in board.rows:
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
