"""How a run ended, told to those who asked: metrics and notifications, side by side and for a short time only.

None of them changes how the run ended: what fails becomes a sentence, which the caller says as a warning.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from generator.prestage import metrics, notify
from generator.prestage.outcome import AnnouncementError, Measured, Outcome

TIMEOUT = 5.0  # seconds for all of them; a pod that was told to end has little left


def announce(
    outcome: Outcome | None,
    *,
    measured: Outcome | Measured | None = None,
    metrics_file: Path | None = None,
    gateway: str | None = None,
    topic: str | None = None,
    webhook: str | None = None,
    timeout: float = TIMEOUT,
) -> list[AnnouncementError]:
    """Tells those that are given, and returns why some of them were not told. Takes `timeout` seconds at most.

    `outcome` is for people, None where they are not told; metrics are `measured`, else those of the outcome.
    """
    measured = measured or outcome
    actions: dict[str, Callable[[], None]] = {}
    if metrics_file and measured:
        actions["the metrics file"] = partial(metrics.write_textfile, measured, metrics_file)
    if gateway and measured:
        actions["the push gateway"] = partial(metrics.push, measured, gateway, timeout)
    if topic and outcome:
        actions["SNS"] = partial(notify.sns, outcome, topic, timeout=timeout)
    if webhook and outcome:
        actions["the webhook"] = partial(notify.webhook, outcome, webhook, timeout=timeout)
    return together(actions, timeout)


def together(actions: dict[str, Callable[[], None]], timeout: float) -> list[AnnouncementError]:
    """Runs all at once; each has a name for people. One that hangs is left behind in its daemon thread."""
    ended: dict[str, AnnouncementError | None] = {}

    def run(name: str, action: Callable[[], None]) -> None:
        try:
            action()
            ended[name] = None
        except AnnouncementError as error:
            ended[name] = error
        except Exception as error:  # of a library; its text may hold an address that is a secret
            ended[name] = AnnouncementError(f"{name} was not told: {type(error).__name__}")

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in actions.items()]
    for thread in threads:
        thread.start()
    until = time.monotonic() + timeout
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0))
    said = [ended.get(name, AnnouncementError(f"{name} did not answer in {timeout:g} s")) for name in actions]
    return [error for error in said if error is not None]
