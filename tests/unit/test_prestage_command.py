"""The program as the Job runs it: real processes, their exit status, and what they print."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from generator.prestage import command, process
from generator.prestage.exits import PERMANENT, PrestageExit
from generator.prestage.plan import Plan
from tests.standins.hub import HubStandIn
from tests.standins.loopback import Reply
from tests.unit import prestaging
from tests.unit.prestaging import FILES, OTHER, REPO, WEIGHTS, staged

ROOT = Path(__file__).parents[2]
TOKEN = "hf_madeUpForThisTest"


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    with HubStandIn() as server:
        server.tokens.add(TOKEN)
        yield server


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with a model in `source` and its plan in `plan.json`."""
    prestaging.folder(tmp_path / "source")
    (tmp_path / "plan.json").write_text(prestaging.text(prestaging.plan()))
    return tmp_path


def published(hub: HubStandIn, work: Path, **facts: Any) -> Plan:
    plan = prestaging.plan(commit=hub.add(REPO, FILES, **facts))
    (work / "plan.json").write_text(prestaging.text(plan))
    return plan


def started(
    work: Path, *words: str, environment: dict[str, str] | None = None, **options: Any
) -> subprocess.Popen[str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "AWS_", "MODELYARD_"))}
    env = {**mine, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **(environment or {})}
    line = [sys.executable, "-m", "generator.prestage", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen(line, cwd=work, env=env, **pipes)


def run(work: Path, *words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    process = started(work, *words, environment=environment)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def events(out: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in out.splitlines()]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in lines)
    return lines


def failed(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The last event, which has to say why."""
    assert ended.stdout, ended.stderr
    last = events(ended.stdout)[-1]
    assert last["event"] == "failed" and last["exit"] == ended.returncode and last["reason"], ended.stderr
    assert "Traceback" not in ended.stderr
    return last


FROM_FOLDER = ("plan.json", "--target", "target", "--source", "source")


def test_a_job_ends_with_0(hub: HubStandIn, work: Path) -> None:
    plan = published(hub, work, gated="auto")
    (work / "token").write_text(f"{TOKEN}\n")
    words = ("plan.json", "--target", "target", "--token-file", "token")
    ended = run(work, *words, environment={"HF_ENDPOINT": hub.url})
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    said = events(ended.stdout)
    first, last = said[0], said[-1]
    assert [line["event"] for line in said] == ["start", "file", "file", "file", "done"]
    assert (first["model"], first["commit"], first["files"]) == ("tiny", plan.commit, 3)
    total = sum(map(len, FILES.values()))
    assert (last["files"], last["bytes"], last["copied"], last["already"]) == (3, total, total, False)
    assert last["seconds"] > 0 and last["bytes_per_second"] > 0 and last["retries"] == 0
    assert staged(work / "target") == FILES and TOKEN not in ended.stdout
    again = run(work, *words, environment={"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert again.returncode == 0 and [line["event"] for line in events(again.stdout)] == ["already", "done"]


WRONG: dict[str, Sequence[str]] = {
    "no plan": ("--target", "target"),
    "no such plan": ("none.json", "--target", "target"),
    "no JSON": ("broken.json", "--target", "target"),
    "no target": ("plan.json",),
    "an unknown option": (*FROM_FOLDER, "--quick"),
    "too few workers": (*FROM_FOLDER, "--workers", "0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_end_with_64(work: Path, name: str) -> None:
    (work / "broken.json").write_text("{")
    ended = run(work, *WRONG[name])
    assert ended.returncode == PrestageExit.PLAN, (ended.returncode, ended.stderr)
    assert ended.stdout or (ended.stderr and "Traceback" not in ended.stderr)
    assert not (work / "target").exists()


def test_other_bytes_end_with_65(work: Path) -> None:
    (work / "source" / WEIGHTS).write_bytes(OTHER)
    last = failed(run(work, *FROM_FOLDER))
    assert (last["exit"], last["code"]) == (65, "integrity") and WEIGHTS in last["reason"]


def test_what_is_not_there_ends_with_66(hub: HubStandIn, work: Path) -> None:
    published(hub, work)
    hub.repositories.clear()
    last = failed(run(work, "plan.json", "--target", "target", environment={"HF_ENDPOINT": hub.url}))
    assert (last["exit"], last["code"]) == (66, "not_found") and REPO in last["reason"]


def test_a_target_that_refuses_ends_with_73(work: Path) -> None:
    (work / "target").write_bytes(b"a file")
    assert failed(run(work, *FROM_FOLDER))["exit"] == 73


def test_the_deadline_ends_with_75(hub: HubStandIn, work: Path) -> None:
    published(hub, work)
    hub.intercept = lambda asked: Reply(503)
    words = ("plan.json", "--target", "target", "--deadline", "1")
    ended = run(work, *words, environment={"HF_ENDPOINT": hub.url})
    last = failed(ended)
    assert (last["exit"], last["code"]) == (75, "transient") and "deadline" in last["reason"]


def test_a_gated_model_ends_with_77(hub: HubStandIn, work: Path) -> None:
    published(hub, work, gated="manual")
    given = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_ofSomebodyElse", "MODELYARD_TOKEN_SECRET": "hub-token"}
    ended = run(work, "plan.json", "--target", "target", environment=given)
    last = failed(ended)
    assert (last["exit"], last["code"]) == (77, "forbidden")
    assert f"{hub.url}/{REPO}" in last["hint"] and "Secret hub-token" in last["hint"]
    assert "hf_ofSomebodyElse" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_with_143(hub: HubStandIn, work: Path, number: signal.Signals) -> None:
    published(hub, work)
    hub.intercept = lambda asked: Reply(wait=60.0) if asked.server == "cdn" else None
    process = started(work, "plan.json", "--target", "target", environment={"HF_ENDPOINT": hub.url})
    until = time.monotonic() + 30
    while not hub.paths("cdn") and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    last = failed(subprocess.CompletedProcess((), process.returncode, out, err))
    assert (last["exit"], last["code"]) == (143, "interrupted") and number.name in last["reason"]
    assert WEIGHTS not in staged(work / "target") and not (work / "target/.modelyard/manifest.json").exists()


def test_a_preview_touches_nothing(hub: HubStandIn, work: Path) -> None:
    published(hub, work)
    ended = run(work, "plan.json", "--target", "target", "--plan", environment={"HF_ENDPOINT": hub.url})
    said = events(ended.stdout)
    assert ended.returncode == 0 and not (work / "target").exists() and hub.asked == []
    assert {line["path"]: line["action"] for line in said[:-1]} == dict.fromkeys(FILES, "copy")
    assert (said[-1]["event"], said[-1]["copy"]) == ("plan", sum(map(len, FILES.values())))


def test_an_audit_that_finds_something_ends_with_65(work: Path) -> None:
    run(work, *FROM_FOLDER)
    assert run(work, *FROM_FOLDER, "--plan", "--verify", "full").returncode == 0
    (work / "target" / WEIGHTS).write_bytes(OTHER)
    ended = run(work, *FROM_FOLDER, "--plan", "--verify", "full", "--output", "text")
    assert ended.returncode == 65 and WEIGHTS in ended.stderr
    assert (work / "target" / WEIGHTS).read_bytes() == OTHER


def test_sentences_where_they_are_asked_for(work: Path) -> None:
    ended = run(work, *FROM_FOLDER, "--output", "text")
    assert ended.returncode == 0 and ended.stdout == ""
    first, *_, last = ended.stderr.splitlines()
    assert first.startswith("staging tiny, 3 files, 3.0 MiB") and last.startswith("tiny is staged: 3 files")
    assert "\r" not in ended.stderr


def test_a_terminal_shows_a_bar(hub: HubStandIn, work: Path) -> None:
    published(hub, work)
    hub.intercept = lambda asked: Reply(wait=1.2) if asked.server == "cdn" and len(hub.paths("cdn")) == 1 else None
    ours, theirs = pty.openpty()
    process = started(
        work, "plan.json", "--target", "target", stdout=theirs, stderr=theirs, environment={"HF_ENDPOINT": hub.url}
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
        process.wait(60)
    text = shown.decode()
    assert process.returncode == 0, text
    assert re.search(r"\r?\[#*-*\] +\d+%  \S+ \S+ of 3\.0 MiB", text)
    assert "tiny is staged: 3 files" in text.splitlines()[-1] and not text.lstrip().startswith("{")


def test_a_reader_that_goes_away_does_not_end_the_copy(work: Path) -> None:
    process = started(work, *FROM_FOLDER)
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(60) == 0
    process.stderr.close()
    assert staged(work / "target") == FILES


@pytest.mark.parametrize("there", [True, False])
def test_the_reason_goes_to_the_termination_log(work: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    """Where the kubelet has made the file, and only there."""
    log = work / "termination-log"
    if there:
        log.touch()
    monkeypatch.setattr(process, "TERMINATION_LOG", str(log))
    (work / "source" / "config.json").unlink()
    (work / "source" / WEIGHTS).rename(work / f"source/{TOKEN}")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    read = lambda: command.load(work / "plan.json")  # noqa: E731
    assert command.run(read, target=str(work / "target"), source=str(work / "source"), output="json") == 66
    assert log.exists() is there
    if there:
        assert re.fullmatch(r"not_found: \S+ lacks \S+\. check --source.*\n", log.read_text())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ""),
        ({"HF_TOKEN": " hf_a \n"}, "hf_a"),
        ({"HF_TOKEN_PATH": "token"}, "hf_inFile"),
        ({"HF_TOKEN": "hf_a", "HF_TOKEN_PATH": "token"}, "hf_a"),
        ({"HF_TOKEN": "", "HF_TOKEN_PATH": "token"}, "hf_inFile"),
        ({"HF_TOKEN_PATH": "none"}, ""),
    ],
)
def test_where_the_token_comes_from(
    work: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: str
) -> None:
    (work / "token").write_text("hf_inFile\n")
    monkeypatch.chdir(work)
    for name in ("HF_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert process.token_of(None) == expected
    assert process.token_of(work / "token") == "hf_inFile"


def test_permanent_codes_are_those_that_a_retry_does_not_mend() -> None:
    assert {PrestageExit(code).name for code in PERMANENT} == {"PLAN", "INTEGRITY", "NOT_FOUND", "STORAGE", "FORBIDDEN"}


def test_help_names_every_exit_status(work: Path) -> None:
    text = run(work, "--help").stdout
    assert all(re.search(rf"\b{int(code)}\b", text) for code in PrestageExit)
