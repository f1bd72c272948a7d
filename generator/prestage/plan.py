"""plan.json: which files of which commit are staged. Written by `modelyard render`, read in the Job."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generator import filechoice
from generator.prestage.faults import PrestageError, wrong_plan

VERSION = 1
MAX_BYTES = 2**20  # a ConfigMap holds no more
MAX_FILE = 5 * 2**40  # the largest object of S3

_MODEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_REPO = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/)?[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}")
_COMMIT = re.compile("[0-9a-f]{40}")
_DIGEST = re.compile("sha256:[0-9a-f]{64}|git:[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class File:
    """A file to stage. `digest` is `sha256:<hex>`, or `git:<hex>`, the id of a git blob."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Plan:
    """One model at one commit. `files` is None where the choice is made from the Hub's listing."""

    model: str
    repo: str
    commit: str
    allow: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    files: tuple[File, ...] | None = None


def parse(content: bytes) -> Plan:
    """The plan in `content`. Raises PrestageError that names what is wrong in it."""
    try:
        data = json.loads(content) if len(content) <= MAX_BYTES else None
        if not isinstance(data, dict) or data.get("version") != VERSION:
            raise ValueError(f"it is not a plan of version {VERSION}")
        return _plan(data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise wrong_plan(f"the plan cannot be used: {what}") from error


def _plan(data: Mapping[str, Any]) -> Plan:
    listed = data["files"]
    files = None if listed is None else tuple(_file(path, *facts) for path, facts in sorted(listed.items()))
    if files is not None:
        check_paths(files)
    return Plan(
        model=_matching(_MODEL, data["model"], "model"),
        repo=_matching(_REPO, data["source"]["huggingface"], "source.huggingface"),
        commit=_matching(_COMMIT, data["source"]["commit"], "source.commit"),
        allow=_texts(data["allow"], "allow"),
        ignore=_texts(data["ignore"], "ignore"),
        files=files,
    )


def _file(path: str, size: int, digest: str) -> File:
    return File(path, checked_size(size, path), _matching(_DIGEST, digest, f"digest of {path!r}"))


def checked_size(size: object, path: str) -> int:
    """`size` where it can be one of a file, in bytes. Raises ValueError."""
    if type(size) is not int or not 0 <= size <= MAX_FILE:
        raise ValueError(f"size of {path!r} is {size!r}")
    return size


def _matching(pattern: re.Pattern[str], value: object, name: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{name} is {value!r}")
    return value


def _texts(values: object, name: str) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name} is not a list of texts")
    return tuple(values)


def check_paths(files: tuple[File, ...]) -> None:
    """Refuses names that are no safe keys, before the first byte (promise P9). Raises PrestageError."""
    faults = [f"{path!r} {why}" for path, why in filechoice.path_faults([file.path for file in files])]
    if faults:
        hint = "do not use this repository; a harmless name can be left out with source.ignore"
        raise wrong_plan(f"unsafe file names: {'; '.join(faults[:5])}", hint)
    if not files:
        raise wrong_plan("no file is to be staged", "check source.allow and source.ignore")


def summary(plan: Plan) -> str:
    """`owner/name@commit`, for people."""
    return f"{plan.repo}@{plan.commit}"


__all__ = ["File", "Plan", "PrestageError", "check_paths", "checked_size", "parse", "summary"]
