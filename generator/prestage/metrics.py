"""Prometheus metrics of one run, for node_exporter's textfile collector and for a Pushgateway.

All are gauges: they say how the last run of a model went, and a process that lives once counts nothing
(prometheus.io, "Metric types", "When to use the Pushgateway"). The labels are `model` and `commit12`; a look for a new
commit and a load test have groups and gauges of their own, so that they do not replace those of the copy.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from generator.prestage.outcome import AnnouncementError, Measured, Outcome

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

JOB = "modelyard_prestage"
PREFIX = "modelyard_prestage_"
REFRESH, LOADTEST = "modelyard_refresh", "modelyard_loadtest"  # jobs, and what the names of their gauges begin with
COMMIT_DIGITS = 12

Gauges = Mapping[str, tuple[str, float, Mapping[str, str]]]
"""Help text, value and labels by name."""


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


def checked(outcome: Outcome, branch: str, *, answered: bool, newer: bool) -> Measured:
    """Of a look for a new commit on `branch`.

    Where the Hub gave no answer only the exit status is told: the age of the newest answer goes on to grow.
    """
    labels = {"model": outcome.model, "branch": branch}
    found: dict[str, tuple[str, float, Mapping[str, str]]] = {
        f"{REFRESH}_exit_code": ("Exit status of the last look for a new commit; 0 is success.", outcome.exit, labels)
    }
    if answered:
        commit = {**labels, "commit12": outcome.commit[:COMMIT_DIGITS]}
        found |= {
            f"{REFRESH}_newer_staged": ("1 when a newer commit is staged than the one in service.", newer, commit),
            f"{REFRESH}_last_answer_timestamp_seconds": ("When the Hub last named the commit.", time.time(), labels),
        }
    return Measured(REFRESH, outcome.model, found, whole=answered)


def tested(outcome: Outcome) -> Measured:
    """Of a load test."""
    labels = {"model": outcome.model, "commit12": outcome.commit[:COMMIT_DIGITS]}
    values = {
        "duration_seconds": ("How long the last load test took.", outcome.seconds),
        "exit_code": ("Exit status of the last load test; 0 is success, 65 a model that is not whole.", outcome.exit),
        "last_completion_timestamp_seconds": ("When the last load test ended, however it did.", time.time()),
    }
    return Measured(LOADTEST, outcome.model, {f"{LOADTEST}_{name}": (*fact, labels) for name, fact in values.items()})


def write_textfile(result: Outcome | Measured, path: Path) -> None:
    """Replaces the file at once; node_exporter reads it where its name ends in .prom. Raises AnnouncementError.

    What is not whole leaves the file as it is, if there is one.
    """
    if isinstance(result, Measured) and not result.whole and path.is_file():
        return
    try:
        from prometheus_client import write_to_textfile

        write_to_textfile(str(path), _registry(result))
    except OSError as error:
        raise AnnouncementError(f"cannot write metrics to {path}: {error.strerror or error}") from error
    except ImportError as error:
        raise _missing(error) from error


def push(result: Outcome | Measured, url: str, timeout: float) -> None:
    """Replaces the model's group at the Pushgateway, so that no old commit stays there. Raises AnnouncementError.

    `url` is `http(s)://host[:port][/path]`, or `host:port`; `timeout` in seconds.
    """
    gateway = url if "://" in url else f"http://{url}"
    place = _place(gateway)
    try:
        from prometheus_client import push_to_gateway, pushadd_to_gateway

        job, whole = (result.job, result.whole) if isinstance(result, Measured) else (JOB, True)
        send = push_to_gateway if whole else pushadd_to_gateway
        send(gateway, job, _registry(result), {"model": result.model}, timeout)
    except urllib.error.HTTPError as error:
        error.close()
        raise AnnouncementError(f"the push gateway {place} answers {error.code}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise AnnouncementError(f"the push gateway {place} was not reached: {reason}") from error
    except ImportError as error:
        raise _missing(error) from error


def _registry(result: Outcome | Measured) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import GaugeMetricFamily

    class LastRun:
        def collect(self) -> Iterator[Metric]:
            for name, (text, value, labels) in _all(result).items():
                family = GaugeMetricFamily(name, text, labels=tuple(labels))
                family.add_metric(tuple(labels.values()), float(value))
                yield family

    registry = CollectorRegistry(auto_describe=False)
    registry.register(LastRun())
    return registry


def _all(result: Outcome | Measured) -> Gauges:
    if isinstance(result, Measured):
        return result.gauges
    labels = {"model": result.model, "commit12": result.commit[:COMMIT_DIGITS]}
    return {PREFIX + name: (*fact, labels) for name, fact in gauges(result, time.time()).items()}


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
