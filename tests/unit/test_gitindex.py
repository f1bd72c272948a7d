"""Which files of the tree the next commit would lack."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from generator.errors import UserError
from generator.gitindex import faults, missing

NAMES = ("a.yaml", "sub/b.yaml", "sub/with space", "sub/naïve")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files of a rendered tree in a fresh repository, none of them added; paths relative to its top."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    paths = [Path("rendered") / name for name in NAMES]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    return paths


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)


def test_missing_is_what_was_not_added(tree: list[Path]) -> None:
    assert missing(tree) == tuple(tree)
    git("add", str(tree[1]), str(tree[3]))
    assert missing(tree) == (tree[0], tree[2])
    git("add", "-A")
    assert missing(tree) == ()
    assert missing(path.absolute() for path in tree) == ()


def test_ignored_file_is_missing(tree: list[Path]) -> None:
    Path(".gitignore").write_text("*.yaml\n")
    git("add", "-A")
    assert missing(tree) == (tree[0], tree[1])


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (0, "is not added to Git and 3 more: the commit would lack it"),
        (3, "is not added to Git: the commit would lack it"),
    ],
)
def test_faults_are_one_line_with_the_remedy(tree: list[Path], added: int, message: str) -> None:
    for path in tree[:added]:
        git("add", str(path))
    (fault,) = faults(Path("rendered"), tree)
    assert (fault.message, fault.file, fault.hint) == (message, str(tree[added]), "git add -A -- rendered")


def test_no_fault_when_all_is_added(tree: list[Path]) -> None:
    git("add", "-A")
    assert faults(Path("rendered"), tree) == ()


def test_outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="not a git repository"):
        missing([Path("a")])


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="No such file"):
        missing([Path("a")])
