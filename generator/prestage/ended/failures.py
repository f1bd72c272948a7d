"""`{{workflow.failures}}` of Argo Workflows: which steps failed, and why.

It lists every failed node, also groups of steps and each try of a step, and is quoted once more than JSON is
(Argo Workflows 4.1, workflow/controller/operator.go). A Workflow that succeeded leaves `null`, or the very braces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SHOWN = 5
_TRY = re.compile(r"\(\d+\)$")  # of a retried step: `prestage(2)`
_EXIT = re.compile(r"exit code (\d+)")
_OF_A_CHILD = re.compile(r"child '[^']*' failed|No more retries left")


@dataclass(frozen=True, slots=True)
class Failure:
    """A step and its last message; `exit`: its container's exit status, None where the message has none."""

    step: str
    message: str
    exit: int | None


def read(text: str) -> tuple[Failure, ...]:
    """The steps in the order in which they ended for good; none where `text` is none of Argo's."""
    try:
        listed = json.loads(text)
        if isinstance(listed, str):
            listed = json.loads(listed)
        nodes = sorted((node for node in listed or () if isinstance(node, dict)), key=_finished)
    except (ValueError, TypeError, RecursionError):
        return ()
    failed = list(_failures(nodes))
    of_pods = [failure for failure in failed if not _OF_A_CHILD.match(failure.message)]
    found: dict[str, Failure] = {}
    for failure in of_pods or failed:
        found.pop(failure.step, None)
        found[failure.step] = failure
    return tuple(found.values())


def _finished(node: dict[str, Any]) -> str:
    return str(node.get("finishedAt") or "")


def _failures(nodes: list[dict[str, Any]]) -> Iterator[Failure]:
    for node in nodes:
        message = " ".join(str(node.get("message") or "").split())
        if not message:
            continue
        code = _EXIT.search(message)
        step = _TRY.sub("", str(node.get("displayName") or node.get("templateName") or "a step"))
        yield Failure(step, message, int(code[1]) if code else None)


def sentence(failures: tuple[Failure, ...]) -> str:
    """`prestage: Error (exit code 65): …`, for a few of them."""
    more = f"; and {len(failures) - SHOWN} more" if len(failures) > SHOWN else ""
    return "; ".join(f"{failure.step}: {failure.message}" for failure in failures[:SHOWN]) + more
