"""When files count as changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.develop import watching
from generator.develop.watching import Seen
from generator.errors import UserError
from tests.unit.developing import repository

A, B = Path("a"), Path("b")


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({}, {}, ()),
        ({A: (1, 1)}, {A: (1, 1)}, ()),
        ({A: (1, 1)}, {A: (2, 1)}, (A,)),
        ({A: (1, 1)}, {A: (1, 2)}, (A,)),
        ({}, {B: (1, 1), A: (1, 1)}, (A, B)),
        ({A: (1, 1), B: (1, 1)}, {B: (1, 1)}, (A,)),
    ],
)
def test_differing(before: Seen, now: Seen, expected: tuple[Path, ...]) -> None:
    assert watching.differing(before, now) == expected


def test_changes_are_told_when_files_hold_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look takes the next state; an editor that writes twice is one change."""
    monkeypatch.setattr(watching, "LOOK", 0)
    states: Iterator[Seen] = iter([{A: (1, 1)}, {A: (2, 0)}, {A: (3, 9)}, {A: (3, 9)}, {A: (3, 9)}, {}, {}])
    checks: list[int] = []

    def check() -> None:
        checks.append(1)
        if len(checks) > 4:
            raise UserError.of("nothing serves any more")

    found = watching.changes(lambda: next(states), {A: (1, 1)}, check)
    assert next(found) == (A,)
    assert next(found) == (A,)
    with pytest.raises(UserError):
        next(found)


def test_what_is_looked_at(tmp_path: Path) -> None:
    catalogue = repository(tmp_path)
    source = tmp_path / "serving" / "common" / "deep" / "one.py"
    source.parent.mkdir(parents=True)
    source.write_text("")
    (source.parent / "README.md").write_text("")
    look = watching.files_of(catalogue)
    before = look()
    assert {catalogue, source} <= set(before) and all(path.suffix in (".py", ".yaml") for path in before)
    (tmp_path / "models.lock.yaml").write_text("")
    os.utime(source, ns=(1, 1))
    catalogue.unlink()
    assert set(watching.differing(before, look())) == {catalogue, tmp_path / "models.lock.yaml", source}
