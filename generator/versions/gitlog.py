"""Every commit that changed a file, wherever the file lay at that time: two processes of Git for the whole history."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from generator import gitfiles
from generator.errors import UserError

# Bytes 1 and 2 stand in no hash and in no date, and the subject comes last.
_FORMAT = "--format=%x01%H%x02%cI%x02%s"
_LOG = ("log", "--raw", "-z", "--no-abbrev", "-M", "--date-order", "--no-show-signature", "--diff-merges=first-parent")
# Git, "History Simplification": by default a merge hides the side whose content it did not take.
_BRANCH, _ALL = "--first-parent", "--full-history"
_HINT = "run it inside the Git repository of the catalogue"


@dataclass(frozen=True, slots=True)
class Change:
    """A commit that changed the file: what it holds since (`blob`, empty where it was removed), and where it lay.

    `landed`: it is on the branch itself, not only on one that was merged into it.
    """

    commit: str  # 40 or 64 hex digits, Git's
    date: datetime  # of the committer, UTC
    subject: str
    blob: str
    path: str
    landed: bool

    @property
    def short(self) -> str:
        return self.commit[:7]


@dataclass(frozen=True, slots=True)
class Log:
    """The changes of a file, newest first. `shallow`: the clone ends somewhere, older changes are not in it."""

    top: Path
    changes: tuple[Change, ...]
    shallow: bool


class _Row(NamedTuple):
    """A line of `--raw`: a file that a commit added, changed, moved or removed."""

    moved: bool
    blob: str
    before: str  # path
    after: str


class _Commit(NamedTuple):
    commit: str
    date: str
    subject: str
    rows: tuple[_Row, ...]


def log(path: Path) -> Log:
    """The changes of `path` up to HEAD, moves of its folder included; merges count where they change the branch.

    Raises UserError where there is no repository, no Git, or no commit yet.
    """
    at = gitfiles.spot(path, _HINT)
    shallow = gitfiles.git(at.top, "rev-parse", "--is-shallow-repository", hint=_HINT) == b"true\n"
    try:
        head = gitfiles.git(at.top, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").decode().strip()
    except UserError as error:
        raise UserError.of("there is no commit yet", file=str(path), hint="commit the lock first") from error
    branch, all_of_it = (_changes(at, head, path.name, which) for which in (_BRANCH, _ALL))
    landed = {change.commit for change in branch}
    beside = [change for change in all_of_it if change.commit not in landed]
    # Dates may be wrong; the order of the branch itself stays.
    changes = heapq.merge(branch, beside, key=lambda change: -change.date.timestamp())
    return Log(at.top, tuple(changes), shallow)


def _changes(at: gitfiles.Spot, head: str, name: str, which: str) -> list[Change]:
    """From the newest commit back; a move adds a place where older commits may have it."""
    spec = f":(top,glob)**/{name}"
    said = gitfiles.git(
        at.top, *_LOG, which, _FORMAT, head, "--", spec, hint="it takes Git 2.31 or newer; else run `git fsck`"
    )
    places = {at.path}
    found: list[Change] = []
    for commit in _commits(said.decode(errors="surrogateescape")):
        date = datetime.fromisoformat(commit.date).astimezone(UTC)
        rows = [row for row in commit.rows if row.after in places]
        found += [Change(commit.commit, date, commit.subject, row.blob, row.after, which == _BRANCH) for row in rows]
        places |= {row.before for row in rows if row.moved}
    return found


def _commits(text: str) -> Iterator[_Commit]:
    """With -z, a header and each field of a row end with NUL."""
    fields = iter(text.split("\0"))
    header: list[str] = []
    rows: list[_Row] = []
    for field in fields:
        if field.startswith("\x01"):
            if header:
                yield _Commit(header[0], header[1], header[2], tuple(rows))
            header, rows = field[1:].split("\x02", 2), []
        elif field.lstrip("\n").startswith(":"):
            rows.append(_row(field.lstrip("\n"), fields))
    if header:
        yield _Commit(header[0], header[1], header[2], tuple(rows))


def _row(facts: str, fields: Iterator[str]) -> _Row:
    """`:<mode> <mode> <blob> <blob> <status>`; what is no plain file, such as a link, holds no lock."""
    _, mode, _, blob, status = facts[1:].split(" ")
    before = next(fields)
    after = next(fields) if status[0] in "RC" else before
    return _Row(status[0] == "R", blob if mode.startswith("100") else "", before, after)
