"""`python -m generator.prestage.waiting`: what it waits for, how it ends, as a process where that matters."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from generator.prestage import manifest
from generator.prestage.exits import PrestageExit
from generator.prestage.waiting.command import run
from tests.unit import loadtesting, prestaging
from tests.unit.test_prestage_command import events
from tests.unit.test_prestage_programs import run as process
from tests.unit.test_prestage_programs import started

PROGRAM = "generator.prestage.waiting"
COMMIT = "a" * 40


def written(model: str = "tiny", commit: str = COMMIT) -> bytes:
    """Content of a manifest of one file."""
    entry = manifest.Entry("config.json", 2, "0" * 64, "")
    return manifest.write(manifest.Manifest(model, "acme/tiny", commit, (entry,)))


def published(folder: Path, content: bytes) -> None:
    (folder / ".modelyard").mkdir(parents=True, exist_ok=True)
    (folder / manifest.PATH).write_bytes(content)


def words(folder: Path, seconds: float = 30) -> tuple[str, ...]:
    return ("--path", str(folder), "--model", "tiny", "--commit", COMMIT, "--wait", str(seconds))


def waited(folder: Path, capsys: pytest.CaptureFixture[str], seconds: float = 0) -> tuple[int, list[dict[str, object]]]:
    code = run(path=folder, model="tiny", commit=COMMIT, seconds=seconds, output="json")
    return code, events(capsys.readouterr().out)


def test_a_complete_model_is_found_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published(tmp_path, written())
    code, said = waited(tmp_path, capsys)
    assert code == PrestageExit.DONE
    assert [line["event"] for line in said] == ["waiting", "ready"]
    assert (said[-1]["model"], said[-1]["files"], said[-1]["bytes"]) == ("tiny", 1, 2)


def test_what_the_stager_writes_is_what_it_waits_for(tmp_path: Path) -> None:
    plan = loadtesting.held(tmp_path / "target", loadtesting.model())
    (tmp_path / "plan.json").write_text(prestaging.text(plan))
    given = ("--path", "target", "--model", plan.model, "--commit", plan.commit, "--wait", "0")
    assert process(tmp_path, PROGRAM, *given).returncode == PrestageExit.TRANSIENT  # copied, and held
    assert process(tmp_path, "generator.prestage.loadtest", "plan.json", "--target", "target").returncode == 0
    assert process(tmp_path, PROGRAM, *given).returncode == PrestageExit.DONE


@pytest.mark.parametrize(
    ("content", "code", "reason"),
    [
        (None, PrestageExit.TRANSIENT, "no .modelyard/manifest.json of tiny at aaaaaaaaaaaa"),
        (written(model="other"), PrestageExit.INTEGRITY, f"holds other at {COMMIT}, not tiny"),
        (written(commit="b" * 40), PrestageExit.INTEGRITY, "holds tiny at bbbb"),
        (b"{", PrestageExit.INTEGRITY, "cannot be read"),
    ],
)
def test_why_it_gives_up(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    code: PrestageExit,
    reason: str,
) -> None:
    if content is not None:
        published(tmp_path, content)
    ended, said = waited(tmp_path, capsys)
    assert ended == code and said[-1]["event"] == "failed"
    assert reason in str(said[-1]["reason"]) and said[-1]["hint"]


def test_a_short_commit_is_a_wrong_argument(tmp_path: Path) -> None:
    assert run(path=tmp_path, model="tiny", commit="a" * 12, seconds=0, output="json") == PrestageExit.PLAN


def test_a_model_that_comes_later_ends_the_wait(tmp_path: Path) -> None:
    waiting = started(tmp_path, PROGRAM, *words(tmp_path / "models" / "tiny"))
    assert waiting.stdout is not None and '"waiting"' in waiting.stdout.readline()
    published(tmp_path / "models" / "tiny", written())
    out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, err) == (0, "") and events(out)[-1]["event"] == "ready"


def test_a_signal_ends_the_wait(tmp_path: Path) -> None:
    waiting = started(tmp_path, PROGRAM, *words(tmp_path, 3600))
    assert waiting.stdout is not None and waiting.stdout.readline()
    waiting.send_signal(signal.SIGTERM)
    out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, err) == (PrestageExit.INTERRUPTED, "")
    assert events(out)[-1]["code"] == "interrupted"
