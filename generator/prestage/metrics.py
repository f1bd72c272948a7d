"""Prometheus metrics of a run: for the textfile collector of a node, or for a push gateway."""

from __future__ import annotations

import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, push_to_gateway, write_to_textfile

from generator.prestage.outcome import Outcome

JOB = "modelyard_prestage"
TIMEOUT = 10.0  # seconds


def registry(outcome: Outcome) -> CollectorRegistry:
    """Gauges of this one run; base units, as Prometheus names them."""
    values = {
        "duration_seconds": ("Seconds that the run took.", outcome.seconds),
        "model_bytes": ("Size of the model.", outcome.bytes_total),
        "copied_bytes": ("Bytes that came from the source.", outcome.bytes_copied),
        "model_files": ("Files of the model.", outcome.files),
        "retries": ("Requests that were tried again.", outcome.retries),
        "cache_hit": ("1 when everything was in place.", int(outcome.already)),
        "exit_code": ("Exit status; 0 when the model is there.", outcome.exit),
        "completion_timestamp_seconds": ("When the run ended, in seconds since 1970.", time.time()),
    }
    made = CollectorRegistry()
    for name, (meaning, value) in values.items():
        gauge = Gauge(f"{JOB}_{name}", meaning, ["model", "commit"], registry=made)
        gauge.labels(outcome.model, outcome.commit[:12]).set(value)
    return made


def write_textfile(outcome: Outcome, path: Path) -> None:
    """Replaces `path` at once. Raises OSError."""
    write_to_textfile(str(path), registry(outcome))


def push(outcome: Outcome, url: str) -> None:
    """Replaces what the gateway holds of this model. Raises OSError and ValueError."""
    push_to_gateway(url, JOB, registry(outcome), grouping_key={"model": outcome.model}, timeout=TIMEOUT)
