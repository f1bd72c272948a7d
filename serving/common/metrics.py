"""The numbers that replicas tell, through Ray's own metrics: Ray adds application, deployment and replica to each.

This table is what dashboards and alerts are made from. Exported names begin with `ray_`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Kind = Literal["counter", "gauge", "histogram"]

SHORT = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
LONG = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
# Ray 2.60 drops a gauge that nobody has set for two of its intervals (10 s each), though its value holds.
REFRESH = 5.0


@dataclass(frozen=True, slots=True)
class Metric:
    """A row. `labels` are ours beside `model`, which each has; `boundaries` are those of a histogram's buckets."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    boundaries: tuple[float, ...] = ()


LOAD = Metric(
    "modelyard_load_seconds",
    "gauge",
    "seconds",
    "Time to start a replica, by phase: import, read, build, check, warm_up. import and read overlap.",
    ("phase",),
)
FROM_CACHE = Metric(
    "modelyard_model_from_cache", "gauge", "0 or 1", "1: the model is a staged copy that agrees with its manifest."
)
FIRST_TOKEN = Metric(
    "modelyard_time_to_first_token_seconds",
    "histogram",
    "seconds",
    "From the arrival of a request to its first token, queue included.",
    boundaries=SHORT,
)
REQUEST = Metric(
    "modelyard_request_seconds",
    "histogram",
    "seconds",
    "From the arrival of a request to its end.",
    ("reason",),
    LONG,
)
QUEUE = Metric(
    "modelyard_queue_seconds", "histogram", "seconds", "Time that a request waited for a slot.", boundaries=SHORT
)
TOKENS = Metric(
    "modelyard_tokens_total",
    "counter",
    "tokens",
    "Tokens by kind: prompt (of requests that got a slot), completion.",
    ("kind",),
)
REQUESTS = Metric(
    "modelyard_requests_total",
    "counter",
    "requests",
    "Requests by what ended them: stop, length, cancelled (the caller left), error, refused, overloaded.",
    ("reason",),
)
QUEUE_DEPTH = Metric("modelyard_queue_depth", "gauge", "requests", "Requests that wait for a slot.")
BATCH_SIZE = Metric("modelyard_batch_size", "gauge", "requests", "Requests in slots.")
KV_CACHE = Metric(
    "modelyard_kv_cache_tokens",
    "gauge",
    "tokens",
    "Tokens in the slots by state: used, limit (the bound over all of them).",
    ("state",),
)

METRICS: tuple[Metric, ...] = (
    LOAD,
    FROM_CACHE,
    FIRST_TOKEN,
    REQUEST,
    QUEUE,
    TOKENS,
    REQUESTS,
    QUEUE_DEPTH,
    BATCH_SIZE,
    KV_CACHE,
)


class Sink(Protocol):
    """Takes a number: adds it to a counter, observes it in a histogram, sets a gauge. From any thread."""

    def tell(self, metric: Metric, value: float, **labels: str) -> None:
        """`labels` are those of the row."""


class ClosableSink(Sink, Protocol):
    """A sink that somebody made for one model."""

    def close(self) -> None:
        """Nothing is told any more."""


class RayMetrics:
    """The table as metrics of this replica. Gauges are sent again and again, by a thread, until `close`."""

    def __init__(self, model: str) -> None:
        self._metrics = {metric: _made(metric, model) for metric in METRICS}
        self._gauges: dict[tuple[Metric, tuple[tuple[str, str], ...]], float] = {}
        self._lock, self._closed = threading.Lock(), threading.Event()
        threading.Thread(target=self._refresh, name="metrics", daemon=True).start()

    def tell(self, metric: Metric, value: float, **labels: str) -> None:
        if metric.kind == "gauge":
            with self._lock:
                self._gauges[metric, tuple(labels.items())] = value
        self._send(metric, value, labels)

    def close(self) -> None:
        self._closed.set()

    def _send(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        made = self._metrics[metric]
        if metric.kind == "gauge":
            made.set(value, labels)
        elif metric.kind == "histogram":
            made.observe(value, labels)
        elif value > 0:  # Ray refuses to add nothing
            made.inc(value, labels)

    def _refresh(self) -> None:
        while not self._closed.wait(REFRESH):
            with self._lock:
                known = list(self._gauges.items())
            for (metric, labels), value in known:
                self._send(metric, value, dict(labels))


def _made(metric: Metric, model: str) -> Any:
    from ray.serve import metrics

    names: Any = ("model", *metric.labels)  # Ray types it as one name
    made: Any
    if metric.kind == "histogram":
        made = metrics.Histogram(metric.name, metric.meaning, list(metric.boundaries), names)
    else:
        kind = metrics.Counter if metric.kind == "counter" else metrics.Gauge
        made = kind(metric.name, metric.meaning, names)
    made.set_default_tags({"model": model})
    return made
