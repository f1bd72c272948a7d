"""What the Hub and its CDN answer wrongly: held against the plan, asked again, or the end of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from generator.prestage.exits import PrestageExit
from generator.prestage.sources import hub as hub_source
from tests.standins.hub import HubStandIn
from tests.standins.loopback import Asked, Reply
from tests.unit import prestaging
from tests.unit.prestaging import FILES, OTHER, PART, WEIGHTS, done, stage, staged
from tests.unit.test_prestage_hub import TOKEN, Answer, cdn, head, published, status, times


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    with prestaging.pointed(monkeypatch) as server:
        server.tokens.add(TOKEN)
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


@pytest.mark.parametrize("fresh", [30.0, -1.0])
def test_an_address_that_expired_is_asked_for_again(
    hub: HubStandIn, target: Path, fresh: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_source, "_FRESH", fresh)
    plan = published(hub)
    hub.intercept = times(2, cdn, status(403))
    ended = done(plan, target, workers=1)
    assert staged(target) == FILES and ended.of("retry") == [WEIGHTS] * 2
    assert len([path for path in hub.paths() if path.startswith("HEAD") and path.endswith(WEIGHTS)]) == 3


@pytest.mark.parametrize(
    ("code", "exit"),
    [(403, PrestageExit.FORBIDDEN), (404, PrestageExit.NOT_FOUND), (400, PrestageExit.TRANSIENT)],
)
def test_an_address_that_is_never_good_ends_the_run(
    hub: HubStandIn, target: Path, code: int, exit: PrestageExit
) -> None:
    plan = published(hub)
    hub.intercept = times(99, cdn, status(code))
    ended = stage(plan, target)
    assert ended.error and ended.error.exit is exit and "127.0.0.1" in ended.error.reason
    assert WEIGHTS not in staged(target)


def other(header: str, value: str) -> Callable[[HubStandIn], Answer]:
    def made(hub: HubStandIn) -> Answer:
        def answer(asked: Asked) -> Reply | None:
            right = hub.right(asked)
            if not head(asked) or header not in right.headers:
                return None
            return replace(right, headers={**right.headers, header: value})

        return answer

    return made


@pytest.mark.parametrize(
    ("header", "value", "named"),
    [
        ("X-Linked-Size", "7", "7 bytes"),
        ("X-Linked-Etag", f'"{"0" * 64}"', "0" * 64),
        ("ETag", f'"{"0" * 40}"', "0" * 40),
        ("X-Repo-Commit", "0" * 40, "0" * 40),
    ],
)
def test_what_the_hub_states_has_to_be_what_was_locked(
    hub: HubStandIn, target: Path, header: str, value: str, named: str
) -> None:
    plan = published(hub)
    hub.intercept = other(header, value)(hub)
    ended = stage(plan, target)
    assert ended.error and ended.error.exit is PrestageExit.INTEGRITY and named in ended.error.reason
    assert ended.error.hint and not [path for path in hub.paths("cdn") if header.startswith("X")]


def wrong(asked: Asked) -> Reply:
    first, _, last = asked.headers["range"].removeprefix("bytes=").partition("-")
    start, stop = int(first), int(last) + 1
    return Reply(206, {"Content-Range": f"bytes {start}-{stop - 1}/{len(OTHER)}"}, OTHER, start, stop)


def test_wrong_bytes_are_fetched_again(hub: HubStandIn, target: Path) -> None:
    plan = published(hub)
    hub.intercept = times(3, cdn, wrong)
    ended = done(plan, target)
    assert staged(target) == FILES and ended.of("retry") == [WEIGHTS]


def test_wrong_bytes_for_ever_end_the_run(hub: HubStandIn, target: Path) -> None:
    plan = published(hub)
    hub.intercept = times(999, cdn, wrong)
    ended = stage(plan, target)
    digest = {file.path: file.digest for file in plan.files or ()}[WEIGHTS]
    assert ended.error and ended.error.exit is PrestageExit.INTEGRITY and digest in ended.error.reason
    assert WEIGHTS not in staged(target) and not (target / ".modelyard/manifest.json").exists()


def whole_part(asked: Asked) -> bool:
    """Not the last one, which is shorter, nor the rest of one."""
    if not cdn(asked):
        return False
    start, _, stop = asked.headers["range"].removeprefix("bytes=").partition("-")
    return int(stop) - int(start) + 1 == PART


def test_a_line_that_breaks_is_taken_up_where_it_did(hub: HubStandIn, target: Path) -> None:
    plan = published(hub)
    hub.intercept = times(2, whole_part, lambda asked: replace(hub.right(asked), cut=PART // 2))
    done(plan, target)
    assert staged(target) == FILES
    ends = [asked.headers["range"] for asked in hub.asked if cdn(asked)]
    starts = sorted(int(text[6:].partition("-")[0]) for text in ends)
    assert len(starts) == 6 and sum(start % PART == PART // 2 for start in starts) == 2


PASSING: dict[str, Callable[[Asked], Reply]] = {
    "503": status(503),
    "429": lambda asked: Reply(429, {"Retry-After": "0.2"}),
    "reset": lambda asked: Reply(reset=True),
    "page": lambda asked: Reply(200, {"Content-Type": "text/html"}, b"<html>welcome</html>"),
    "not JSON": lambda asked: Reply(200, {"Content-Type": "application/json"}, b"{"),
    "no list": lambda asked: Reply(200, {"Content-Type": "application/json"}, b"[]"),
}


@pytest.mark.parametrize("name", PASSING)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_passes_is_waited_for(hub: HubStandIn, target: Path, name: str, method: str) -> None:
    plan = published(hub, listed=False)
    hub.intercept = times(2, lambda asked: asked.server == "hub" and asked.method == method, PASSING[name])
    ended = done(plan, target, workers=1)
    assert staged(target) == FILES and len(ended.of("retry", "reason")) == 2
    assert name != "429" or min(ended.of("retry", "wait")) >= 0.2


def test_a_hub_that_is_gone_ends_as_transient(hub: HubStandIn, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = published(hub)
    prestaging.point(monkeypatch, "http://127.0.0.1:9")
    ended = stage(plan, target, tries=3)
    assert ended.error and ended.error.exit is PrestageExit.TRANSIENT and "127.0.0.1:9" in ended.error.reason
