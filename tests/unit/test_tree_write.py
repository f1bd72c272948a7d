"""What a write changes, what it leaves alone, and what it refuses."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from generator.errors import UserError
from generator.tree import MANIFEST, Report, build, compare, write
from tests.faults.tree_scenes import FOREIGN, NEW, OLD, contents, place, snapshot, tree


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder rendered from OLD, in which somebody else keeps files, too."""
    write(tmp_path / "out", OLD)
    place(tmp_path / "out", FOREIGN)
    return tmp_path / "out"


@pytest.fixture(params=[0o000, 0o022, 0o077], ids="umask {:03o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def identity(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_ino, status.st_mtime_ns, status.st_mode


def test_a_write_makes_the_folder_hold_the_files_and_whatever_is_not_ours(out: Path) -> None:
    report = write(out, NEW)
    assert snapshot(out) == contents(NEW, FOREIGN)
    assert report == Report(
        written=(
            MANIFEST, "README.md", "charts/fresh/Chart.yaml", "charts/fresh/code.zip", "charts/kept/values.yaml",
            "empty", "folder", "node/inner.txt",
        ),
        removed=("charts/gone/Chart.yaml", "charts/gone/templates/job.yaml", "folder/one.txt", "node"),
        unchanged=("charts/kept/same.yaml",),
    )  # fmt: skip
    assert compare(out, NEW).untracked == tuple(sorted(FOREIGN))


def test_what_is_not_written_keeps_its_inode_time_and_mode(out: Path) -> None:
    kept = ("charts/kept/same.yaml", *FOREIGN)
    (out / kept[0]).chmod(0o600)
    before = [identity(out / path) for path in kept]
    write(out, NEW)
    assert [identity(out / path) for path in kept] == before


def test_a_second_write_of_the_same_changes_nothing(out: Path) -> None:
    before = {path: identity(out / path) for path in snapshot(out)}
    report = write(out, OLD)
    assert (report.written, report.removed) == ((), ())
    assert {path: identity(out / path) for path in snapshot(out)} == before


def test_only_folders_that_a_removal_emptied_go(out: Path) -> None:
    (out / "kept-empty").mkdir()
    write(out, tree({}))
    assert snapshot(out).keys() == {MANIFEST, *FOREIGN}
    assert sorted(path.name for path in out.iterdir()) == [".modelyard", "charts", "kept-empty", "notes"]
    assert not (out / "charts/gone/templates").exists()


def test_modes_are_the_same_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    out = tmp_path / "some" / "where"
    write(out, OLD)
    write(out, NEW)
    for path in (out.parent, out, *out.rglob("*")):
        assert path.stat().st_mode & 0o7777 == (0o755 if path.is_dir() else 0o644), path


def test_a_file_that_is_already_as_we_make_it_becomes_ours(out: Path) -> None:
    place(out, {"empty": b""})
    before = identity(out / "empty")
    assert "empty" in write(out, NEW).unchanged
    assert identity(out / "empty") == before
    write(out, OLD)
    assert not (out / "empty").exists()


def test_a_lost_manifest_is_made_again_and_nothing_else(out: Path) -> None:
    (out / MANIFEST).unlink()
    assert write(out, OLD).written == (MANIFEST,)
    assert snapshot(out) == contents(OLD, FOREIGN)


def test_a_deleted_file_comes_back(out: Path) -> None:
    (out / "charts/kept/values.yaml").unlink()
    assert write(out, OLD).written == ("charts/kept/values.yaml",)


def test_all_that_is_in_the_way_is_named_with_the_way_out_and_nothing_is_written(out: Path) -> None:
    place(out, {"README.md": b"my words\n", "charts/gone/Chart.yaml": b"mine", "empty": b"mine"})
    place(out, {"charts/fresh": b"mine"})
    before = {path: identity(out / path) for path in snapshot(out)}
    with pytest.raises(UserError) as caught:
        write(out, NEW)
    faults = {fault.file: fault for fault in caught.value.diagnostics}
    hints = {
        "README.md": f"git checkout HEAD -- {out}/README.md",
        "charts/gone/Chart.yaml": f"git rm -f {out}/charts/gone/Chart.yaml",
        "charts/fresh": f"git rm -rf {out}/charts/fresh",
        "empty": f"git rm -rf {out}/empty",
    }
    assert faults.keys() == {str(out / path) for path in hints}
    for path, command in hints.items():
        assert f"`{command}`" in faults[str(out / path)].hint
    assert "models.yaml" in faults[str(out / "README.md")].hint
    assert {path: identity(out / path) for path in snapshot(out)} == before
    assert not (out / ".modelyard/work").exists()


def test_the_hints_are_commands_that_do_what_they_say(tmp_path: Path) -> None:
    out = tmp_path / "a folder"

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    write(out, OLD)
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "old")
    place(out, {"README.md": b"edited", "charts/gone/Chart.yaml": b"edited", "empty": b"mine"})
    git("add", ".")
    with pytest.raises(UserError) as caught:
        write(out, NEW)
    assert len(caught.value.diagnostics) == 3
    for fault in caught.value.diagnostics:
        (command,) = (part for part in fault.hint.split("`") if part.startswith("git "))
        subprocess.run(f"{command}", shell=True, cwd=tmp_path, check=True, capture_output=True)  # noqa: S602
    write(out, NEW)
    assert snapshot(out) == contents(NEW, {})


def test_git_never_sees_the_work_folder_of_a_run_that_died(out: Path) -> None:
    work = out / ".modelyard/work"
    work.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=out, check=True)
    place(work, {".gitignore": b"*\n", "lock": b"", "0.new": b"", "journal.draft": b""})
    status = ["git", "status", "--porcelain", "--untracked-files=all"]
    listed = subprocess.run(status, cwd=out, check=True, capture_output=True, text=True).stdout
    assert "work" not in listed and MANIFEST in listed
    write(out, OLD)
    assert not work.exists()


def test_the_output_folder_may_be_a_link_and_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real/deep")
    write(tmp_path / "link", OLD)
    assert snapshot(tmp_path / "real/deep") == contents(OLD, {})
    assert (tmp_path / "link").is_symlink()
    assert not compare(tmp_path / "link", OLD).drift


TRAPS: dict[str, Callable[[Path, Path], None]] = {
    "folder": lambda out, outside: _link(out / "charts", outside),
    "folder below": lambda out, outside: _link(out / "charts/fresh", outside),
    "file": lambda out, outside: _link(out / "README.md", outside / "README.md"),
    "new file": lambda out, outside: _link(out / "empty", outside / "new"),
    "our own folder": lambda out, outside: _link(out / ".modelyard", outside),
    "manifest": lambda out, outside: _link(out / MANIFEST, outside / "README.md"),
    "work": lambda out, outside: _link(out / ".modelyard/work", outside),
    "lock": lambda out, outside: _link(out / ".modelyard/work/lock", outside / "README.md"),
    "hard link as lock": lambda out, outside: _hard_link(out / ".modelyard/work/lock", outside / "README.md"),
}


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        path.rename(path.with_name("moved"))
    path.symlink_to(target)


def _hard_link(path: Path, target: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.hardlink_to(target)


@pytest.mark.parametrize("trap", TRAPS)
def test_no_link_leads_a_write_out_of_the_folder(trap: str, out: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    place(outside, {"README.md": b"precious", "values.yaml": b"precious"})
    TRAPS[trap](out, outside)
    before = {path: (content, identity(outside / path)) for path, content in snapshot(outside).items()}
    ours = snapshot(out)
    with pytest.raises(UserError):
        write(out, NEW, wait=0)
    assert {path: (content, identity(outside / path)) for path, content in snapshot(outside).items()} == before
    assert snapshot(out) == ours


def test_a_changed_file_is_replaced_and_not_written_through_a_hard_link(out: Path, tmp_path: Path) -> None:
    (tmp_path / "other").hardlink_to(out / "README.md")
    write(out, NEW)
    assert (tmp_path / "other").read_bytes() == OLD.files["README.md"]


def test_staging_left_by_a_dead_run_is_thrown_away_whatever_it_is(out: Path) -> None:
    work = out / ".modelyard/work"
    place(work, {"0.new": b"half", "7.old": b"", "journal.draft": b"{"})
    (work / "folder").mkdir()
    (work / "1.new").symlink_to("/etc/passwd")
    write(out, NEW)
    assert snapshot(out) == contents(NEW, FOREIGN)
    assert not work.exists()


def test_a_large_file_and_a_long_path_arrive_whole(tmp_path: Path) -> None:
    path = "/".join(["d" * 60] * 60) + "/f"
    made = build([(path, b"deep"), ("large", os.urandom(1 << 16) * 80)], generator="1.0")
    write(tmp_path / "out", made)
    assert not compare(tmp_path / "out", made).drift
    write(tmp_path / "out", tree({}))
    assert snapshot(tmp_path / "out").keys() == {MANIFEST}
