"""The programs beside the copy, as processes: help, exit status, one JSON line per event, an end within seconds."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from generator.prestage.exits import PrestageExit
from tests.standins.hub import HubStandIn
from tests.standins.loopback import Reply
from tests.standins.receiver import Receiver
from tests.unit import loadtesting, prestaging
from tests.unit.prestaging import REPO
from tests.unit.test_prestage_command import events, failed

ROOT = Path(__file__).parents[2]
PROGRAMS = (
    "generator.prestage",
    "generator.prestage.loadtest",
    "generator.prestage.refresh",
    "generator.prestage.bake",
    "generator.prestage.ended",
    "generator.prestage.waiting",
)


def started(work: Path, program: str, *words: str, **environment: str) -> subprocess.Popen[str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "AWS_", "MODELYARD_"))}
    env = {**mine, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **environment}
    line = [sys.executable, "-m", program, *words]
    return subprocess.Popen(line, cwd=work, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(work: Path, program: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    process = started(work, program, *words, **environment)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A held copy in `target`, its plan in `plan.json`, its files in `source`."""
    plan = loadtesting.held(tmp_path / "target", loadtesting.model())
    prestaging.folder(tmp_path / "source", loadtesting.model())
    (tmp_path / "plan.json").write_text(prestaging.text(plan))
    return tmp_path


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_names_exit_statuses(work: Path, program: str) -> None:
    ended = run(work, program, "--help")
    codes = {0, 64, 75, 143} if program.endswith("ended") else {int(code) for code in PrestageExit}
    assert ended.returncode == 0 and {int(found) for found in re.findall(r"\b(\d+)\s", ended.stdout)} >= codes
    assert max(map(len, ended.stdout.splitlines())) <= 80


@pytest.mark.parametrize("program", PROGRAMS)
def test_wrong_arguments_end_with_64(work: Path, program: str) -> None:
    ended = run(work, program, "--quick")
    assert ended.returncode == 64 and "Traceback" not in ended.stderr


def test_a_load_test_ends_with_0(work: Path) -> None:
    words = ("plan.json", "--target", "target", "--outputs", "outputs")
    ended = run(work, "generator.prestage.loadtest", *words)
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    said = events(ended.stdout)
    assert [line["event"] for line in said][-2:] == ["published", "tested"]
    judged = {line["path"] for line in said if line["event"] == "judged"}
    assert judged == set(loadtesting.model())
    total = sum(map(len, loadtesting.model().values()))
    assert (said[-1]["files"], said[-1]["bytes"], said[-1]["already"]) == (5, total, False)
    outputs = {path.name: path.read_text() for path in (work / "outputs").iterdir()}
    plan = json.loads((work / "plan.json").read_text())
    assert float(outputs.pop("seconds")) >= 0
    assert outputs == {"path": "target", "commit": plan["source"]["commit"], "bytes": str(total)}


def test_a_load_test_ends_with_65(work: Path) -> None:
    (work / "target/config.json").write_bytes(b"[]")
    ended = run(work, "generator.prestage.loadtest", "plan.json", "--target", "target")
    last = failed(ended)
    assert (last["exit"], last["code"]) == (65, "integrity") and "2 bytes" in last["reason"]


def test_sentences_of_a_load_test(work: Path) -> None:
    ended = run(work, "generator.prestage.loadtest", "plan.json", "--target", "target", "--output", "text")
    assert ended.returncode == 0 and ended.stdout == ""
    assert ended.stderr.splitlines()[0] == "config.json: sound: LlamaForCausalLM"
    assert ended.stderr.splitlines()[-1].startswith("tiny has passed its load test, and is published: 5 files, ")


def test_hold_and_outputs_of_a_run(work: Path) -> None:
    words = ("plan.json", "--target", "copy", "--source", "source", "--hold", "--outputs", "outputs/of/a/run")
    ended = run(work, "generator.prestage", *words, "--wait", "5")
    assert ended.returncode == 0 and events(ended.stdout)[-1]["held"]
    assert (work / "outputs/of/a/run/path").read_text() == "copy"
    assert not (work / "copy/.modelyard/manifest.json").exists()
    again = run(work, "generator.prestage", *words[:5], "--load-test")
    said = events(again.stdout)
    assert again.returncode == 0 and [line["event"] for line in said][-2:] == ["published", "done"]
    assert not said[-1]["held"] and (work / "copy/.modelyard/manifest.json").is_file()


@pytest.mark.parametrize(("tell", "texts"), [("failures", 1), ("all", 2)])
def test_a_step_can_leave_success_to_the_next(work: Path, tell: str, texts: int) -> None:
    words = ("plan.json", "--target", "copy", "--source", "source", "--hold", "--tell", tell)
    with Receiver() as told:
        webhook = {"MODELYARD_WEBHOOK_URL": f"{told.url}/hook"}
        assert run(work, "generator.prestage", *words, **webhook).returncode == 0
        (work / "copy/config.json").unlink()
        (work / "source/config.json").unlink()
        assert run(work, "generator.prestage", *words, **webhook).returncode == 66
        said = [json.loads(request.body)["text"] for request in told.received]
    assert len(said) == texts and "failed (not_found, exit 66)" in said[-1]
    assert tell == "failures" or said[0].endswith("is copied, and waits for its load test")


def test_outputs_that_cannot_be_written(work: Path) -> None:
    words = ("plan.json", "--target", "copy", "--source", "source", "--outputs", "plan.json/outputs")
    assert failed(run(work, "generator.prestage", *words))["exit"] == 73


def test_a_refresh_ends_with_0(work: Path) -> None:
    with HubStandIn() as hub:
        commit = hub.add(REPO, loadtesting.model())
        words = ("plan.json", "--revision", "main", "--root", "root", "--load-test")
        ended = run(work, "generator.prestage.refresh", *words, HF_ENDPOINT=hub.url)
    said = events(ended.stdout)
    assert ended.returncode == 0 and said[-1]["event"] == "newer" and said[-1]["to"] == commit, ended.stderr
    assert (work / "root" / commit[:12] / ".modelyard/manifest.json").is_file()


def test_a_signal_ends_a_refresh_with_143(work: Path) -> None:
    with HubStandIn() as hub:
        hub.intercept = lambda asked: Reply(wait=60.0)
        words = ("plan.json", "--revision", "main", "--root", "root")
        process = started(work, "generator.prestage.refresh", *words, HF_ENDPOINT=hub.url)
        until = time.monotonic() + 30
        while not hub.asked and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert failed(subprocess.CompletedProcess((), process.returncode, out, err))["exit"] == 143


def test_an_exit_handler_says_how_it_ended(work: Path) -> None:
    words = ("--model", "m", "--commit", "c" * 40, "--target", "s3://b/m")
    ended = run(work, "generator.prestage.ended", *words, MODELYARD_WORKFLOW_STATUS="Succeeded")
    (line,) = events(ended.stdout)
    assert ended.returncode == 0 and line["event"] == "ended" and line["status"] == "Succeeded"
