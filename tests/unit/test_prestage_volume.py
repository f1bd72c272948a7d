"""A mounted volume: one writer at a time, nothing half under a final name, nothing outside of the folder."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
import zlib
from hashlib import sha256
from pathlib import Path

import pytest

from generator.prestage import run as flow
from generator.prestage.exits import PrestageExit
from generator.prestage.limits import Verify
from generator.prestage.plan import File, Plan
from generator.prestage.targets import volume
from tests.unit import prestaging
from tests.unit.prestaging import BYTES, FILES, OTHER, PART, WEIGHTS, done, plan, stage, staged

ROOT = Path(__file__).parents[2]
PLAN = plan()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return prestaging.folder(tmp_path / "source")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target" / "models"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "victim").write_bytes(b"mine")
    return tmp_path / "outside"


def partial(target: Path, path: str) -> Path:
    """Where the bytes of a file stand until they were verified."""
    beside = target / ".modelyard" / "partial" / sha256(path.encode()).hexdigest()
    beside.parent.mkdir(parents=True, exist_ok=True)
    return beside


def test_a_model_is_staged(source: Path, target: Path) -> None:
    ended = done(PLAN, target, source)
    assert staged(target) == FILES
    assert (ended.tally.copied, ended.tally.already) == (sum(map(len, FILES.values())), False)
    assert ended.of("file") == sorted(FILES)
    assert sorted(path.name for path in (target / ".modelyard").iterdir()) == ["lock", "manifest.json"]
    listed = {entry["path"]: (entry["size"], entry["sha256"], entry["crc32"]) for entry in manifest_files(target)}
    assert listed == {p: (len(b), sha256(b).hexdigest(), f"{zlib.crc32(b):08x}") for p, b in FILES.items()}


def manifest_files(target: Path) -> list[dict[str, object]]:
    return list(prestaging.manifest(target)["files"])


def test_a_second_run_copies_nothing(source: Path, target: Path) -> None:
    done(PLAN, target, source)
    again = done(PLAN, target, "/nowhere")  # the source is not needed
    assert again.tally.already and again.tally.copied == 0 and again.of("already", "by") == ["its manifest"]


def test_a_second_run_waits_for_the_first(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume, "_LOCK_WAIT", 0.01)
    (target / ".modelyard").mkdir(parents=True)
    chosen, ended = prestaging.settings(), flow.Tally()
    with (target / ".modelyard" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = threading.Thread(target=flow.stage, args=(PLAN, str(source), str(target), chosen, ended))
        second.start()
        until = time.monotonic() + 30
        while not prestaging.said(chosen) and time.monotonic() < until:
            time.sleep(0.01)
        assert [line["event"] for line in prestaging.said(chosen)] == ["waiting"]
        assert staged(target) == {}
    second.join(30)
    assert staged(target) == FILES and ended.copied > 0


def test_two_runs_at_once_make_one_copy(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume, "_LOCK_WAIT", 0.01)
    ended = list[prestaging.Ended]()
    runs = [threading.Thread(target=lambda: ended.append(done(PLAN, target, source))) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    assert sorted(one.tally.already for one in ended) == [False, True, True, True]
    assert staged(target) == FILES


@pytest.mark.parametrize(("there", "adopted"), [(2 * PART + 5, 2), (PART, 1), (5, 0), (len(BYTES), 3)])
def test_what_a_killed_run_left_is_adopted(source: Path, target: Path, there: int, adopted: int) -> None:
    partial(target, WEIGHTS).write_bytes(BYTES[:there])
    ended = done(PLAN, target, source)
    assert staged(target) == FILES
    assert ended.of("resumed", "bytes") == ([adopted * PART] if adopted else [])
    assert ended.tally.copied == sum(map(len, FILES.values())) - adopted * PART


def test_wrong_bytes_of_a_killed_run_are_fetched_again(source: Path, target: Path) -> None:
    partial(target, WEIGHTS).write_bytes(OTHER[: 3 * PART] + BYTES[3 * PART :])
    ended = done(PLAN, target, source)
    assert staged(target) == FILES and ended.of("retry") == [WEIGHTS]


@pytest.mark.parametrize("path", [WEIGHTS, "config.json"])
def test_a_file_of_somebody_else_is_judged_by_its_bytes(source: Path, target: Path, path: str) -> None:
    prestaging.folder(target, {path: FILES[path]})
    assert done(PLAN, target, source).of("kept") == [path]
    other = target.with_name("other")
    prestaging.folder(other, {path: OTHER if path == WEIGHTS else b"[]"})
    assert done(PLAN, other, source).of("damaged") == [path]
    assert staged(other) == FILES


@pytest.mark.parametrize(
    ("change", "verify", "noticed"),
    [
        (None, Verify.SIZE, True),
        (b"short", Verify.CHECKSUM, True),
        (OTHER, Verify.SIZE, False),
        (OTHER, Verify.CHECKSUM, False),  # a file system states no checksums
        (OTHER, Verify.FULL, True),
    ],
)
def test_damage_is_noticed_and_mended(
    source: Path, target: Path, change: bytes | None, verify: Verify, noticed: bool
) -> None:
    done(PLAN, target, source)
    before = prestaging.manifest(target)
    (target / WEIGHTS).unlink() if change is None else (target / WEIGHTS).write_bytes(change)
    again = done(PLAN, target, source, verify=verify)
    assert (set(again.of("damaged")) == {WEIGHTS}, again.tally.already) == (noticed, not noticed)
    assert (staged(target) == FILES) is noticed
    assert prestaging.manifest(target) == before


def test_a_larger_plan_extends_the_copy(source: Path, target: Path) -> None:
    done(plan({"config.json": FILES["config.json"]}), target, source)
    ended = done(PLAN, target, source)
    assert ended.of("file") == sorted(FILES.keys() - {"config.json"}) and staged(target) == FILES
    assert [entry["path"] for entry in manifest_files(target)] == sorted(FILES)


@pytest.mark.parametrize("other", [plan(commit="d" * 40), plan({**FILES, WEIGHTS: OTHER})], ids=["commit", "digest"])
def test_another_model_is_not_mixed_in(source: Path, target: Path, other: Plan) -> None:
    done(PLAN, target, source)
    ended = stage(other, target, source)
    assert ended.error and ended.error.exit is PrestageExit.INTEGRITY and staged(target) == FILES


def test_too_little_room_is_said_before_the_first_byte(source: Path, target: Path) -> None:
    huge = File("model-2.safetensors", 5 * 2**40, f"sha256:{'0' * 64}")
    ended = stage(Plan("tiny", "org/tiny", "c" * 40, files=(*(PLAN.files or ()), huge)), target, source)
    assert ended.error and ended.error.exit is PrestageExit.STORAGE and "bytes free" in ended.error.reason
    assert staged(target) == {}


LINKS = {
    "our folder": ".modelyard",
    "partial files": ".modelyard/partial",
    "a folder of the model": "sub",
}


@pytest.mark.parametrize("name", LINKS)
def test_a_link_to_a_folder_outside_is_refused(source: Path, target: Path, outside: Path, name: str) -> None:
    (target / LINKS[name]).parent.mkdir(parents=True)
    (target / LINKS[name]).symlink_to(outside)
    ended = stage(PLAN, target, source)
    assert ended.error and ended.error.exit is PrestageExit.STORAGE
    assert prestaging.staged(outside) == {"victim": b"mine"} and list(outside.iterdir()) == [outside / "victim"]


@pytest.mark.parametrize("path", [WEIGHTS, "config.json", ".modelyard/manifest.json"])
def test_a_link_in_place_of_a_partial_file_is_not_followed(
    source: Path, target: Path, outside: Path, path: str
) -> None:
    partial(target, path).symlink_to(outside / "victim")
    stage(PLAN, target, source)
    assert (outside / "victim").read_bytes() == b"mine"
    assert not (target / path).is_symlink()


@pytest.mark.parametrize("path", [WEIGHTS, "config.json"])
def test_a_link_in_place_of_a_file_is_replaced(source: Path, target: Path, outside: Path, path: str) -> None:
    target.mkdir(parents=True)
    (target / path).symlink_to(outside / "victim")
    done(PLAN, target, source)
    assert staged(target) == FILES and not (target / path).is_symlink()
    assert (outside / "victim").read_bytes() == b"mine"


def test_the_lock_is_no_link(source: Path, target: Path, outside: Path) -> None:
    (target / ".modelyard").mkdir(parents=True)
    (target / ".modelyard" / "lock").symlink_to(outside / "victim")
    ended = stage(PLAN, target, source)
    assert ended.error and ended.error.exit is PrestageExit.STORAGE


@pytest.mark.parametrize(("path", "folder"), [("sub", False), (WEIGHTS, True), ("config.json", True)])
def test_what_stands_in_the_way_ends_the_run(source: Path, target: Path, path: str, folder: bool) -> None:
    """A file where a folder has to be, or the other way round: waiting does not help."""
    target.mkdir(parents=True)
    (target / path).mkdir() if folder else (target / path).write_bytes(b"x")
    ended = stage(PLAN, target, source)
    assert ended.error and ended.error.exit is PrestageExit.STORAGE and ended.of("retry") == []


def child(source: Path, target: Path, prepare: str) -> subprocess.CompletedProcess[str]:
    """The program in a process for which `prepare` has made something scarce."""
    (target.parent / "plan.json").write_text(prestaging.text(PLAN))
    words = ["-m", "generator.prestage", "plan.json", "--source", str(source), "--target", str(target)]
    code = f"import ctypes, os, resource, sys\n{prepare}\nos.execv(sys.executable, [sys.executable, *{words!r}])"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=target.parent, env=env, capture_output=True, text=True, check=False)


# Root may write everywhere; not so after the next exec without CAP_DAC_OVERRIDE (1) and CAP_DAC_READ_SEARCH (2).
LIKE_A_USER = "[ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) for capability in (1, 2)]"
SMALL_DISK = "resource.setrlimit(resource.RLIMIT_FSIZE, (2**21, 2**21))"


def failure(ended: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert ended.stdout, ended.stderr
    last: dict[str, object] = json.loads(ended.stdout.splitlines()[-1])
    assert last["event"] == "failed" and ended.returncode == last["exit"], ended.stderr
    return last


def test_a_full_disk_is_named(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    said = failure(child(source, target, SMALL_DISK))
    assert (said["exit"], said["code"]) == (73, "storage") and "enlarge" in str(said["hint"])
    assert WEIGHTS not in staged(target) and not (target / ".modelyard" / "manifest.json").exists()
    assert done(PLAN, target, source).tally.copied < sum(map(len, FILES.values()))  # what was there is used


def test_other_users_read_what_was_written(source: Path, target: Path) -> None:
    """Serving pods have another user than the Job, and mount the volume without its group being changed."""
    target.parent.mkdir()
    ended = child(source, target, "os.umask(0o022)")
    assert ended.returncode == 0, ended.stdout
    modes = {path: path.stat().st_mode & 0o777 for path in (target, *target.rglob("*"))}
    readers = {path: 0o755 if path.is_dir() else 0o644 for path in modes}
    assert {str(p): oct(mode) for p, mode in modes.items()} == {str(p): oct(mode) for p, mode in readers.items()}


@pytest.mark.parametrize("closed", [".", ".modelyard", "sub"])
def test_a_folder_that_may_not_be_written_is_named(source: Path, target: Path, closed: str) -> None:
    (target / closed).mkdir(parents=True)
    (target / closed).chmod(0o500 if closed == "." else 0o000)
    try:
        said = failure(child(source, target, LIKE_A_USER))
    finally:
        (target / closed).chmod(0o700)
    assert said["exit"] == 73 and "Permission denied" in str(said["reason"])
    assert f"user {os.getuid()} " in str(said["hint"])
