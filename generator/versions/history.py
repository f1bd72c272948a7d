"""The revisions of each model that the lock has named: a revision is one commit of the Hub, one folder when staged."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from generator import gitfiles
from generator.errors import Diagnostic, Severity, UserError
from generator.lock import LockedModel, ModelSource
from generator.versions.gitlog import Change, Log, log
from generator.versions.locktext import Reader

_NONE = -1


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit of a model, as the lock had it.

    `entries`, newest first: its entry may have changed with the source, or when details were read later. `since`:
    the first change of the branch that named it, else of a branch merged into it; None where Git has none yet.
    `served`: models.lock.yaml of the working tree names it.
    """

    model: str
    commit: str  # 40 hex
    entries: tuple[LockedModel, ...]
    since: Change | None
    served: bool = False

    @property
    def landed(self) -> bool:
        return self.since is not None and self.since.landed

    @property
    def newest(self) -> LockedModel:
        return self.entries[0]

    def asked_as(self, source: ModelSource) -> LockedModel | None:
        """The newest entry that answers to `source`."""
        return next((entry for entry in self.entries if entry.source == source), None)


@dataclass(frozen=True, slots=True)
class History:
    """Revisions by model, newest first; what could not be read is in `notes`, as warnings."""

    top: Path
    revisions: Mapping[str, tuple[Revision, ...]]
    changes: int  # commits of Git that changed the lock
    shallow: bool
    notes: tuple[Diagnostic, ...]

    def named(self) -> Iterator[tuple[str, str]]:
        """Model and commit of every revision."""
        return ((row.model, row.commit) for rows in self.revisions.values() for row in rows)


@dataclass(slots=True)
class _Seen:
    """What is known of a revision; changes by their number, from the oldest."""

    entries: list[LockedModel] = field(default_factory=list)  # newest last
    landed: int = _NONE
    beside: int = _NONE

    @property
    def since(self) -> int:
        return self.beside if self.landed == _NONE else self.landed

    def note(self, entry: LockedModel, number: int, landed: bool) -> None:
        if entry in self.entries:
            self.entries.remove(entry)
        self.entries.append(entry)
        if landed and self.landed == _NONE:
            self.landed = number
        elif not landed and self.beside == _NONE:
            self.beside = number


def read(path: Path, now: Mapping[str, LockedModel], wanted: Collection[str] = ()) -> History:
    """The history of the lock at `path`, whose working tree holds `now`; of all models unless some are `wanted`.

    Raises UserError where Git cannot be read. A lock that was faulty in some commit is left out and noted.
    """
    found = log(path)
    held = [change for change in found.changes[::-1] if change.blob]
    seen: dict[str, dict[str, _Seen]] = {}
    notes = [*_shallow(path, found), *_gather(found.top, held, Reader(wanted), seen)]
    chosen = {name: entry for name, entry in now.items() if not wanted or name in wanted}
    names = sorted(seen.keys() | chosen.keys())
    revisions = {name: _revisions(name, seen.get(name, {}), held, chosen.get(name)) for name in names}
    commits = {change.commit for change in found.changes}
    return History(found.top, revisions, len(commits), found.shallow, tuple(notes))


def _gather(
    top: Path, held: Sequence[Change], reader: Reader, seen: dict[str, dict[str, _Seen]]
) -> Iterator[Diagnostic]:
    """Fills `seen` from the oldest lock to the newest; what cannot be read is yielded."""
    # Only what differs from the lock before is looked at: of 10,000 models a commit changes few.
    before: dict[bool, Mapping[str, LockedModel]] = {True: {}, False: {}}
    contents = gitfiles.contents(top, [change.blob for change in held])
    for number, (change, content) in enumerate(zip(held, contents, strict=True)):
        try:
            models = reader.models(content, f"{change.path} at {change.short}")
        except UserError as error:
            yield _skipped(error)
            continue
        for name, entry in models.items():
            if before[change.landed].get(name) is not entry:
                commits = seen.setdefault(name, {})
                commits.setdefault(entry.commit, _Seen()).note(entry, number, change.landed)
        before[change.landed] = models


def _revisions(
    name: str, seen: Mapping[str, _Seen], held: Sequence[Change], now: LockedModel | None
) -> tuple[Revision, ...]:
    """What Git does not have yet comes before all."""
    newest_first = sorted(seen.items(), key=lambda item: -item[1].since)
    rows = [Revision(name, commit, tuple(it.entries[::-1]), held[it.since]) for commit, it in newest_first]
    if now is None:
        return tuple(rows)
    if now.commit not in seen:
        return (Revision(name, now.commit, (now,), None, served=True), *rows)
    return tuple(_served(row, now) if row.commit == now.commit else row for row in rows)


def _served(row: Revision, now: LockedModel) -> Revision:
    others = tuple(entry for entry in row.entries if entry != now)
    return replace(row, entries=(now, *others), served=True)


def _skipped(error: UserError) -> Diagnostic:
    first, *others = error.diagnostics
    more = f" and {len(others)} more faults" if others else ""
    return replace(
        first,
        message=f"this lock is faulty and is left out: {first.message}{more}",
        hint="nothing to do, unless a revision is missing",
        severity=Severity.WARNING,
    )


def _shallow(path: Path, found: Log) -> Iterator[Diagnostic]:
    if found.shallow:
        oldest = found.changes[-1] if found.changes else None
        until = f"{oldest.short} of {oldest.date:%Y-%m-%d}" if oldest else "it ends"
        message = f"this clone is shallow: what was locked before {until} is not known"
        yield Diagnostic(message, str(path), hint="git fetch --unshallow", severity=Severity.WARNING)
