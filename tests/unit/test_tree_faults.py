"""What survives a death, an error of the disk, and company. The runs are tests/faults/tree.py, here in small."""

from __future__ import annotations

import errno
import fcntl
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from generator.errors import UserError
from generator.tree import MANIFEST, Tree, compare, write
from tests.faults.tree_calls import fail_with, faulty_os
from tests.faults.tree_scenes import FOREIGN, JOURNAL, NEW, OLD, contents, place, snapshot, tree

ROOT = Path(__file__).parents[2]
LOCK = ".modelyard/work/lock"


@pytest.mark.parametrize(
    "figure",
    [
        pytest.param("--calls", marks=pytest.mark.slow),
        pytest.param("--kills 200", marks=pytest.mark.slow),
        "--race 20 --rounds 3",
        "--repos 60",
        "--escapes 150",
        "--swaps 200",
    ],
)
def test_faults(figure: str) -> None:
    command = [sys.executable, "-m", "tests.faults.tree", "--seed", "7", *figure.split()]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0 and "failures 0" in run.stdout, run.stdout + run.stderr


def test_the_faults_find_a_careless_writer() -> None:
    command = [sys.executable, "-m", "tests.faults.tree", "--careless"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1
    assert "mixed tree" in run.stdout


@pytest.fixture(params=[2, 6, 12, 19], ids="{} calls after the commit point".format)
def half(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder in which a write of NEW over OLD died: from one call on, nothing worked any more."""
    for name in ("trial", "half"):
        write(tmp_path / name, OLD)
        place(tmp_path / name, FOREIGN)
    with faulty_os(0, 0, fail_with(errno.EIO)) as calls:
        write(tmp_path / "trial", NEW)
    call = calls.index("rename") + 1 + request.param
    with faulty_os(call, math.inf, fail_with(errno.EIO)), pytest.raises(UserError, match="Input/output") as caught:
        write(tmp_path / "half", NEW)
    assert "completes what was begun" in caught.value.diagnostics[0].hint
    assert (tmp_path / "half" / JOURNAL).exists()
    return tmp_path / "half"


def test_a_half_written_tree_is_not_judged(half: Path) -> None:
    before = snapshot(half)
    with pytest.raises(UserError, match="interrupted") as caught:
        compare(half, NEW)
    (fault,) = caught.value.diagnostics
    assert fault.file == str(half / JOURNAL)
    assert "`modelyard render`" in fault.hint
    assert snapshot(half) == before


@pytest.mark.parametrize("target", [OLD, NEW, tree({"other": b"x"})], ids=["old", "new", "another"])
def test_the_next_render_completes_it_whatever_it_makes_itself(target: Tree, half: Path) -> None:
    report = write(half, target)
    assert report.recovered and report.left == ()
    assert snapshot(half) == contents(target, FOREIGN)
    assert not (half / ".modelyard/work").exists()
    assert not write(half, target).recovered


@pytest.mark.parametrize("path", ["README.md", "empty", "charts/fresh/Chart.yaml", "charts/kept/values.yaml"])
def test_an_edit_after_the_death_is_named_and_kept(path: str, half: Path) -> None:
    place(half, {path: b"mine"})
    for _ in range(2):
        with pytest.raises(UserError) as caught:
            write(half, NEW)
        assert [fault.file for fault in caught.value.diagnostics] == [str(half / path)]
        assert snapshot(half) == {**contents(NEW, FOREIGN), path: b"mine"}
    (half / path).unlink()
    write(half, NEW)
    assert snapshot(half) == contents(NEW, FOREIGN)


def test_an_edit_of_what_the_dead_run_was_to_remove_is_kept_and_reported(half: Path) -> None:
    path = "charts/gone/Chart.yaml"
    place(half, {path: b"mine"})
    assert write(half, NEW).left == (path,)
    assert snapshot(half) == {**contents(NEW, FOREIGN), path: b"mine"}
    assert path in compare(half, NEW).untracked


def test_a_link_put_there_after_the_death_is_kept(half: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    shutil.rmtree(half / "charts/fresh", ignore_errors=True)
    (half / "charts/fresh").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError) as caught:
        write(half, NEW)
    assert [fault.file for fault in caught.value.diagnostics] == [str(half / "charts/fresh")]
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_journal_does_not_speak_of_another_branch(half: Path) -> None:
    branch = tree({"README.md": b"of the branch", "charts/branch": b"x"})
    for entry in half.iterdir():
        if entry.name == ".modelyard":
            continue
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    place(half, {**branch.files, MANIFEST: branch.manifest})
    write(half, branch)
    assert snapshot(half) == contents(branch, {})


@pytest.mark.parametrize("journal", [b"", b"{", b"[]", b'{"version": 9}', b"[" * 100_000, b"\xff"])
def test_a_journal_that_cannot_be_read_stops_everything(journal: bytes, half: Path) -> None:
    (half / JOURNAL).write_bytes(journal)
    before = snapshot(half)
    for verb in (compare, write):
        with pytest.raises(UserError) as caught:
            verb(half, NEW)
        assert caught.value.diagnostics[0].file == str(half / JOURNAL)
    assert snapshot(half) == before


def test_a_second_run_waits_and_then_names_the_first(tmp_path: Path) -> None:
    write(tmp_path, OLD)
    place(tmp_path, {LOCK: b"4711\n"})
    with (tmp_path / LOCK).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"process 4711.*waited 0\.05 seconds") as caught:
            write(tmp_path, NEW, wait=0.05)
        assert caught.value.diagnostics[0].file == str(tmp_path)
        assert snapshot(tmp_path) == contents(OLD, {})
        assert not compare(tmp_path, OLD).drift
    write(tmp_path, NEW, wait=0)
    assert snapshot(tmp_path) == contents(NEW, {})


def test_the_output_may_not_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for out in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(UserError, match=r"Not a directory|File exists"):
            write(out, NEW)
    with pytest.raises(UserError, match="Not a directory"):
        compare(tmp_path / "file", NEW)


def test_a_first_write_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    with faulty_os(14, math.inf, fail_with(errno.ENOSPC, ("unlink", "rmdir"))), pytest.raises(UserError):
        write(tmp_path / "some/where", NEW)
    assert list(tmp_path.iterdir()) == []


UNPRIVILEGED = """
import os, sys
from pathlib import Path
from generator.errors import UserError
from generator.tree import compare, write
from tests.faults.tree_scenes import NEW
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for verb in (compare, write):
    try:
        verb(Path(sys.argv[1]), NEW)
    except UserError as error:
        print(verb.__name__, *((fault.file, fault.message) for fault in error.diagnostics))
"""


def as_nobody(out: Path) -> list[str]:
    """What `compare` and `write` of NEW say to a user who owns the tree and is not root."""
    if os.geteuid() == 0:
        for path in (out, *out.rglob("*")):
            os.chown(path, 65534, 65534)
    command = [sys.executable, "-c", UNPRIVILEGED, str(out)]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.parametrize(
    ("closed", "mode", "named", "verbs"),
    [
        (".", 0o555, "README.md", ["write"]),
        ("charts/kept", 0o555, "charts/kept/values.yaml", ["write"]),
        (".modelyard", 0o555, ".modelyard/work", ["write"]),
        ("README.md", 0o000, "README.md", ["compare", "write"]),
        ("charts", 0o000, "charts", ["compare", "write"]),
        (MANIFEST, 0o000, MANIFEST, ["compare", "write"]),
    ],
)
def test_what_may_not_be_read_or_written_is_named_and_the_tree_stays(
    closed: str, mode: int, named: str, verbs: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:  # other users may not enter tmp_path
        Path(folder).chmod(0o755)
        out = Path(folder, "out")
        write(out, OLD)
        before = snapshot(out)
        normal = (out / closed).stat().st_mode
        (out / closed).chmod(mode)
        said = as_nobody(out)
        (out / closed).chmod(normal)
        assert said == [f"{verb} ('{out / named}', 'Permission denied')" for verb in verbs]
        assert snapshot(out) == before
        assert not (out / ".modelyard/work").exists()


FULL_DISK = """
import subprocess, sys
from pathlib import Path
from generator.errors import UserError
from generator.tree import build, write
from tests.faults.tree_scenes import OLD, contents, snapshot
disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", sys.argv[2], "none", str(disk)], check=True)
write(disk / "out", OLD)
for count, size in ((1, 1 << 20), (300, 10)):
    try:
        write(disk / "out", build(((f"d{n}/f", b"x" * size) for n in range(count)), generator="1"))
        print("written")
    except UserError as error:
        (fault,) = error.diagnostics
        print(fault.message, "|", fault.hint)
    print(snapshot(disk / "out") == contents(OLD, {}), (disk / "out/.modelyard/work").exists())
"""


def test_a_full_disk_is_named_and_the_tree_stays(tmp_path: Path) -> None:
    namespace = ["unshare", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*namespace, "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a small disk")
    command = [*namespace, sys.executable, "-c", FULL_DISK, str(tmp_path), "size=512k,nr_inodes=200"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    said = "No space left on device | free some space on this disk and run again\nTrue False\n"
    assert run.stdout == said * 2
