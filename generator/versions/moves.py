"""What a run of `lock` moved: for the terminal, for machines, and as the text of a commit or a pull request. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from generator import naming, quantities
from generator.lock import Lock, LockedModel

# Of 65,536 characters that a request on GitHub may have (GraphQL API, PullRequest.body), less for one push option.
_LONGEST = 15_000  # characters of a table or list
_HEAD = ("model", "from", "to", "size", "files", "also")
_RULE = "| --- | --- | --- | --- | --- | --- |"
# What a reviewer wants to know beside the weights. The key as the lock writes it.
_FACTS = {
    "license": "license",
    "gated": "gated",
    "dtype": "dtype",
    "parameters": "parameters",
    "context_length": "contextLength",
}


@dataclass(frozen=True, slots=True)
class Move:
    """A model whose commit is another now; `before` is None where it is new, `after` where it is gone."""

    model: str
    before: LockedModel | None
    after: LockedModel | None


@dataclass(frozen=True, slots=True)
class Moves:
    """Models by name, and images whose digest is another now: reference, old and new digest."""

    models: tuple[Move, ...]
    images: tuple[tuple[str, str, str], ...]


def between(old: Lock, new: Lock) -> Moves:
    """What differs between two locks, entries that only learned details left out."""
    names = sorted(old.models.keys() | new.models.keys())
    pairs = ((name, old.models.get(name), new.models.get(name)) for name in names)
    moved = tuple(Move(*pair) for pair in pairs if _commit(pair[1]) != _commit(pair[2]))
    references = sorted(old.images.keys() & new.images.keys())
    images = ((name, old.images[name], new.images[name]) for name in references)
    return Moves(moved, tuple(image for image in images if image[1] != image[2]))


def _commit(entry: LockedModel | None) -> str:
    return entry.commit if entry else ""


def data(moves: Moves) -> dict[str, Any]:
    """For JSON: sizes in bytes, null where unknown or where there is no such side."""
    return {"moved": [_data(move) for move in moves.models], "images_moved": [image[0] for image in moves.images]}


def _data(move: Move) -> dict[str, Any]:
    before, after = move.before, move.after
    return {
        "model": move.model,
        "from": before and before.commit,
        "to": after and after.commit,
        "size_before": before and before.size,
        "size_after": after and after.size,
        "changed": {key: [old, new] for key, old, new in _changed(move)},
    }


def lines(moves: Moves) -> Iterator[str]:
    """One line a model that moved or went, and one an image; those locked for the first time are many."""
    for move in (move for move in moves.models if move.before):
        facts = [fact for fact in (_size(move), _files(move)) if fact]
        facts += [f"{key} {old} -> {new}" for key, old, new in _changed(move)]
        said = f": {', '.join(facts)}" if facts else ""
        yield f"{move.model}: {_short(move.before)} -> {_short(move.after) or 'gone'}{said}"
    yield from (f"{reference}: {old[7:19]} -> {new[7:19]}" for reference, old, new in moves.images)


def markdown(moves: Moves, unanswered: Sequence[str] = (), *, hub: str = "") -> str:
    """A subject, a blank line, and a table: for `git commit --file` and for a request's title and body.

    `unanswered`: models that stay because nobody could be asked. With `hub`, the address of the Hub without a slash at
    its end, commits are links to it. Long tables are cut: what forges take has a limit.
    """
    parts = [_subject(moves)]
    if moves.models:
        parts.append(_table([_row(move, hub) for move in moves.models]))
    if stages := sum(move.after.size or 0 for move in moves.models if move.after):
        parts.append(f"To stage: {quantities.human(stages)}.")
    if moves.images:
        parts.append(_list(f"{_code(name)} has new content" for name, _, _ in moves.images))
    if unanswered:
        listed = _list(map(_code, unanswered))
        parts.append(f"The Hub gave no answer for these, which stay as they are:\n\n{listed}")
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Sequence[str]]) -> str:
    return f"| {' | '.join(_HEAD)} |\n{_RULE}\n" + _cut([f"| {' | '.join(row)} |" for row in rows])


def _list(items: Iterable[str]) -> str:
    return _cut([f"- {item}" for item in items])


def _cut(rows: Sequence[str]) -> str:
    """The rows that fit, and how many are left out."""
    lengths = accumulate(len(row) + 1 for row in rows)
    fitting = sum(length <= _LONGEST for length in lengths)
    more = f"\n\nand {len(rows) - fitting} more" if fitting < len(rows) else ""
    return "\n".join(rows[:fitting]) + more


def _subject(moves: Moves) -> str:
    newer = [move.model for move in moves.models if move.before and move.after]
    if newer:
        return f"Newer revision of {newer[0]}" if len(newer) == 1 else f"Newer revisions of {len(newer)} models"
    if moves.models:
        return "Models locked for the first time, or gone"
    return "Newer images" if moves.images else "Bring the lock and the rendered tree up to date"


def _row(move: Move, hub: str) -> Sequence[str]:
    also = "; ".join(f"{key} {_code(old)} to {_code(new)}" for key, old, new in _changed(move))
    commits = (_link(move.before, hub) or "new", _link(move.after, hub) or "gone")
    return (_code(move.model), *commits, _size(move), _files(move), also)


def _link(entry: LockedModel | None, hub: str) -> str:
    if entry is None:
        return ""
    short = _code(_short(entry))
    return f"[{short}]({hub}/{entry.source.repo}/tree/{entry.commit})" if hub else short


def _short(entry: LockedModel | None) -> str:
    return naming.short_commit(entry.commit) if entry else ""


def _size(move: Move) -> str:
    """`2.2 GB (+1.2 MB)`; empty where the size of what comes is not known."""
    if move.after is None or move.after.size is None:
        return ""
    size = quantities.human(move.after.size)
    if move.before is None or move.before.size is None:
        return size
    grown = move.after.size - move.before.size
    return f"{size} ({'-' if grown < 0 else '+'}{quantities.human(abs(grown))})"


def _files(move: Move) -> str:
    """`1 changed, 2 added`; empty where the files of a side are not known."""
    if not (move.before and move.after) or move.before.files is None or move.after.files is None:
        return ""
    old, new = ({file.path: file.digest for file in side} for side in (move.before.files, move.after.files))
    changed = sum(old[path] != new[path] for path in old.keys() & new.keys())
    counts = ((changed, "changed"), (len(new.keys() - old.keys()), "added"), (len(old.keys() - new.keys()), "removed"))
    return ", ".join(f"{count} {verb}" for count, verb in counts if count) or "none changed"


def _changed(move: Move) -> Iterator[tuple[str, Any, Any]]:
    """Facts that are known of both sides and differ."""
    for attribute, key in _FACTS.items():
        old, new = getattr(move.before, attribute, None), getattr(move.after, attribute, None)
        if old is not None and new is not None and old != new:
            yield key, old, new


def _code(value: object) -> str:
    """A value in a cell as code: a licence's name is what somebody on the Hub wrote."""
    return f"`{re.sub(r'[`|]', ' ', str(value))}`"
