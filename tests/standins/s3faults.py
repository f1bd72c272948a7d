"""What S3 does wrong, after its list of error codes, and what the way to it does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from random import Random

from tests.standins.faultplan import FaultPlan
from tests.standins.s3proxy import Change, S3Request, error_body, refusal

STALL = 600.0  # seconds; longer than any client here waits

Make = Callable[[Random, int], Change]
"""Dice and the length of the request's body to what happens."""


def _always(change: Change) -> Make:
    return lambda dice, length: change


def _early(dice: Random, length: int) -> Change:
    return Change(refusal=(503, {}, error_body("SlowDown")), early=True)


FAULTS: Mapping[str, Make] = {
    "InternalError": _always(refusal(500, "InternalError")),
    "SlowDown": _always(refusal(503, "SlowDown")),
    "SlowDown with a time": _always(refusal(503, "SlowDown", {"Retry-After": "1"})),
    "refused early": _early,
    "RequestTimeout": _always(refusal(400, "RequestTimeout")),
    "ExpiredToken": _always(refusal(400, "ExpiredToken")),
    "NoSuchUpload": _always(refusal(404, "NoSuchUpload")),
    "200 with an error": _always(Change(refusal=(200, {}, error_body("InternalError")))),
    "RequestTimeTooSkewed": _always(refusal(403, "RequestTimeTooSkewed")),
    "reset before": _always(Change(drop="before")),
    "reset after": _always(Change(drop="after")),
    "short answer": _always(Change(cut=True)),
    "stall": _always(Change(stall=STALL)),
    "bit flip": lambda dice, length: Change(flip=dice.randrange(8 * length)),
    "AccessDenied": _always(refusal(403, "AccessDenied")),
    "full": _always(refusal(507, "InsufficientStorage")),
}
PERMANENT = frozenset(("AccessDenied", "full"))
"""A client is right to give up at once."""


class S3Faults:
    """For `S3Proxy`: plays what the plan draws.

    Things are named such that another run of the same plan names them alike: what is below `prefix` without it,
    and uploads by their order.
    """

    def __init__(self, plan: FaultPlan, prefix: str = "") -> None:
        self._plan, self._prefix = plan, f"{prefix}/"
        self._uploads: dict[str, int] = {}
        self._lock = threading.Lock()

    def __call__(self, asked: S3Request, length: int) -> Change | None:
        kinds = [kind for kind in FAULTS if fits(kind, asked, length)]
        kind, dice = self._plan.draw(self._thing(asked), kinds)
        return FAULTS[kind](dice, length) if kind else None

    def _thing(self, asked: S3Request) -> str:
        name = asked.thing.replace(self._prefix, "", 1)
        upload = asked.query.get("uploadId")
        if not upload:
            return name
        with self._lock:
            return f"{name} of upload {self._uploads.setdefault(upload, len(self._uploads) + 1)}"


def fits(kind: str, asked: S3Request, length: int) -> bool:
    """Whether this fault can happen to this request."""
    match kind:
        case "NoSuchUpload":  # of an abort it would be a lie that no client can see through
            return asked.operation in ("UploadPart", "CompleteMultipartUpload", "ListParts")
        case "200 with an error":
            return asked.operation == "CompleteMultipartUpload"
        case "bit flip" | "refused early":
            return asked.operation in ("PutObject", "UploadPart") and length > 0
    return True
