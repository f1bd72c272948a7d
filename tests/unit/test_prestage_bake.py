"""Models of an image, fetched inside of the test's process: token, umask, one model after the other."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generator.prestage.bake import command
from generator.prestage.plan import Plan
from tests.standins.hub import HubStandIn
from tests.unit import loadtesting, prestaging
from tests.unit.prestaging import FILES, REPO

TOKEN = "hf_madeUpForThisTest"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    for name in ("HF_TOKEN", "HF_TOKEN_PATH", "LOAD_TEST"):
        monkeypatch.delenv(name, raising=False)
    before = os.umask(0o077)
    with prestaging.pointed(monkeypatch) as server:
        server.tokens.add(TOKEN)
        yield server
    os.umask(before)


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where BuildKit mounts the secret."""
    monkeypatch.setattr(command, "TOKEN", tmp_path / "hf-token")
    return tmp_path / "hf-token"


def planned(folder: Path, *plans: Plan) -> Path:
    folder.mkdir()
    for plan in plans:
        (folder / f"{plan.model}.json").write_text(prestaging.text(plan))
    return folder


def bake(plans: Path, root: Path, capsys: pytest.CaptureFixture[str], **given: Any) -> tuple[int, list[dict[str, Any]]]:
    code = command.run(plans, root=root, output="json", **given)
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_model_lies_below_its_name_and_commit(
    hub: HubStandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = prestaging.plan(commit=hub.add(REPO, FILES))
    code, said = bake(planned(tmp_path / "plans", plan), tmp_path / "root", capsys)
    place = tmp_path / "root" / "tiny" / plan.commit[:12]
    assert code == 0 and prestaging.staged(place) == FILES
    assert [line["event"] for line in said] == ["start", "file", "file", "file", "done"]
    assert said[-1]["target"] == str(place)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "root").rglob("*")}
    assert modes == {0o755, 0o644}


@pytest.mark.parametrize("way", ["secret", "environment", "file"])
def test_ways_of_the_token(
    hub: HubStandIn,
    secret: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    way: str,
) -> None:
    plans = planned(tmp_path / "plans", prestaging.plan(commit=hub.add(REPO, FILES, gated="auto")))
    code, said = bake(plans, tmp_path / "root", capsys)
    assert code == 77 and "hf-token of the build" in said[-1]["hint"]
    given: dict[str, Any] = {}
    if way == "environment":
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        secret.write_text("hf_another")
    elif way == "file":
        (tmp_path / "token").write_text(TOKEN)
        given, _ = {"token_file": tmp_path / "token"}, secret.write_text("hf_another")
    else:
        secret.write_text(f"{TOKEN}\n")
        monkeypatch.setenv("HF_TOKEN", "")
    code, said = bake(plans, tmp_path / "root", capsys, **given)
    assert code == 0 and TOKEN not in json.dumps(said)


def test_models_that_are_done_stay_when_another_fails(
    hub: HubStandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = prestaging.plan(commit=hub.add(REPO, FILES))
    gone = Plan("zebra", "org/zebra", "e" * 40, files=good.files)
    plans = planned(tmp_path / "plans", good, gone)
    code, said = bake(plans, tmp_path / "root", capsys)
    assert code == 66 and said[-1]["reason"].startswith("zebra: org/zebra is not on ")
    hub.add("org/zebra", FILES, commit="e" * 40)
    code, said = bake(plans, tmp_path / "root", capsys)
    assert code == 0 and [(e["model"], e["already"]) for e in said if e["event"] == "done"] == [
        ("tiny", True),
        ("zebra", False),
    ]


@pytest.mark.parametrize("sound", [True, False])
def test_a_load_test_decides_whether_the_copy_counts(
    hub: HubStandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str], sound: bool
) -> None:
    files = loadtesting.model() if sound else loadtesting.model(**{"config.json": b"[]"})
    plan = prestaging.plan(files, commit=hub.add(REPO, files))
    plans = planned(tmp_path / "plans", plan)
    code, _ = bake(plans, tmp_path / "root", capsys, load_test=("tiny",))
    assert code == (0 if sound else 65)
    assert (tmp_path / "root/tiny" / plan.commit[:12] / ".modelyard/manifest.json").exists() is sound


@pytest.mark.parametrize("fault", ["no folder", "no plan", "a load test of another model"])
def test_wrong_arguments(hub: HubStandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str) -> None:
    plans = tmp_path / "plans"
    if fault != "no folder":
        planned(plans, *([prestaging.plan()] if "load" in fault else []))
    code, said = bake(plans, tmp_path / "root", capsys, load_test=("other",))
    assert code == 64 and hub.asked == [] and said[-1]["hint"]
    assert not (tmp_path / "root").exists()
