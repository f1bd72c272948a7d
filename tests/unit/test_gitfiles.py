"""Files at a revision, from a real repository: what is there now, and what its attributes say, does not matter."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from generator import gitfiles
from generator.errors import UserError

CONTENTS = {
    "a.yaml": b"first\n",
    "sub/empty": b"",
    "sub/b.bin": b"\x00\n1 blob 3\n",
    "sub/deep/na\xc3\xafve name": b"no line end",
}


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One commit, tagged v1; since then everything was removed and the attributes tell Git to leave it all out."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    top = tmp_path / "top"
    top.mkdir()
    git(top, "init", "-q")
    for name, content in CONTENTS.items():
        path = top / os.fsdecode(name.encode("latin-1"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (top / "sub/link").symlink_to("b.bin")
    (top / ".gitattributes").write_text("* export-ignore -diff binary\n")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "one")
    git(top, "tag", "v1")
    git(top, "rm", "-rq", "sub")
    (top / "a.yaml").write_text("second\n")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "two")
    return top


def test_a_file_as_it_was(repository: Path) -> None:
    assert gitfiles.read("v1", repository / "a.yaml") == b"first\n"
    assert gitfiles.read("HEAD", repository / "a.yaml") == b"second\n"
    assert gitfiles.read("HEAD", repository / "sub/b.bin") is None
    assert gitfiles.read("v1", repository / "sub/empty") == b""
    assert gitfiles.read("v1", repository / "sub") is None, "a folder is no file"
    assert gitfiles.read("v1", repository / "sub/link") is None, "where a link points is not what was committed"


def test_a_folder_as_it_was(repository: Path) -> None:
    deep = "deep/naïve name"
    expected = [("b.bin", CONTENTS["sub/b.bin"]), (deep, CONTENTS["sub/deep/na\xc3\xafve name"]), ("empty", b"")]
    assert list(gitfiles.below("v1", repository / "sub")) == expected
    assert list(gitfiles.below("HEAD", repository / "sub")) == []
    assert list(gitfiles.below("v1", repository / "su")) == [], "not everything that begins so"
    assert len(list(gitfiles.below("v1", repository))) == 5


def test_paths_count_from_where_one_stands(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "other").mkdir()
    monkeypatch.chdir(repository / "other")
    assert gitfiles.read("v1", Path("../a.yaml")) == b"first\n"
    assert len(list(gitfiles.below("v1", Path("..") / "sub"))) == 3


@pytest.mark.parametrize("revision", ["none", "--help", "--output=x", "", "v1:a.yaml", "HEAD~9"])
def test_what_is_no_revision_is_a_fault(repository: Path, revision: str) -> None:
    with pytest.raises(UserError) as caught:
        gitfiles.read(revision, repository / "a.yaml")
    assert caught.value.diagnostics[0].hint.startswith("check --revision")
    assert not (repository / "x").exists()


def test_outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UserError, match="not a git repository"):
        gitfiles.read("HEAD", tmp_path / "a.yaml")


def test_without_git(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="git cannot be run"):
        gitfiles.read("HEAD", repository / "a.yaml")


def test_an_object_that_git_lacks(repository: Path) -> None:
    """As in a clone that was damaged; the objects before it are given out."""
    first = subprocess.run(
        ["git", "rev-parse", "v1:a.yaml"], cwd=repository, check=True, capture_output=True, text=True
    )
    found = gitfiles.contents(repository, [first.stdout.strip(), "0" * 40])
    assert next(found) == b"first\n"
    with pytest.raises(UserError, match="lacks the object 000"):
        next(found)
