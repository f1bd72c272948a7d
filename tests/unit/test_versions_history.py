"""Revisions of models out of the history of a real repository."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from generator import lock
from generator.errors import Severity, UserError
from generator.lock import Lock, ModelSource
from generator.versions import history
from generator.versions.history import History
from tests.unit.lockrepo import LockRepository, entry, sha


@pytest.fixture(autouse=True)
def _no_other_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)


@pytest.fixture
def repository(tmp_path: Path) -> LockRepository:
    return LockRepository(tmp_path / "top")


def read(repository: LockRepository, *names: str) -> History:
    now = repository.now() if repository.path.exists() else {}
    return history.read(repository.path, now, names)


def told(found: History, name: str = "tiny") -> list[tuple[str, str, bool, bool]]:
    """Digit of the commit, by which commit of Git, whether the branch had it, whether it is served."""
    return [
        (row.commit[0], row.since.short if row.since else "", row.landed, row.served) for row in found.revisions[name]
    ]


def test_a_line_of_commits(repository: LockRepository) -> None:
    first = repository.locked(tiny=entry("a"))
    second = repository.locked(tiny=entry("b"), other=entry("1"))
    third = repository.locked(tiny=entry("b"), other=entry("2"))
    found = read(repository)
    assert told(found) == [("b", second, True, True), ("a", first, True, False)]
    assert told(found, "other") == [("2", third, True, True), ("1", second, True, False)]
    assert (found.changes, found.shallow, found.notes) == (3, False, ())
    assert set(read(repository, "tiny").revisions) == {"tiny"}


def test_back_and_forth_keeps_the_order_of_first_use(repository: LockRepository) -> None:
    by = [repository.locked(tiny=entry(digit)) for digit in "abab"]
    assert told(read(repository)) == [("b", by[1], True, True), ("a", by[0], True, False)]


def test_commits_of_one_second_stay_in_order(repository: LockRepository) -> None:
    by = []
    for digit in "abcd":
        repository.hours = 0
        by.append(repository.locked(tiny=entry(digit)))
    assert [row[:2] for row in told(read(repository))] == list(zip("dcba", by[::-1], strict=True))


def test_a_merge_is_when_the_branch_got_it(repository: LockRepository) -> None:
    """What stood only on the side branch was never served from this one; what both sides had is told by the branch."""
    first = repository.locked(tiny=entry("a"))
    repository.git("switch", "-qc", "side")
    tried = repository.locked(tiny=entry("b"))
    repository.locked(tiny=entry("c"))
    repository.git("switch", "-q", "main")
    (repository.top / "README").write_text("more")
    repository.commit()
    merged = repository.merge("side")
    expected = [("c", merged, True, True), ("b", tried, False, False), ("a", first, True, False)]
    assert told(read(repository)) == expected


def test_a_side_that_a_merge_threw_away_is_not_forgotten(repository: LockRepository) -> None:
    """Git's default simplification would follow one parent only, and lose what the branch had served."""
    repository.locked(tiny=entry("a"))
    repository.git("switch", "-qc", "side")
    repository.locked(tiny=entry("b"))
    repository.git("switch", "-q", "main")
    served = repository.locked(tiny=entry("c"))
    merged = repository.merge("side", "-X", "theirs")
    rows = told(read(repository))
    assert rows[:2] == [("b", merged, True, True), ("c", served, True, False)]


def test_a_conflict_resolved_by_hand(repository: LockRepository) -> None:
    repository.locked(tiny=entry("a"))
    repository.git("switch", "-qc", "side")
    repository.locked(tiny=entry("b"))
    repository.git("switch", "-q", "main")
    repository.locked(tiny=entry("c"))
    repository.git("merge", "-q", "-s", "ours", "--no-commit", "side")
    merged = repository.locked(tiny=entry("d"))
    assert told(read(repository))[0] == ("d", merged, True, True)
    assert [row[0] for row in told(read(repository))] == ["d", "c", "b", "a"]


def test_the_folder_moved(repository: LockRepository) -> None:
    first = repository.locked(tiny=entry("a"))
    (repository.top / "platform").mkdir()
    repository.git("mv", "models.lock.yaml", "platform/models.lock.yaml")
    repository.path = repository.top / "platform" / lock.FILE
    repository.commit("move")
    second = repository.locked(tiny=entry("b"))
    assert told(read(repository)) == [("b", second, True, True), ("a", first, True, False)]


def test_another_catalogue_of_the_repository_is_another_history(repository: LockRepository) -> None:
    repository.locked(tiny=entry("a"))
    own, repository.path = repository.path, repository.top / "b" / lock.FILE
    repository.locked(tiny=entry("b"), other=entry("c"))
    repository.path = own
    assert set(read(repository).revisions) == {"tiny"}
    assert [row[0] for row in told(read(repository))] == ["a"]


def test_a_renamed_catalogue_keeps_its_lock(repository: LockRepository) -> None:
    (repository.top / "models.yaml").write_text("a: 1\n")
    repository.locked(tiny=entry("a"))
    repository.git("mv", "models.yaml", "catalogue.yaml")
    repository.locked(tiny=entry("b"))
    assert [row[0] for row in told(read(repository))] == ["b", "a"]


def test_removed_and_added_again(repository: LockRepository) -> None:
    first = repository.locked(tiny=entry("a"), other=entry("1"))
    repository.locked(other=entry("1"))
    assert told(read(repository)) == [("a", first, True, False)], "nothing of it is served"
    again = repository.locked(tiny=entry("b", ModelSource("other/name")), other=entry("1"))
    assert told(read(repository)) == [("b", again, True, True), ("a", first, True, False)]
    repository.path.unlink()
    repository.commit("no lock")
    assert told(read(repository)) == [("b", again, True, False), ("a", first, True, False)]


def test_reformatted_locks_say_the_same(repository: LockRepository) -> None:
    first = repository.locked(tiny=entry("a"), other=entry("1"))
    text = repository.path.read_text()
    repository.path.write_text(text.replace("models:\n", "models:\n\n").replace("  source:", "  source: # comment"))
    assert lock.load(repository.path) == lock.read(text)
    repository.commit("comments")
    repository.path.write_bytes(text.replace("\n", "\r\n").encode())
    repository.commit("line ends")
    second = repository.locked(tiny=entry("b"), other=entry("1"))
    found = read(repository)
    assert told(found) == [("b", second, True, True), ("a", first, True, False)]
    assert [len(row.entries) for row in found.revisions["tiny"]] == [1, 1] and not found.notes


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b"<<<<<<< HEAD\nmodels: {}\n", "not valid YAML"),
        (b"\xff\xfe", "not UTF-8"),
        (b"", "the file is empty"),
        (b"apiVersion: modelyard.dev/v9\nkind: ModelLock\n", "must be `modelyard.dev/v1alpha1`"),
    ],
)
def test_a_faulty_commit_is_left_out_and_said(repository: LockRepository, bad: bytes, said: str) -> None:
    first = repository.locked(tiny=entry("a"))
    repository.path.write_bytes(bad)
    faulty = repository.commit("oops")
    third = repository.locked(tiny=entry("b"))
    found = read(repository)
    assert told(found) == [("b", third, True, True), ("a", first, True, False)]
    (note,) = found.notes
    assert note.severity is Severity.WARNING and said in note.message
    assert note.file == f"models.lock.yaml at {faulty}"


def test_one_faulty_block_leaves_the_commit_out_with_its_line(repository: LockRepository) -> None:
    repository.locked(tiny=entry("a"), other=entry("1"))
    repository.path.write_text(
        repository.path.read_text().replace("size: 1000\n    weights", "size: 1001\n    weights")
    )
    repository.commit("edited by hand")
    repository.write(tiny=entry("a"), other=entry("1"))
    found = read(repository, "tiny")
    (note,) = found.notes
    assert note.line > 5 and "1001 is not the sum of the files" in note.message


def test_what_is_not_committed(repository: LockRepository) -> None:
    first = repository.locked(tiny=entry("a"))
    repository.write(tiny=entry("b"))
    assert told(read(repository)) == [("b", "", False, True), ("a", first, True, False)]
    repository.write(tiny=entry("a", license="other"))
    (row,) = read(repository).revisions["tiny"]
    assert [known.license for known in row.entries] == ["other", "mit"] and row.served


def test_entries_of_one_revision_newest_first(repository: LockRepository) -> None:
    """The same commit, first without details, then with another choice of files."""
    bare = replace(entry("a"), size=None, weights=None, files=None)
    chosen = entry("a", ModelSource("example/tiny", allow=("*.safetensors",)))
    for locked in (bare, entry("a"), chosen):
        repository.locked(tiny=locked)
    (row,) = read(repository).revisions["tiny"]
    assert row.entries == (chosen, entry("a"), bare)
    assert row.asked_as(entry("a").source) == entry("a")
    assert row.asked_as(ModelSource("else/where")) is None


def test_a_shallow_clone_says_so(repository: LockRepository, tmp_path: Path) -> None:
    for digit in "abc":
        short = repository.locked(tiny=entry(digit))
    command = ["git", "clone", "-q", "--depth=1", f"file://{repository.top}", str(tmp_path / "clone")]
    subprocess.run(command, check=True, capture_output=True)
    path = tmp_path / "clone" / lock.FILE
    found = history.read(path, lock.load(path).models)
    assert found.shallow and told(found) == [("c", short, True, True)]
    (note,) = found.notes
    assert f"before {short} of 2026-01-01" in note.message and note.hint == "git fetch --unshallow"


def test_without_a_commit_or_a_repository(tmp_path: Path, repository: LockRepository) -> None:
    with pytest.raises(UserError, match="no commit yet"):
        history.read(repository.path, {})
    (tmp_path / "plain").mkdir()
    with pytest.raises(UserError, match="not a git repository"):
        history.read(tmp_path / "plain" / lock.FILE, {})


def test_a_lock_that_was_never_committed(repository: LockRepository) -> None:
    (repository.top / "README").write_text("x")
    repository.commit()
    repository.write(tiny=entry("a"))
    assert told(read(repository)) == [("a", "", False, True)]


def test_a_link_is_no_lock(repository: LockRepository) -> None:
    (repository.top / "elsewhere").write_bytes(lock.write(Lock({"tiny": entry("b")})))
    repository.path.symlink_to("elsewhere")
    repository.commit()
    assert history.read(repository.path, {}).revisions == {}


def test_odd_folder_names(tmp_path: Path) -> None:
    repository = LockRepository(tmp_path / "top")
    repository.path = repository.top / "na\u00efve \x01 \"'" / "b:c" / lock.FILE
    first = repository.locked(tiny=entry("a"))
    repository.locked(tiny=entry("b"))
    assert told(read(repository))[1] == ("a", first, True, False)


def test_many_commits_take_a_few_processes(repository: LockRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        repository.locked(tiny=entry("0123456789abcdef"[number % 16], size=number))
    started: list[object] = []
    real = subprocess.Popen.__init__

    def counted(self: object, command: object, *rest: object, **options: object) -> None:
        started.append(command)
        real(self, command, *rest, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess.Popen, "__init__", counted)
    assert len(read(repository).revisions["tiny"]) == 16
    assert len(started) == 6
    assert sha("0") in {row.commit for row in read(repository).revisions["tiny"]}
