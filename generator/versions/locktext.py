"""models.lock.yaml by the block of lines of each model: a history repeats most of them, and a rollback changes one.

Only a text laid out as `modelyard lock` writes it has blocks; any other is read as a whole.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from generator import lock
from generator.errors import UserError
from generator.lock import Lock, LockedModel

_T = TypeVar("_T")
_START = f"apiVersion: {lock.API_VERSION}\nkind: {lock.KIND}\nmodels:\n"
_HEAD = re.compile(rf"(?:#[^\n]*\n)*{re.escape(_START)}")
_BLOCK = re.compile(r'  ("?)([a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)\1:\n(?:    [^\n]*\n)++')


@dataclass(frozen=True, slots=True)
class Blocks:
    """Where the lines of each model start and end in a text, and where the first would start."""

    start: int
    spans: Mapping[str, tuple[int, int]]


def blocks(text: str) -> Blocks | None:
    """None where the text is not laid out as `modelyard lock` does it."""
    head = _HEAD.match(text)
    if head is None:
        return None
    spans: dict[str, tuple[int, int]] = {}
    at = head.end()
    while found := _BLOCK.match(text, at):
        if found[2] in spans:
            return None
        spans[found[2]] = found.span()
        at = found.end()
    return None if not spans or text.startswith((" ", "\n"), at) else Blocks(head.end(), spans)


@dataclass(slots=True)
class Reader:
    """Reads the locks of a history. The same lines give the same object."""

    wanted: Collection[str] = ()  # models; all when empty
    known: dict[str, LockedModel] = field(default_factory=dict)

    def models(self, content: bytes, file: str) -> Mapping[str, LockedModel]:
        """The wanted models of a lock that diagnostics call `file`. Raises UserError as `lock.read` does."""
        text = content.decode("utf-8", "replace")
        found = blocks(text)
        if found is None:
            return self._chosen(lock.read(content, file).models)
        try:
            return {
                name: self._block(text[slice(*span)], name, file) for name, span in self._chosen(found.spans).items()
            }
        except UserError:
            return self._chosen(lock.read(content, file).models)  # which knows the line of the fault

    def _chosen(self, found: Mapping[str, _T]) -> Mapping[str, _T]:
        return {name: item for name, item in found.items() if name in self.wanted} if self.wanted else found

    def _block(self, block: str, name: str, file: str) -> LockedModel:
        entry = self.known.get(block)
        if entry is None:
            entry = self.known[block] = lock.read(_START + block, file).models[name]
        return entry


def with_entry(text: str, name: str, entry: LockedModel, file: str) -> str:
    """`text`, the lock called `file`, with `entry` for the model and every other byte as it is.

    An empty text is no lock yet. Raises UserError where the text has faults, or another layout than `modelyard lock`
    gives it.
    """
    old = lock.read(text, file) if text else Lock()
    if not old.models:
        return lock.write(Lock({name: entry}, old.images)).decode()
    found = blocks(text)
    if found is None:
        hint = "run `modelyard lock`, which writes it anew, commit it, and roll back then"
        raise UserError.of("is not laid out as `modelyard lock` writes it", file=file, hint=hint)
    start, end = found.spans.get(name) or _gap(found, name)
    new = text[:start] + block_of(name, entry) + text[end:]
    if lock.read(new, file) != Lock({**old.models, name: entry}, old.images):
        raise AssertionError(f"the edit of {file} changes more than {name}")
    return new


def block_of(name: str, entry: LockedModel) -> str:
    """The lines of a model."""
    return lock.write(Lock({name: entry})).decode().partition(_START)[2]


def _gap(found: Blocks, name: str) -> tuple[int, int]:
    """Where a model that the text lacks belongs: they stand in the order of their names."""
    names = sorted(found.spans)
    before = names[: bisect_left(names, name)]
    at = found.spans[before[-1]][1] if before else found.start
    return at, at
