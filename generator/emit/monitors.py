"""Objects that the Prometheus operator and Grafana's sidecar take, in the platform's namespace.

Checked against prometheus-operator's monitoring.coreos.com/v1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from generator import naming
from generator.emit.boards import Board
from generator.emit.dashboard import dashboard
from generator.plan import Plan
from generator.yamlio import dump

FOLDER = "monitoring"
GROUP = "monitoring.coreos.com"
SIDECAR = {"grafana_dashboard": "1"}  # the default of Grafana's chart, sidecar.dashboards.label and labelValue


def monitor(plan: Plan, kind: str, name: str, spec: Mapping[str, Any]) -> bytes:
    """An object of the operator, with the labels by which it selects."""
    labels = plan.platform.monitoring.labels if plan.platform.monitoring else {}
    return dump({**_object(plan, f"{GROUP}/v1", kind, name, labels), "spec": dict(spec)})


def rules(plan: Plan, name: str, found: Iterable[Mapping[str, Any]]) -> bytes:
    """A PrometheusRule of one group with the same name."""
    return monitor(plan, "PrometheusRule", name, {"groups": [{"name": name, "rules": list(found)}]})


def board(plan: Plan, board: Board, file: str) -> Iterator[tuple[str, bytes]]:
    """The dashboard: for Grafana's sidecar where the catalogue asks for it, else as a file to import."""
    text = json.dumps(dashboard(board), indent=2, ensure_ascii=False) + "\n"
    if plan.platform.monitoring is None or not plan.platform.monitoring.dashboards:
        yield f"{FOLDER}/{file}.json", text.encode()
        return
    base = _object(plan, "v1", "ConfigMap", f"{board.uid}-dashboard", SIDECAR)
    yield f"{FOLDER}/{file}.yaml", dump({**base, "data": {f"{board.uid}.json": text}})


def _object(plan: Plan, api: str, kind: str, name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    own = {**naming.labels("monitoring", name), **labels}
    metadata = {"name": name, "namespace": plan.platform.namespace, "labels": own}
    return {"apiVersion": api, "kind": kind, "metadata": metadata}
