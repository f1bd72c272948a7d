"""The table of common/metrics.py without Ray: Prometheus' own client, which ray[serve] brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry

from common.metrics import METRICS, Metric

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST


class PrometheusMetrics:
    """A `Sink`. Names are those of the table, without the `ray_` that Ray puts before them."""

    def __init__(self, model: str, registry: CollectorRegistry) -> None:
        self._model = model
        self._metrics: Mapping[Metric, Any] = {metric: _made(metric, registry) for metric in METRICS}

    def tell(self, metric: Metric, value: float, **labels: str) -> None:
        child = self._metrics[metric].labels(model=self._model, **labels)
        if metric.kind == "gauge":
            child.set(value)
        elif metric.kind == "histogram":
            child.observe(value)
        else:
            child.inc(value)

    def close(self) -> None:
        """Nothing runs here."""


def exposition(registry: CollectorRegistry) -> bytes:
    """What a scrape reads, of `CONTENT_TYPE`."""
    return prometheus_client.generate_latest(registry)


def _made(metric: Metric, registry: CollectorRegistry) -> Any:
    labels = ("model", *metric.labels)
    if metric.kind == "histogram":
        return prometheus_client.Histogram(
            metric.name, metric.meaning, labels, buckets=metric.boundaries, registry=registry
        )
    kind = prometheus_client.Counter if metric.kind == "counter" else prometheus_client.Gauge
    return kind(metric.name, metric.meaning, labels, registry=registry)
