"""The manifest says what is there, in the same bytes for the same files, and contradictions end the run."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from generator.prestage import manifest
from generator.prestage.exits import PrestageExit
from generator.prestage.faults import PrestageError
from generator.prestage.manifest import Entry, Manifest
from generator.prestage.plan import File, Plan
from tests.unit import prestaging
from tests.unit.prestaging import FILES, WEIGHTS

ENTRIES = tuple(Entry(path, len(body), sha256(body).hexdigest(), "0badcafe") for path, body in FILES.items())
PLAN = prestaging.plan()
HELD = manifest.of(PLAN, ENTRIES)


def stated(**changes: Any) -> bytes:
    return json.dumps({**json.loads(manifest.write(HELD)), **changes}).encode()


def test_same_files_same_bytes() -> None:
    other = manifest.of(PLAN, reversed(ENTRIES))
    assert manifest.write(other) == manifest.write(HELD)
    assert manifest.read(manifest.write(HELD), "here") == HELD
    assert [entry.path for entry in HELD.files] == sorted(FILES)


def test_it_is_what_readers_expect() -> None:
    data = json.loads(manifest.write(HELD))
    assert (data["version"], data["model"], data["commit"], data["source"]) == (1, "tiny", "c" * 40, "org/tiny")
    assert data["files"][0] == {
        "path": "config.json",
        "size": 2,
        "sha256": sha256(b"{}").hexdigest(),
        "crc32": "0badcafe",
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[" * 100_000,
        b"\xff",
        stated(version=2),
        stated(files=None),
        stated(files=[{"path": "a"}]),
        stated(files=[{"path": "a", "size": 1, "sha256": "A" * 64, "crc32": ""}]),
        stated(files=[{"path": "a", "size": -1, "sha256": "a" * 64, "crc32": ""}]),
        stated(files=[{"path": "a", "size": 1, "sha256": "a" * 64, "crc32": "xyz"}]),
        stated(files=[{"path": "../a", "size": 1, "sha256": "a" * 64, "crc32": ""}]),
        stated(files=[{"path": "a", "size": 1, "sha256": "a" * 64}] * 2),
        stated(allow=5),
    ],
    ids=range(13),
)
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(PrestageError, match="here cannot be read") as caught:
        manifest.read(content, "here")
    assert caught.value.exit is PrestageExit.INTEGRITY and "manifest" in caught.value.hint


@pytest.mark.parametrize("lacks", ["source", "allow", "ignore"])
def test_facts_for_people_may_lack(lacks: str) -> None:
    data = {key: value for key, value in json.loads(manifest.write(HELD)).items() if key != lacks}
    assert manifest.read(json.dumps(data).encode(), "here").files == HELD.files


EXTRA = File("tokenizer.model", 3, f"sha256:{'e' * 64}")


@pytest.mark.parametrize(
    ("plan", "covered"),
    [
        (PLAN, True),
        (replace(PLAN, files=PLAN.files[:1]), True),  # type: ignore[index]
        (replace(PLAN, files=(*PLAN.files, EXTRA)), False),  # type: ignore[misc]
        (replace(PLAN, allow=("*.txt",)), True),  # the list decides
        (replace(PLAN, files=None), True),
        (replace(PLAN, files=None, allow=("*.txt",)), False),
        (replace(PLAN, files=None, ignore=("*.txt",)), False),
        (replace(PLAN, repo="org/renamed"), True),
    ],
    ids=range(8),
)
def test_whether_it_covers_a_plan(plan: Plan, covered: bool) -> None:
    assert manifest.covers(HELD, plan) is covered


def changed(path: str, **facts: Any) -> Plan:
    assert PLAN.files is not None
    return replace(PLAN, files=tuple(replace(f, **facts) if f.path == path else f for f in PLAN.files))


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        (replace(PLAN, commit="d" * 40), "commit"),
        (replace(PLAN, commit="d" * 40, files=None), "commit"),
        (changed(WEIGHTS, digest=f"sha256:{'0' * 64}"), "0" * 64),
        (changed(WEIGHTS, size=1), WEIGHTS),
        (changed("config.json", size=1), "config.json"),
    ],
    ids=range(5),
)
def test_a_contradiction_ends_the_run(plan: Plan, named: str) -> None:
    with pytest.raises(PrestageError) as caught:
        manifest.covers(HELD, plan)
    assert caught.value.exit is PrestageExit.INTEGRITY and named in caught.value.reason and caught.value.hint


def test_what_is_missing_is_listed() -> None:
    assert PLAN.files is not None
    assert manifest.missing(HELD, (*PLAN.files, EXTRA)) == (EXTRA,)
    assert manifest.missing(Manifest("m", "", "c", ()), PLAN.files) == PLAN.files
