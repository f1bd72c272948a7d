"""Hand-written checks of mappings that a program wrote: strict, with places, and fast.

The lock may hold 10,000 models, and every run reads it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from generator.errors import Diagnostic
from generator.errors import Path as Place
from generator.yamlio import Document

Convert = Callable[[Any, Place, "list[Fault]"], Any]
"""`(value, path, faults)` to the checked value; notes faults, or raises ValueError with one message."""


class Fault(NamedTuple):
    """Something wrong at `path`: the key itself (`at_key`), or one line of a text block (`row`)."""

    path: Place
    message: str
    hint: str = ""
    at_key: bool = False
    row: int = 0  # line inside a block of text, from 1


class Field(NamedTuple):
    """What may stand under a key."""

    name: str  # of the argument it becomes
    convert: Convert
    required: bool = False


def record(value: Any, fields: Mapping[str, Field], path: Place, faults: list[Fault]) -> dict[str, Any]:
    """The checked fields of a mapping with known keys; faulty ones are left out."""
    if not isinstance(value, dict):
        raise ValueError("must be a mapping")
    checked: dict[str, Any] = {}
    for key, item in value.items():
        if key in fields:
            _check(fields[key], item, (*path, key), faults, checked)
        else:
            faults.append(Fault((*path, key), f"unknown key `{key}`", f"known keys: {', '.join(fields)}", at_key=True))
    missing = (key for key, field in fields.items() if field.required and key not in value)
    faults.extend(Fault(path, f"missing key `{key}`") for key in missing)
    return checked


def _check(field: Field, item: Any, path: Place, faults: list[Fault], into: dict[str, Any]) -> None:
    try:
        into[field.name] = field.convert(item, path, faults)
    except ValueError as error:
        faults.append(Fault(path, str(error)))


def matching(pattern: str, want: str) -> Convert:
    """Text that fully matches `pattern`; `want` says it in words."""
    matches = re.compile(pattern).fullmatch

    def convert(value: Any, path: Place, faults: list[Fault]) -> str:
        if not isinstance(value, str) or not matches(value):
            raise ValueError(f"must be {want}")
        return value

    return convert


def count(value: Any, path: Place, faults: list[Fault]) -> int:
    """A whole number, 0 or more; `true` is none."""
    if type(value) is not int or value < 0:
        raise ValueError("must be a whole number, 0 or more")
    return value


def boolean(value: Any, path: Place, faults: list[Fault]) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def mapping_of(keys: str, want: str, convert: Convert) -> Convert:
    """A mapping with any keys that fully match `keys`; `want` names such a key."""
    matches = re.compile(keys).fullmatch

    def converted(value: Any, path: Place, faults: list[Fault]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError("must be a mapping")
        checked: dict[str, Any] = {}
        for key, item in value.items():
            if isinstance(key, str) and matches(key):
                _check(Field(key, convert), item, (*path, key), faults, checked)
            else:
                faults.append(Fault((*path, key), f"`{key}` is not {want}", at_key=True))
        return checked

    return converted


def diagnostic(document: Document, fault: Fault, mend: str) -> Diagnostic:
    """The fault with its place in the document; `mend` is the hint where it has none of its own."""
    found = document.fault(fault.path, fault.message, fault.hint or mend, at_key=fault.at_key)
    return replace(found, line=found.line + fault.row, column=1) if fault.row else found
