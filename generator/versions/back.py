"""What a rollback takes: a revision of the history that answers to what models.yaml asks today. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from generator import checks, naming, quantities
from generator.errors import Diagnostic, UserError
from generator.lock import LockedModel, ModelSource
from generator.spec import Model, Spec
from generator.suggest import suggest
from generator.versions.history import Revision
from generator.yamlio import Document

SHORTEST = 4  # hex digits, as Git takes them
_LISTED = 10
_KEYS = {"repo": "huggingface", "revision": "revision", "allow": "allow", "ignore": "ignore"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model of the catalogue and its place there."""

    model: Model
    index: int
    document: Document

    @property
    def source(self) -> ModelSource:
        return checks.asked(self.model)

    def fault(self, key: str, message: str, hint: str) -> Diagnostic:
        """A fault of the key of `source`; at the source itself where the catalogue leaves it out."""
        return self.document.fault(("models", self.index, "source", key), message, hint)


def wanted(document: Document, spec: Spec, name: str) -> Wanted:
    """Raises UserError where the catalogue has no such model."""
    for index, model in enumerate(spec.models):
        if model.name == name:
            return Wanted(model, index, document)
    hint = suggest(name, (model.name for model in spec.models))
    raise UserError.of(f"no model is named `{name}`", file=document.file, hint=hint)


def choose(rows: Sequence[Revision], asked: str | None, name: str, file: str) -> Revision:
    """The revision that starts with `asked`, or the one that the branch had before the one served now.

    `rows` are newest first. Raises UserError, with what there is, where `asked` fits none or several.
    """
    if asked is None:
        return _before(rows, name, file)
    digits = asked.lower()
    if not re.fullmatch(f"[0-9a-f]{{{SHORTEST},40}}", digits):
        message = f"`{asked}` is no revision: write {SHORTEST} to 40 digits of a commit of {name} on the Hub"
        raise UserError.of(message, file=file, hint=_listing(rows))
    found = [row for row in rows if row.commit.startswith(digits)]
    if len(found) != 1:
        what = f"{len(found)} revisions" if found else "no revision"
        message = f"{what} of {name} in the history of Git start{'' if found else 's'} with `{asked}`"
        raise UserError.of(message, file=file, hint=_listing(found or rows))
    return found[0]


def _before(rows: Sequence[Revision], name: str, file: str) -> Revision:
    served = next((number for number, row in enumerate(rows) if row.served), -1)
    found = next((row for row in rows[served + 1 :] if row.landed), None)
    if found is None:
        raise UserError.of(f"nothing older of {name} is in the history of Git", file=file, hint=_listing(rows))
    return found


def _listing(rows: Sequence[Revision]) -> str:
    """The newest of them, each with its date and what it is."""
    shown = [f"{naming.short_commit(row.commit)} ({', '.join(_facts(row))})" for row in rows[:_LISTED]]
    more = [f"and {len(rows) - _LISTED} more: `modelyard versions`"] if len(rows) > _LISTED else []
    return f"there are: {', '.join([*shown, *more])}" if shown else "lock it first: `modelyard lock`"


def _facts(row: Revision) -> Iterator[str]:
    if row.served:
        yield "served now"
    if row.since:
        yield f"{row.since.date:%Y-%m-%d}"


def entry_for(row: Revision, asked: Wanted) -> LockedModel:
    """The entry of `row` to serve again. Raises UserError where models.yaml asks for something else today."""
    source = asked.source
    if checks.is_commit(source.revision) and source.revision != row.commit:
        message = f"pins {source.revision}, so that nothing else can be locked"
        hint = f"write `revision: {row.commit}` here and run `modelyard lock {row.model}`"
        raise UserError((asked.fault("revision", message, hint),))
    entry = row.asked_as(source)
    if entry is None:
        raise UserError(_differences(row, asked))
    return entry


def _differences(row: Revision, asked: Wanted) -> Iterator[Diagnostic]:
    """A fault for each part of the source that has changed since."""
    then, now, short = row.newest.source, asked.source, naming.short_commit(row.commit)
    for attribute, key in _KEYS.items():
        old, new = getattr(then, attribute), getattr(now, attribute)
        if old != new:
            shown = _shown(old) or "nothing"
            message = f"{short} was locked for another source: {key} was {shown}"
            hint = f"write `{key}: {_shown(old)}` again" if _shown(old) else f"take `{key}` out again"
            yield asked.fault(key, message, f"{hint}, or choose a revision that was locked for this source")


def _shown(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else f"[{', '.join(value)}]" if value else ""


def what(entry: LockedModel) -> str:
    """`2.2 GB in 8 files`, as far as it is known."""
    size = "" if entry.size is None else quantities.human(entry.size)
    files = "" if entry.files is None else f"{len(entry.files)} files"
    return " in ".join(filter(None, (size, files))) or "size unknown"
