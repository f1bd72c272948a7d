"""How long the pods of a service get to end, from what its applications ask for.

Ray 2.60 drains a node on SIGTERM for RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S (30 s where it is not set, then everything
is killed; ray/_private/node.py): Serve starts replicas elsewhere and lets the old ones finish what they answer.
Older releases kill at once. Kubernetes kills after terminationGracePeriodSeconds, 30 s by default, whatever Ray does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

RAY_DEFAULT = (
    20  # seconds; graceful_shutdown_timeout_s of a deployment that does not say it (Ray 2.60, serve/config.py)
)
FOR_REPLACEMENT = 30  # seconds in which a new replica may start before the old one ends
FOR_PROCESSES = 30  # seconds for raylet and helpers after the drain
KEY = "graceful_shutdown_timeout_s"


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Seconds; `drain` is Ray's part of `grace`."""

    drain: int
    grace: int


def shutdown(applications: Any) -> Shutdown:
    """For pods that run these entries of serveConfigV2: the slowest deployment decides."""
    drain = round(max((*_timeouts(applications), RAY_DEFAULT))) + FOR_REPLACEMENT
    return Shutdown(drain, drain + FOR_PROCESSES)


def _timeouts(node: Any) -> Iterator[float]:
    """Wherever they stand: vLLM's are inside `args`."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == KEY:
                yield float(value)
            else:
                yield from _timeouts(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _timeouts(value)
