"""A branch that moves: the new commit is staged beside the old one and told once; nothing else happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from generator.prestage import manifest
from generator.prestage.plan import Plan
from generator.prestage.refresh import command
from tests.standins.hub import HubStandIn
from tests.standins.loopback import Reply
from tests.standins.receiver import Receiver
from tests.standins.seaweedfs import SeaweedFS
from tests.unit import loadtesting, prestaging, s3world
from tests.unit.loadtesting import model
from tests.unit.prestaging import REPO
from tests.unit.s3world import MANIFEST, Place

NEW = {**model(), "config.json": loadtesting.text({**loadtesting.CONFIG, "rope_theta": 1})}
TOKEN = "hf_madeUpForThisTest"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    for name in ("HF_TOKEN", "HF_TOKEN_PATH", "MODELYARD_WEBHOOK_URL"):
        monkeypatch.delenv(name, raising=False)
    with prestaging.pointed(monkeypatch) as server:
        yield server


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A webhook."""
    with Receiver() as receiver:
        monkeypatch.setenv("MODELYARD_WEBHOOK_URL", f"{receiver.url}/hook")
        yield receiver


@pytest.fixture
def root(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Place:
    return s3world.place(seaweedfs, monkeypatch, sha256(request.node.nodeid.encode()).hexdigest()[:12])


@pytest.fixture
def plan(hub: HubStandIn) -> Plan:
    """The commit in service, which the branch is at."""
    return prestaging.plan(model(), commit=hub.add(REPO, model()))


def look(
    plan: Plan, root: object, capsys: pytest.CaptureFixture[str], **given: Any
) -> tuple[int, list[dict[str, Any]]]:
    """One look: its exit status and what it said."""
    code = command.run(lambda: plan, revision="main", root=str(root), output="json", **given)
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def texts(told: Receiver) -> list[str]:
    return [json.loads(request.body)["text"] for request in told.received]


def test_nothing_new(plan: Plan, tmp_path: Path, told: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = look(plan, tmp_path / "root", capsys)
    assert code == 0 and not (tmp_path / "root").exists() and told.received == []
    (line,) = said
    assert (line["event"], line["branch"], line["commit"]) == ("current", "main", plan.commit)


def test_a_new_commit(
    hub: HubStandIn, plan: Plan, root: Place, told: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = hub.add(REPO, {**NEW, "README.md": b"#", "extra.bin": b"x"})
    target = f"{root.url}/{commit[:12]}"
    code, said = look(plan, f"{root.url}/", capsys)
    assert code == 0, said
    newer = said[-1]
    del newer["time"]
    assert newer == {
        "event": "newer",
        "model": "tiny",
        "branch": "main",
        "from": plan.commit,
        "to": commit,
        "target": target,
        "already": False,
    }
    beside = Place(root.client, f"{root.prefix}/{commit[:12]}")
    assert beside.staged() == NEW and beside.manifest()["commit"] == commit
    (text,) = texts(told)
    assert f"tiny has a new commit on main: {commit[:12]}" in text and "modelyard lock --upgrade tiny" in text

    code, said = look(plan, root.url, capsys)
    assert code == 0 and said[-1]["event"] == "newer" and said[-1]["already"]
    assert len(told.received) == 1, "a commit is told once"


def test_rules_of_the_plan_choose_the_files(
    hub: HubStandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = prestaging.plan(None, commit=hub.add(REPO, model()), allow=("README.md",), ignore=("tokenizer*",))
    commit = hub.add(REPO, {**NEW, "README.md": b"#"})
    assert look(plan, tmp_path, capsys)[0] == 0
    staged = prestaging.staged(tmp_path / commit[:12])
    assert "README.md" in staged and "tokenizer.json" not in staged and staged["config.json"] == NEW["config.json"]


@pytest.mark.parametrize("held", [False, True])
def test_a_new_commit_is_tested(
    hub: HubStandIn, plan: Plan, tmp_path: Path, told: Receiver, capsys: pytest.CaptureFixture[str], held: bool
) -> None:
    """Also one that a run before has copied, which was killed before its test."""
    commit = hub.add(REPO, NEW)
    target = tmp_path / commit[:12]
    if held:
        prestaging.done(prestaging.plan(None, commit=commit), target, hold=True)
    code, said = look(plan, tmp_path, capsys, load_test=True)
    assert code == 0, said
    assert [line["event"] for line in said][-3:] == ["published", "done", "newer"] and not said[-1]["already"]
    assert (target / MANIFEST).is_file() and not (target / manifest.HELD).exists() and len(told.received) == 1
    code, said = look(plan, tmp_path, capsys, load_test=True)
    assert code == 0 and said[-1]["already"] and len(told.received) == 1


@pytest.mark.parametrize("tell", ["all", "newer"])
def test_a_new_commit_that_fails_its_test(
    hub: HubStandIn, plan: Plan, tmp_path: Path, told: Receiver, capsys: pytest.CaptureFixture[str], tell: str
) -> None:
    commit = hub.add(REPO, {**NEW, "config.json": b"{}"})
    code, said = look(plan, tmp_path, capsys, load_test=True, tell=tell)
    assert code == 65 and said[-1]["event"] == "failed" and "neither a model_type" in said[-1]["reason"]
    assert not (tmp_path / commit[:12] / MANIFEST).exists()
    expected = ["the look for a new commit of tiny on main failed"] if tell == "all" else []
    assert [text.removeprefix(":x: ").partition(":")[0] for text in texts(told)] == expected


def test_a_branch_that_is_gone(hub: HubStandIn, plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del hub.repositories[REPO].refs["main"]
    code, said = look(plan, tmp_path, capsys)
    assert code == 66 and said[-1]["reason"] == f"{REPO} has no branch main" and "refresh.revision" in said[-1]["hint"]


def test_a_repository_that_is_gone(
    hub: HubStandIn, plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repositories.clear()
    assert look(plan, tmp_path, capsys)[0] == 66


def test_a_gated_repository(hub: HubStandIn, plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the branch is at may be asked; its files may not."""
    hub.add(REPO, NEW, gated="manual")
    code, said = look(plan, tmp_path, capsys)
    assert code == 77 and "is gated" in said[-1]["reason"]


def test_a_hub_that_is_down(hub: HubStandIn, plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub.intercept = lambda asked: Reply(503)
    code, said = look(plan, tmp_path, capsys, deadline=1.0)
    assert code == 75 and "503" in said[-1]["reason"]


def test_an_answer_without_a_commit(
    hub: HubStandIn, plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.intercept = lambda asked: Reply(200, {"Content-Type": "application/json"}, b'{"id": "org/tiny", "sha": "main"}')
    code, said = look(plan, tmp_path, capsys, deadline=1.0)
    assert code == 75 and "does not answer as a Hub does" in said[-1]["reason"]


def test_a_root_that_is_none(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    assert look(plan, "ftp://x/y", capsys)[0] == 64


def pushed(gateway: Receiver) -> tuple[str, str, dict[str, float]]:
    """Method and path of the last push, and value by name and labels."""
    request = gateway.received[-1]
    lines = [line for line in request.body.decode().splitlines() if not line.startswith("#")]
    return (
        request.method,
        request.path,
        {key: float(value) for key, _, value in (line.rpartition(" ") for line in lines)},
    )


def test_metrics(hub: HubStandIn, plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = 'branch="main",model="tiny"'
    with Receiver() as gateway:
        look(plan, tmp_path, capsys, push_gateway=gateway.url)
        method, path, values = pushed(gateway)
        assert (method, path) == ("PUT", "/metrics/job/modelyard_refresh/model/tiny")
        assert values.pop(f"modelyard_refresh_last_answer_timestamp_seconds{{{labels}}}") > 1e9
        now = f'branch="main",commit12="{plan.commit[:12]}",model="tiny"'
        assert values == {f"modelyard_refresh_exit_code{{{labels}}}": 0, f"modelyard_refresh_newer_staged{{{now}}}": 0}

        commit = hub.add(REPO, NEW)
        for _ in range(2):
            look(plan, tmp_path, capsys, push_gateway=gateway.url)
            new = f'branch="main",commit12="{commit[:12]}",model="tiny"'
            assert pushed(gateway)[2][f"modelyard_refresh_newer_staged{{{new}}}"] == 1

        hub.repositories.clear()
        look(plan, tmp_path, capsys, push_gateway=gateway.url)
        # POST: what was known stays, and so the age of the newest answer grows.
        assert pushed(gateway) == (
            "POST",
            "/metrics/job/modelyard_refresh/model/tiny",
            {f"modelyard_refresh_exit_code{{{labels}}}": 66},
        )


def test_the_file_keeps_the_newest_answer(
    hub: HubStandIn, plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "refresh.prom"
    look(plan, tmp_path / "root", capsys, metrics_file=file)
    before = file.read_text()
    hub.repositories.clear()
    look(plan, tmp_path / "root", capsys, metrics_file=file)
    assert "modelyard_refresh_last_answer_timestamp_seconds" in before and file.read_text() == before
