"""What a Hub, its CDN and the proxies before them do wrong, as changes of the right answer.

with HubStandIn() as hub:
    faults = HubFaults(hub, FaultPlan("seed 1", rate=0.2))
    hub.intercept = faults
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random

from tests.standins.faultplan import FaultPlan
from tests.standins.hub import Blob, HubStandIn
from tests.standins.loopback import Asked, Reply, part

STALL = 600.0  # seconds; longer than any client here waits
DRIP = 0.5
PAGE = b"<!DOCTYPE html><html><head><title>Sign in to the network</title></head><body>Welcome</body></html>"

Change = Callable[[Asked, Reply, Random], Reply]


def _content(reply: Reply) -> bytes:
    return b"".join(reply.chunks())


def _with_body(reply: Reply, body: bytes, **headers: str) -> Reply:
    return replace(reply, headers={**reply.headers, **headers}, body=body, start=0, stop=None)


def _status(status: int, headers: Mapping[str, str] | None = None) -> Change:
    body = b'{"error":"made up"}'
    return lambda asked, reply, dice: Reply(status, {"Content-Type": "application/json", **(headers or {})}, body)


def _page(status: int) -> Change:
    return lambda asked, reply, dice: Reply(status, {"Content-Type": "text/html"}, PAGE)


def _short(reply: Reply, dice: Random) -> int:
    """A number of bytes before the end of the body; 0 where it is empty."""
    return dice.randrange(reply.length) if reply.length else 0


def _loop(asked: Asked, reply: Reply, dice: Random) -> Reply:
    other = asked.target if dice.random() < 0.5 else asked.target.rpartition("?")[0] or f"{asked.target}?again"
    return Reply(302, {"Location": other, **_commit(reply)})


def _commit(reply: Reply) -> dict[str, str]:
    return {key: value for key, value in reply.headers.items() if key == "X-Repo-Commit"}


def _whole(asked: Asked, reply: Reply, dice: Random) -> Reply:
    """What a server without ranges answers: 200 and everything."""
    headers = {key: value for key, value in reply.headers.items() if key not in ("Content-Range", "Accept-Ranges")}
    return Reply(200, headers, reply.body) if reply.status == 206 else reply


def _elsewhere(asked: Asked, reply: Reply, dice: Random) -> Reply:
    """A range, but another one than was asked for."""
    if reply.status != 206 or reply.stop is None or not reply.start:
        return reply
    shift = dice.randint(1, reply.start)
    start, stop = reply.start - shift, reply.stop - shift
    total = reply.headers["Content-Range"].rpartition("/")[2]
    headers = {**reply.headers, "Content-Range": f"bytes {start}-{stop - 1}/{total}"}
    return replace(reply, headers=headers, start=start, stop=stop)


FAULTS: Mapping[str, Change] = {
    "408": _status(408),
    "429": _status(429, {"Retry-After": "1"}),
    "429 without a time": _status(429),
    "500": _status(500),
    "502": _status(502),
    "503": _status(503, {"Retry-After": "1"}),
    "504": _status(504),
    "reset": lambda asked, reply, dice: Reply(reset=True),
    "reset midway": lambda asked, reply, dice: replace(reply, cut=_short(reply, dice), reset=True),
    "stall": lambda asked, reply, dice: replace(reply, wait=STALL),
    "stall midway": lambda asked, reply, dice: replace(reply, cut=_short(reply, dice), hang=STALL),
    "short read": lambda asked, reply, dice: replace(reply, cut=_short(reply, dice)),
    "drip": lambda asked, reply, dice: replace(reply, drip=DRIP),
    "200 for a range": _whole,
    "another range": _elsewhere,
    "redirect loop": _loop,
    "page with 200": _page(200),
    "page with 502": _page(502),
    "gzip": lambda asked, reply, dice: _with_body(
        reply, gzip.compress(_content(reply)), **{"Content-Encoding": "gzip"}
    ),
}
"""Faults of a network and of servers under load: each may pass."""

IN_A_BODY = frozenset(("reset midway", "stall midway", "short read", "drip", "gzip"))
IN_A_RANGE = frozenset(("200 for a range", "another range"))


def fitting(asked: Asked) -> list[str]:
    """The faults that can happen to this request."""
    unfit = IN_A_BODY if asked.method == "HEAD" else frozenset()
    unfit |= frozenset() if "range" in asked.headers else IN_A_RANGE
    return [kind for kind in FAULTS if kind not in unfit]


class HubFaults:
    """For `HubStandIn.intercept`: plays what the plan draws."""

    def __init__(self, hub: HubStandIn, plan: FaultPlan) -> None:
        self._hub, self._plan = hub, plan

    def __call__(self, asked: Asked) -> Reply | None:
        kind, dice = self._plan.draw(thing(asked), fitting(asked))
        return FAULTS[kind](asked, self._hub.right(asked), dice) if kind else None


def thing(asked: Asked) -> str:
    """What a request is for. A range by its end: its start moves when a part is continued."""
    _, _, end = asked.headers.get("range", "").partition("-")
    return f"{asked.method} {asked.server} {asked.path}{f' to {end}' if end else ''}"


# Corruptions: answers that look right and are not.


def _flip(asked: Asked, reply: Reply, dice: Random) -> Reply:
    body = bytearray(_content(reply))
    if body:
        body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
    return _with_body(reply, bytes(body))


def _truncate(asked: Asked, reply: Reply, dice: Random) -> Reply:
    """Fewer bytes, and a Content-Length that says so."""
    return _with_body(reply, _content(reply)[: _short(reply, dice)])


def _extend(asked: Asked, reply: Reply, dice: Random) -> Reply:
    return _with_body(reply, _content(reply) + dice.randbytes(dice.randint(1, 5000)))


def _overrun(asked: Asked, reply: Reply, dice: Random) -> Reply:
    """More bytes than the Content-Length says."""
    return _with_body(
        reply, _content(reply) + dice.randbytes(dice.randint(1, 5000)), **{"Content-Length": str(reply.length)}
    )


def _compressed(asked: Asked, reply: Reply, dice: Random) -> Reply:
    """gzip without a word about it."""
    return _with_body(reply, gzip.compress(_content(reply)))


def _headers(names: tuple[str, ...]) -> Change:
    def change(asked: Asked, reply: Reply, dice: Random) -> Reply:
        wrong = {key: _other_hex(value, dice) for key, value in reply.headers.items() if key in names}
        return replace(reply, headers={**reply.headers, **wrong})

    return change


def _other_hex(value: str, dice: Random) -> str:
    """The same with another hexadecimal digit in one place."""
    places = [found.start() for found in re.finditer("[0-9a-f]", value)]
    place = dice.choice(places)
    digit = dice.choice([digit for digit in "0123456789abcdef" if digit != value[place]])
    return f"{value[:place]}{digit}{value[place + 1 :]}"


CORRUPTIONS: Mapping[str, Change] = {
    "bit flip": _flip,
    "truncated": _truncate,
    "cut": lambda asked, reply, dice: replace(reply, cut=_short(reply, dice)),
    "extended": _extend,
    "overrun": _overrun,
    "compressed": _compressed,
    "gzip": FAULTS["gzip"],
    "wrong etag": _headers(("ETag", "X-Linked-Etag")),
    "wrong commit": _headers(("X-Repo-Commit",)),
}
"""Changes of one answer; for two files that changed places see `Swap`."""

IN_HEADERS = frozenset(("wrong etag", "wrong commit"))


class Swap:
    """For `HubStandIn.intercept`: each of two files has the content of the other, under its own headers."""

    def __init__(self, hub: HubStandIn, repo: str, first: str, second: str) -> None:
        self._hub, self._repo, self._other = hub, repo, {first: second, second: first}

    def __call__(self, asked: Asked) -> Reply | None:
        repository = self._hub.repositories[self._repo]
        for commit, blobs in repository.commits.items():
            for path, other in self._other.items():
                if other in blobs and self._asks_for(asked, blobs[path], commit, path):
                    return self._swapped(asked, blobs[other])
        return None

    def _asks_for(self, asked: Asked, blob: Blob, commit: str, path: str) -> bool:
        if asked.server == "cdn":
            return asked.path == f"/{blob.sha256}"
        revisions = (commit, *self._hub.repositories[self._repo].refs)
        return not blob.lfs and asked.path in [f"/{self._repo}/resolve/{name}/{path}" for name in revisions]

    def _swapped(self, asked: Asked, other: Blob) -> Reply:
        right = self._hub.right(asked)
        kept = {key: right.headers[key] for key in ("ETag", "X-Repo-Commit") if key in right.headers}
        return part(asked, other.content, other.size, kept) if right.status in (200, 206, 416) else right
