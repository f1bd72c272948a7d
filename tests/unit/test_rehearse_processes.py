"""Nothing that was started outlives the one who started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.rehearse import processes

# A child, and a grandchild in a session of its own; each writes its process id.
FAMILY = """\
import os, subprocess, sys, time
open("child", "w").write(str(os.getpid()))
body = '''
import os, time
open("fresh", "w").write(str(os.getpid()))
os.rename("fresh", "ready")
time.sleep(600)
'''
subprocess.Popen([sys.executable, "-c", body], start_new_session=True)
while "leave" not in sys.argv or not os.path.exists("ready"):
    time.sleep(0.02)
"""
STARTER = """\
import sys, time
from pathlib import Path
from subprocess import DEVNULL
from generator.rehearse import processes
with processes.running(sys.argv[2:], processes.bare_environment(), Path(sys.argv[1]), DEVNULL, DEVNULL):
    time.sleep(600)
"""
PATIENCE = 30.0  # seconds


def wait_for(path: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not path.is_file():
        assert time.monotonic() < until, f"{path.name} does not come"
        time.sleep(0.02)


def alive(number: Path) -> bool:
    try:
        os.kill(int(number.read_text()), 0)
    except ProcessLookupError:
        return False
    return True


def family(*arguments: str) -> list[str]:
    return [sys.executable, "-c", FAMILY, *arguments]


def test_the_whole_family_ends_with_the_block(tmp_path: Path) -> None:
    null = subprocess.DEVNULL
    with processes.running(family(), processes.bare_environment(), tmp_path, null, null) as process:
        wait_for(tmp_path / "ready")
        assert process.poll() is None and alive(tmp_path / "child") and alive(tmp_path / "ready")
    assert not alive(tmp_path / "child") and not alive(tmp_path / "ready")


def test_an_orphan_ends_with_its_parent(tmp_path: Path) -> None:
    null = subprocess.DEVNULL
    with processes.running(family("leave"), processes.bare_environment(), tmp_path, null, null) as process:
        assert process.wait(PATIENCE) == 0
    assert not alive(tmp_path / "ready")


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")
def test_the_family_ends_when_its_starter_is_killed(tmp_path: Path) -> None:
    environment = {**processes.bare_environment(), "PYTHONPATH": processes.own_code()}
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path), *family()], env=environment)
    wait_for(tmp_path / "ready")
    starter.kill()
    starter.wait()
    until = time.monotonic() + PATIENCE
    while alive(tmp_path / "child") or alive(tmp_path / "ready"):
        assert time.monotonic() < until, "they live on"
        time.sleep(0.02)


@pytest.mark.parametrize(("code", "expected"), [("7", 7), ("0", 0)])
def test_the_exit_status_is_the_commands(tmp_path: Path, code: str, expected: int) -> None:
    command = [sys.executable, "-c", f"raise SystemExit({code})"]
    null = subprocess.DEVNULL
    with processes.running(command, processes.bare_environment(), tmp_path, null, null) as process:
        assert process.wait(PATIENCE) == expected


def test_only_what_a_pod_could_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("LANG", "C.UTF-8")
    found = processes.bare_environment()
    assert found["LANG"] == "C.UTF-8" and found["PATH"] == os.environ["PATH"]
    assert not {"HF_TOKEN", "AWS_PROFILE", "HOME"} & found.keys()


@pytest.fixture
def handlers() -> Iterator[dict[int, object]]:
    before: dict[int, object] = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield before
    assert before == {number: signal.getsignal(number) for number in before}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_interrupt_once(number: int, handlers: dict[int, object]) -> None:
    cleaned = []
    with pytest.raises(KeyboardInterrupt), processes.interruptible():
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(signal.SIGINT)  # the second one, while we clean up
            cleaned.append(True)
    assert cleaned == [True]


def test_free_ports_differ() -> None:
    assert len(set(processes.free_ports(8))) == 8
