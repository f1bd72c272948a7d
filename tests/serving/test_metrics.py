"""The table of metrics, and that Ray takes it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from common import metrics
from common.metrics import METRICS, Metric, RayMetrics
from text_generation.observing import EngineMetrics

from tests.serving.recorded import Recorded


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_rows(metric: Metric) -> None:
    assert re.fullmatch("modelyard_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert bool(metric.boundaries) == (metric.kind == "histogram")
    assert list(metric.boundaries) == sorted(metric.boundaries)
    assert metric.unit != "seconds" or metric.name.endswith("_seconds")


def test_all_of_the_table() -> None:
    rows = {value for value in vars(metrics).values() if isinstance(value, Metric)}
    assert rows == set(METRICS)
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_the_table_needs_no_ray() -> None:
    text = Path(str(metrics.__file__)).read_text()
    assert not re.search(r"^(from|import) ray", text, re.MULTILINE)


@pytest.mark.serving
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray 2.60 with pydantic 2.14
@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_ray_takes_each(metric: Metric) -> None:
    told = RayMetrics("tiny")
    try:
        labels = dict.fromkeys(metric.labels, "x")
        told.tell(metric, 1.5, **labels)
        told.tell(metric, 0, **labels)
    finally:
        told.close()


@pytest.mark.serving
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray 2.60 with pydantic 2.14
def test_gauges_are_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "REFRESH", 0.01)
    told = RayMetrics("tiny")
    sent = Recorded()
    monkeypatch.setattr(told, "_send", lambda metric, value, labels: sent.tell(metric, value, **labels))
    told.tell(metrics.KV_CACHE, 3, state="used")
    told.tell(metrics.TOKENS, 5, kind="prompt")
    sent.wait_for(lambda: len(sent.told) > 4)
    told.close()
    assert sent.told[:2] == [
        ("modelyard_kv_cache_tokens", 3, {"state": "used"}),
        ("modelyard_tokens_total", 5, {"kind": "prompt"}),
    ]
    assert {name for name, _, _ in sent.told[2:]} == {"modelyard_kv_cache_tokens"}


def test_what_the_engine_tells() -> None:
    sent = Recorded()
    observer = EngineMetrics(sent)
    observer.started(7, 0.5)
    observer.first_token(0.25)
    observer.stepped(2, 1, 2, 30)
    observer.finished("stop", 3, 1.5)
    assert sent.told == [
        ("modelyard_queue_seconds", 0.5, {}),
        ("modelyard_tokens_total", 7, {"kind": "prompt"}),
        ("modelyard_time_to_first_token_seconds", 0.25, {}),
        ("modelyard_batch_size", 2, {}),
        ("modelyard_queue_depth", 1, {}),
        ("modelyard_kv_cache_tokens", 30, {"state": "used"}),
        ("modelyard_tokens_total", 2, {"kind": "completion"}),
    ]
