"""Text of models.yaml to Spec, or to every fault in it at once.

A fault does not hide others: what is wrong is taken out, and what remains is still cross-checked (`Loaded.partial`).
`Loaded.ghosts` names the items that had to be set aside, so that references to them are not faults too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from generator import credentials
from generator.errors import Diagnostic, Path, dotted
from generator.spec import API_VERSION, KIND, Spec
from generator.wording import say
from generator.yamlio import Document

LISTS = ("clusters", "caches", "models", "services")
# Stand in for parts that are wholly faulty, so that the rest can still be cross-checked.
_STAND_INS: Mapping[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": KIND,
    "platform": {
        "prefix": "x",
        "repository": {"url": "https://example.com/x.git"},
        "images": {"prestage": "example.com/x:1"},
    },
    "clusters": [{"name": "x", "provider": "eks"}],
    "caches": [{"name": "x", "type": "s3"}],
    "models": [],
    "services": [],
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of reading a catalogue.

    `spec` is there only when there is no fault; `partial` is what could be read, and `kept` the places that its
    list items have in the file.
    """

    spec: Spec | None
    partial: Spec | None
    kept: Mapping[str, Sequence[int]]
    ghosts: frozenset[str]
    diagnostics: tuple[Diagnostic, ...]

    def true_path(self, path: Path) -> Path:
        """A path of `partial` as it is in the file."""
        if len(path) > 1 and path[0] in self.kept and isinstance(path[1], int):
            return (path[0], self.kept[str(path[0])][path[1]], *path[2:])
        return path


def load(document: Document) -> Loaded:
    """The catalogue in `document`, with every fault of its shape."""
    secrets = tuple(credentials.find(document))
    try:
        spec = Spec.model_validate(document.data)
    except ValidationError as error:
        details = _own(error)
        faults = secrets + tuple(_diagnostic(document, detail) for detail in details)
        return _remains(document.data, details, faults)
    return Loaded(None if secrets else spec, spec, {}, frozenset(), secrets)


def _own(error: ValidationError) -> list[ErrorDetails]:
    """The errors, without those that only follow from an error further inside."""
    details = error.errors(include_url=False)
    places = [detail["loc"] for detail in details]
    return [
        detail
        for detail in details
        if detail["type"] != "too_short"
        or not any(len(p) > len(detail["loc"]) and p[: len(detail["loc"])] == detail["loc"] for p in places)
    ]


def _diagnostic(document: Document, detail: ErrorDetails) -> Diagnostic:
    path = _inside(document.data, detail["loc"])
    if detail["type"] == "union_tag_invalid":
        path = (*path, str(detail["ctx"]["discriminator"]).strip("'"))
    at_key = detail["type"] == "extra_forbidden"
    line, column = document.locate_key(path) if at_key else document.locate(path)
    message, hint = say(detail, path)
    return Diagnostic(message, document.file, line, column, dotted(path), hint)


def _inside(data: Any, loc: Path) -> Path:
    """`loc` without what pydantic adds: the name of a union's branch, `[key]`."""
    path: list[str | int] = []
    for part in loc:
        inner = _step(data, part)
        if inner is not _NOTHING:
            data = inner
        elif part != loc[-1] or part == "[key]":
            continue
        path.append(part)
    return tuple(path)


_NOTHING = object()


def _step(data: Any, part: str | int) -> Any:
    """What stands at one step of a path, `_NOTHING` when there is no such place."""
    if isinstance(data, Mapping):
        return data.get(part, _NOTHING)
    if isinstance(data, list) and isinstance(part, int) and part < len(data):
        return data[part]
    return _NOTHING


def _remains(data: Any, details: list[ErrorDetails], faults: tuple[Diagnostic, ...]) -> Loaded:
    """What can still be cross-checked: first without the faulty keys, then without the items that need them."""
    if not isinstance(data, dict):
        return Loaded(None, None, {}, frozenset(), faults)
    pruned = deepcopy({key: value for key, value in data.items() if key in _STAND_INS})
    for detail in details:
        _prune(pruned, _inside(pruned, detail["loc"]))
    whole = {**_STAND_INS, **{key: value for key, value in pruned.items() if value}}
    try:
        return Loaded(None, Spec.model_validate(whole), {}, frozenset(), faults)
    except ValidationError as error:
        return _without_items(whole, _own(error), faults)


def _prune(data: Any, path: Path) -> None:
    """Take the key at `path` out; an item of a list stays, so that the places of the others do too."""
    for part in path[:-1]:
        data = _step(data, part)
    if path and isinstance(data, dict):
        data.pop(path[-1], None)


def _without_items(data: dict[str, Any], details: list[ErrorDetails], faults: tuple[Diagnostic, ...]) -> Loaded:
    faulty: dict[str, set[int]] = {key: set() for key in LISTS}
    rest = dict(data)
    for detail in details:
        first, second = (*detail["loc"], None, None)[:2]
        if first in faulty and isinstance(second, int):
            faulty[str(first)].add(second)
        else:
            rest.pop(str(first), None)
    ghosts: set[str] = set()
    kept: dict[str, list[int]] = {}
    for key, items in ((key, rest[key]) for key in LISTS if isinstance(rest.get(key), list)):
        ghosts |= {f"{key}/{_name(items[i])}" for i in faulty[key]}
        kept[key] = [i for i in range(len(items)) if i not in faulty[key]]
        rest[key] = [items[i] for i in kept[key]]
    whole = {**_STAND_INS, **{key: value for key, value in rest.items() if value}}
    return Loaded(None, Spec.model_validate(whole), kept, frozenset(ghosts), faults)


def _name(item: Any) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) else ""
