"""What ends a run at once: refused, missing, badly named (promises P6, P9), and a token that stays where it belongs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import md5
from random import Random
from typing import Any

import pytest

from tests.faults.prestage_requests import leaks
from tests.faults.prestage_scenes import MANIFEST, TOKEN, Model, Trial, World, at_the_end, model, world
from tests.standins.faultplan import FaultPlan
from tests.standins.hub import HubStandIn, Repository
from tests.standins.hubfaults import HubFaults, thing
from tests.standins.loopback import Asked, Reply
from tests.standins.s3proxy import S3Proxy
from tests.standins.seaweedfs import SeaweedFS

REPO, GONE = "org/m", "0" * 40
FACTS: Mapping[str, Mapping[str, Any]] = {"gated": {"gated": "manual"}, "private": {"private": True}}


@pytest.fixture(scope="module")
def place(seaweedfs: SeaweedFS) -> Iterator[World]:
    with world(seaweedfs) as made:
        yield made


@pytest.fixture
def trial(place: World, request: pytest.FixtureRequest) -> Iterator[Trial]:
    with place.trial(f"refusals-{md5(request.node.name.encode(), usedforsecurity=False).hexdigest()}") as made:
        yield made


def staged(trial: Trial, plan: bytes, **options: Any) -> tuple[int | None, dict[str, Any]]:
    """Exit status and last event of a run."""
    client = trial.start(plan, "--deadline", "30", **options)
    status = client.wait(40)
    return status, client.events()[-1]


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize(
    ("case", "exit", "told"),
    [
        ("gated", 77, ["gated", f"/{REPO}", "Secret"]),
        ("gated, not for this token", 77, ["gated", f"/{REPO}"]),
        ("private", 66, [REPO, "private"]),
        ("gone", 66, [REPO]),
        ("no such commit", 66, [GONE]),
        ("empty", 66, [REPO]),
    ],
)
def test_refusals_end_the_run_at_once(trial: Trial, case: str, listed: bool, exit: int, told: list[str]) -> None:
    made = model(trial.hub, REPO, (200_000,), Random(1), **FACTS.get(case.partition(",")[0], {}))
    if case == "gone":
        del trial.hub.repositories[REPO]
    elif case == "no such commit":
        made = replace(made, commit=GONE)
    elif case == "empty":
        trial.hub.repositories[REPO] = Repository({made.commit: {}})
    trial.hub.tokens.clear()
    status, last = staged(trial, made.plan(listed=listed), token="token" in case)
    assert (status, last["event"], last["exit"]) == (exit, "failed", exit), last
    said = f"{last['reason']} {last['hint']}"
    assert [word for word in told if word not in said] == []
    assert max(Counter(thing(asked) for asked in trial.hub.asked).values()) <= 2
    assert trial.stored() == {}
    assert trial.uploads() == []


def test_the_commit_is_pinned(trial: Trial) -> None:
    """The branch moves while the run goes on; nothing of the new commit is taken."""
    made = model(trial.hub, REPO, (200_000,), Random(1))

    def move(asked: Asked) -> Reply | None:
        trial.hub.intercept = lambda asked: None
        model(trial.hub, REPO, (300_000,), Random(2))
        return None

    trial.hub.intercept = move
    assert staged(trial, made.plan(listed=False))[0] == 0
    assert at_the_end(trial, made) == []
    assert [asked.path for asked in trial.hub.asked if "main" in asked.path] == []


BAD = (
    "../evil.json",
    "a/../../evil.json",
    "/etc/evil.json",
    "a\\..\\evil.json",
    "\\\\server\\share.json",
    "C:/evil.json",
    "C:evil.json",
    "a//b.json",
    "./a.json",
    "a/./b.json",
    "a/.",
    "nul\0.json",
    "line\nbreak.json",
    "escape\x1b[2J.json",
    "right\u202eto-left.json",
    "zero\u200bwidth.json",
    " a.json",
    "a /b.json",
    ".modelyard/manifest.json",
    "a/.MODELYARD/x.json",
    ".git/config",
    "config.json/a.json",
    "CONFIG.json",
    "x" * 256 + ".json",
    "/".join(["long" * 25] * 10) + ".json",
)


def _with(made: Model, path: str, *, listed: bool) -> bytes:
    plan = json.loads(made.plan(listed=listed))
    if listed:
        plan["files"][path] = [2, f"sha256:{'0' * 64}"]
    return json.dumps(plan).encode()


@pytest.mark.parametrize("listed", [True, False])
def test_bad_names_are_refused_before_the_first_byte(place: World, listed: bool) -> None:
    for number, path in enumerate(BAD):
        with place.trial(f"names-{listed}-{number}") as trial, S3Proxy(place.url, lambda asked, length: None) as proxy:
            made = model(trial.hub, REPO, (1000,), Random(number))
            if not listed:
                made = replace(made, commit=_added(trial.hub, made, path))
            status, last = staged(trial.through(proxy.url), _with(made, path, listed=listed))
            asked = [f"{asked.method} {asked.path}" for asked in trial.hub.asked if "/resolve/" in asked.path]
            if listed or _is_chosen(path):
                assert (status, last["event"], asked) == (64, "failed", []), path
                assert [request.operation for request in proxy.asked if request.method != "GET"] == [], path
            else:
                assert status == 0, path  # it is none of the files that are staged
                assert trial.stored().keys() == {*made.files, MANIFEST}, path


def _added(hub: HubStandIn, made: Model, path: str) -> str:
    return hub.add(REPO, {**made.files, path: b"{}"})


def _is_chosen(path: str) -> bool:
    """Whether the default choice would take it, if its name were good: no hidden folder, a known kind."""
    return path.endswith(".json") and not any(part.startswith(".") for part in path.split("/"))


@pytest.mark.parametrize("way", ["file", "HF_TOKEN", "HF_TOKEN_PATH"])
def test_the_token_goes_to_the_hub_alone(trial: Trial, place: World, way: str) -> None:
    made = model(trial.hub, REPO, (7 * 2**20, 1000), Random(1), gated="manual", private=True)
    path = trial.folder / "given"
    path.write_text(f"{TOKEN}\n")
    environment = {"HF_TOKEN": TOKEN, "HF_TOKEN_PATH": str(path)}
    given: dict[str, Any] = {"token": True} if way == "file" else {"environment": {way: environment[way]}}
    with S3Proxy(place.url, lambda asked, length: None) as proxy:
        assert staged(trial.through(proxy.url), made.plan(listed=False), **given)[0] == 0
    assert at_the_end(trial, made) == []
    assert leaks(trial) == []
    assert {asked.token for asked in trial.hub.asked if asked.server == "hub"} == {TOKEN}
    assert [request for request in proxy.asked if TOKEN in f"{request.target} {request.headers}"] == []


def test_the_token_is_not_said_when_everything_fails(trial: Trial) -> None:
    made = model(trial.hub, REPO, (1000,), Random(1), gated="manual")

    def refuse(asked: Asked) -> Reply:
        """Echoes what it was sent, as a careless proxy does."""
        return Reply(403, {"X-Error-Message": f"bad token {TOKEN}"}, f"bad token {TOKEN}".encode())

    trial.hub.intercept = refuse
    assert staged(trial, made.plan(listed=False), token=True)[0] == 77
    assert leaks(trial) == []
    trial.hub.intercept = HubFaults(trial.hub, FaultPlan("1", 1.0, weights={"stall": 0, "drip": 0, "stall midway": 0}))
    client = trial.start(made.plan(), "--deadline", "3", token=True)
    assert client.wait(20) in (65, 75)
    assert leaks(trial) == []
