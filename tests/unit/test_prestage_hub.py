"""The Hub as source: what is asked for, where the token goes, and what each refusal ends in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from generator.prestage.exits import PrestageExit
from generator.prestage.plan import Plan
from generator.prestage.sources.hub import HubSource
from tests.standins.hub import HubStandIn
from tests.standins.loopback import Asked, Reply
from tests.standins.weights import sharded_model, tiny_model
from tests.unit import prestaging
from tests.unit.prestaging import BYTES, FILES, PART, REPO, WEIGHTS, done, stage, staged

TOKEN = "hf_madeUpForThisTest"
Answer = Callable[[Asked], Reply | None]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    with prestaging.pointed(monkeypatch) as server:
        server.tokens.add(TOKEN)
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def published(hub: HubStandIn, *, listed: bool = True, **facts: Any) -> Plan:
    """The files on the Hub, and a plan for them."""
    commit = hub.add(REPO, FILES, **facts)
    return prestaging.plan(FILES if listed else None, commit=commit)


def times(count: int, matches: Callable[[Asked], bool], reply: Callable[[Asked], Reply]) -> Answer:
    """The first `count` requests that match are answered so."""
    left = [count]

    def answer(asked: Asked) -> Reply | None:
        if left[0] and matches(asked):
            left[0] -= 1
            return reply(asked)
        return None

    return answer


def cdn(asked: Asked) -> bool:
    return asked.server == "cdn"


def head(asked: Asked) -> bool:
    return asked.method == "HEAD"


def test_a_listed_plan_asks_for_its_files_alone(hub: HubStandIn, target: Path) -> None:
    plan = published(hub)
    ended = done(plan, target)
    assert staged(target) == FILES and ended.of("retry") == []
    small = [path for path in FILES if path != WEIGHTS]
    resolve = f"/{REPO}/resolve/{plan.commit}"
    expected = [f"HEAD {resolve}/{path}" for path in FILES] + [f"GET {resolve}/{path}" for path in small]
    assert sorted(hub.paths()) == sorted(expected)


def test_parts_are_asked_for_once_each(hub: HubStandIn, target: Path) -> None:
    done(published(hub), target)
    ranges = sorted((asked.headers["range"] for asked in hub.asked if cdn(asked)), key=len)
    ends = [min(start + PART, len(BYTES)) - 1 for start in range(0, len(BYTES), PART)]
    assert sorted(ranges) == sorted(f"bytes={number * PART}-{end}" for number, end in enumerate(ends))


def test_without_a_list_the_hubs_is_taken(hub: HubStandIn, target: Path) -> None:
    files = {**tiny_model(), **sharded_model(), "tokenizer.json": b"{}"}
    commit = hub.add(REPO, files)
    done(prestaging.plan(None, commit=commit), target)
    assert sorted(staged(target)) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert hub.paths()[0] == f"GET /api/models/{REPO}/revision/{commit}"
    assert not [path for path in hub.paths() if "pytorch_model" in path or "/main" in path]
    hub.asked.clear()
    again = done(prestaging.plan(None, commit=commit), target)
    assert again.tally.already and hub.asked == []


@pytest.mark.parametrize("listed", [True, False])
def test_a_token_goes_to_the_hub_alone(hub: HubStandIn, target: Path, listed: bool) -> None:
    plan = published(hub, gated="auto", listed=listed)
    ended = done(plan, target, token=TOKEN)
    assert staged(target) == FILES
    assert {asked.token for asked in hub.asked if not cdn(asked)} == {TOKEN}
    assert {asked.token for asked in hub.asked if cdn(asked)} == {None}
    assert not any(TOKEN in f"{asked.target}" for asked in hub.asked)
    assert TOKEN not in str(ended.said)


@pytest.mark.parametrize("token", [None, "hf_ofSomebodyElse"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_gated_model_names_the_licence_and_the_secret(
    hub: HubStandIn, target: Path, token: str | None, listed: bool
) -> None:
    ended = stage(published(hub, gated="manual", listed=listed), target, token=token, token_secret="hub-token")
    assert ended.error and ended.error.exit is PrestageExit.FORBIDDEN and "gated" in ended.error.reason
    assert f"{hub.url}/{REPO}" in ended.error.hint and "Secret hub-token" in ended.error.hint
    assert ended.of("retry") == [] and staged(target) == {}
    assert "source.tokenSecret" in str(stage(published(hub, gated="manual"), target / "b").error.hint)  # type: ignore[union-attr]


def status(code: int, error: str = "") -> Callable[[Asked], Reply]:
    return lambda asked: Reply(code, {"X-Error-Code": error} if error else {}, b"")


REFUSED: dict[str, tuple[Answer, PrestageExit, str]] = {
    "private, no token": (times(9, head, status(401, "RepoNotFound")), PrestageExit.NOT_FOUND, "is private"),
    "no such revision": (times(9, head, status(404, "RevisionNotFound")), PrestageExit.NOT_FOUND, "has no commit"),
    "no such file": (times(9, head, status(404, "EntryNotFound")), PrestageExit.NOT_FOUND, "lacks a file"),
    "disabled": (
        times(9, head, lambda a: Reply(403, {"X-Error-Message": "Access to this resource is disabled."})),
        PrestageExit.FORBIDDEN,
        "disabled",
    ),
    "a proxy that refuses": (times(9, head, status(403)), PrestageExit.FORBIDDEN, "answers 403"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_hub_refuses_is_not_asked_again(hub: HubStandIn, target: Path, name: str) -> None:
    plan = published(hub)
    hub.intercept, exit, named = REFUSED[name]
    ended = stage(plan, target)
    assert ended.error and ended.error.exit is exit and named in ended.error.reason and ended.error.hint
    assert ended.of("retry") == [] and staged(target) == {}


def test_a_refused_token_is_not_a_missing_repository(hub: HubStandIn, target: Path) -> None:
    plan = published(hub)
    hub.intercept = times(9, head, status(401, "RepoNotFound"))
    ended = stage(plan, target, token="hf_expired")
    assert ended.error and ended.error.exit is PrestageExit.FORBIDDEN


@pytest.mark.parametrize("listed", [True, False])
def test_a_commit_that_is_not_there(hub: HubStandIn, target: Path, listed: bool) -> None:
    plan = replace(published(hub, listed=listed), commit="0" * 40)
    ended = stage(plan, target)
    assert ended.error and ended.error.exit is PrestageExit.NOT_FOUND and "0" * 40 in ended.error.reason


@pytest.mark.parametrize("listed", [True, False])
def test_a_renamed_repository_is_followed(hub: HubStandIn, target: Path, listed: bool) -> None:
    plan = published(hub, listed=listed)
    old = replace(plan, repo="org/old")

    def moved(asked: Asked) -> Reply | None:
        if asked.server == "hub" and "/org/old" in asked.path:
            return Reply(307, {"Location": asked.target.replace("/org/old", f"/{REPO}")})
        return None

    hub.intercept = moved
    done(old, target)
    assert staged(target) == FILES


@pytest.mark.parametrize("files", [{"config.json": b"{}"}, {"pytorch_model.bin": b"x", "config.json": b"{}"}])
def test_no_weights_no_model(hub: HubStandIn, target: Path, files: dict[str, bytes]) -> None:
    ended = stage(prestaging.plan(None, commit=hub.add(REPO, files)), target)
    assert ended.error and ended.error.exit is PrestageExit.NOT_FOUND and "no weights" in ended.error.reason


@pytest.mark.parametrize("name", ["/etc/x.json", "Config.json", "a\\b.json", "a\u202eb.json"])
def test_unsafe_names_are_refused_before_the_first_byte(hub: HubStandIn, target: Path, name: str) -> None:
    ended = stage(prestaging.plan(None, commit=hub.add(REPO, {**FILES, name: b"{}"})), target)
    assert ended.error and ended.error.exit is PrestageExit.PLAN and "unsafe" in ended.error.reason
    assert len(hub.asked) == 1 and staged(target) == {}


def test_offline_mode_is_named(hub: HubStandIn, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = published(hub)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    ended = stage(plan, target)
    assert ended.error and ended.error.exit is PrestageExit.PLAN and "HF_HUB_OFFLINE" in ended.error.reason


@pytest.mark.parametrize("token", ["hf_with\nnewline", "hf_nön-ascii", "hf_\x00"])
def test_a_token_that_is_none_is_a_refusal(hub: HubStandIn, target: Path, token: str) -> None:
    """No header can hold it; trying again does not help, and it is not shown."""
    ended = stage(published(hub), target, token=token, token_secret="hub-token")
    assert ended.error and ended.error.exit in (PrestageExit.FORBIDDEN, PrestageExit.PLAN)
    assert token not in ended.error.reason and ended.of("retry") == []


def test_its_name_says_where(hub: HubStandIn) -> None:
    plan = published(hub)
    source = HubSource(plan, prestaging.settings(token=TOKEN))
    assert source.name == f"{hub.url}/{REPO}@{plan.commit}"
