"""Metrics that are kept instead of sent."""

from __future__ import annotations

import threading
from collections.abc import Callable

from common.metrics import Metric


class Recorded:
    """A `Sink`."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float, dict[str, str]]] = []
        self._more = threading.Condition()

    def tell(self, metric: Metric, value: float, **labels: str) -> None:
        with self._more:
            self.told.append((metric.name, value, labels))
            self._more.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self._more:
            assert self._more.wait_for(condition, timeout=60)

    def of(self, metric: Metric) -> list[tuple[float, dict[str, str]]]:
        return [(value, labels) for name, value, labels in self.told if name == metric.name]

    def close(self) -> None: ...
