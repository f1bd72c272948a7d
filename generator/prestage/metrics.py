"""Prometheus metrics of one run, for node_exporter's textfile collector and for a Pushgateway.

All are gauges: they say how the last run of a model went, and a process that lives once counts nothing
(prometheus.io, "Metric types", "When to use the Pushgateway"). The labels are `model` and `commit12`.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from generator.prestage.outcome import AnnouncementError, Outcome

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

JOB = "modelyard_prestage"
PREFIX = "modelyard_prestage_"
COMMIT_DIGITS = 12


def gauges(outcome: Outcome, ended: float) -> dict[str, tuple[str, float]]:
    """Help text and value by name without PREFIX; base units. `ended` in seconds since 1970."""
    return {
        "duration_seconds": ("How long the last run took.", outcome.seconds),
        "size_bytes": ("Size of the model.", outcome.bytes_total),
        "copied_bytes": ("What the last run read from the source.", outcome.bytes_copied),
        "files": ("Files of the model.", outcome.files),
        "retries": ("Requests that the last run repeated.", outcome.retries),
        "cache_hit": ("1 when the last run found everything in place, else 0.", outcome.already),
        "exit_code": ("Exit status of the last run; 0 is success.", outcome.exit),
        "last_completion_timestamp_seconds": ("When the last run ended, however it did.", ended),
    }


def write_textfile(outcome: Outcome, path: Path) -> None:
    """Replaces the file at once; node_exporter reads it where its name ends in .prom. Raises AnnouncementError."""
    try:
        from prometheus_client import write_to_textfile

        write_to_textfile(str(path), _registry(outcome))
    except OSError as error:
        raise AnnouncementError(f"cannot write metrics to {path}: {error.strerror or error}") from error
    except ImportError as error:
        raise _missing(error) from error


def push(outcome: Outcome, url: str, timeout: float) -> None:
    """Replaces the model's group at the Pushgateway, so that no old commit stays there. Raises AnnouncementError.

    `url` is `http(s)://host[:port][/path]`, or `host:port`; `timeout` in seconds.
    """
    gateway = url if "://" in url else f"http://{url}"
    place = _place(gateway)
    try:
        from prometheus_client import push_to_gateway

        push_to_gateway(gateway, JOB, _registry(outcome), {"model": outcome.model}, timeout)
    except urllib.error.HTTPError as error:
        error.close()
        raise AnnouncementError(f"the push gateway {place} answers {error.code}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise AnnouncementError(f"the push gateway {place} was not reached: {reason}") from error
    except ImportError as error:
        raise _missing(error) from error


def _registry(outcome: Outcome) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import GaugeMetricFamily

    class LastRun:
        def collect(self) -> Iterator[Metric]:
            for name, (text, value) in gauges(outcome, time.time()).items():
                family = GaugeMetricFamily(PREFIX + name, text, labels=("model", "commit12"))
                family.add_metric((outcome.model, outcome.commit[:COMMIT_DIGITS]), float(value))
                yield family

    registry = CollectorRegistry(auto_describe=False)
    registry.register(LastRun())
    return registry


def _place(url: str) -> str:
    """Host and port, for people; a password in the address is refused, as it would end up in logs."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        sound = False
    if not sound:
        raise AnnouncementError("the address of the push gateway is not http(s)://host[:port]")
    return parts.netloc


def _missing(error: ImportError) -> AnnouncementError:
    return AnnouncementError(f"metrics need the package {error.name}: pip install 'modelyard[prestage]'")
