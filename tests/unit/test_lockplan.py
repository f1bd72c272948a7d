"""What a run of `lock` asks for, and what it keeps."""

from __future__ import annotations

import pytest

from generator.errors import UserError
from generator.lock import Lock, LockedFile, LockedModel, ModelSource
from generator.lockplan import ALL, Update, Upgrade, Wanted, images_to_ask, is_current, plan_update, updated

A, B, C = ModelSource("org/a"), ModelSource("org/b"), ModelSource("org/c")
DIGEST = "sha256:" + "0" * 64


def entry(source: ModelSource, commit: str = "1" * 40, *, complete: bool = True) -> LockedModel:
    files = (LockedFile("model.safetensors", 1, DIGEST),) if complete else None
    return LockedModel(source, commit, files=files)


OLD = Lock({"a": entry(A), "b": entry(B), "gone": entry(C)}, {"x/y:1": DIGEST, "x/old:1": DIGEST})


@pytest.mark.parametrize(
    ("models", "upgrade", "expected"),
    [
        ([("a", A), ("b", B)], None, Update((), ("a", "b"), ("gone",))),
        ([("new", C), ("a", A)], None, Update((Wanted("new", C),), ("a",), ("b", "gone"))),
        ([("a", B)], None, Update((Wanted("a", B),), (), ("b", "gone"))),
        (
            [("a", ModelSource("org/a", "v2"))],
            None,
            Update((Wanted("a", ModelSource("org/a", "v2")),), (), ("b", "gone")),
        ),
        (
            [("a", ModelSource("org/a", ignore=("x/",)))],
            None,
            Update((Wanted("a", ModelSource("org/a", ignore=("x/",))),), (), ("b", "gone")),
        ),
        ([("b", B), ("a", A)], {"a"}, Update((Wanted("a", A),), ("b",), ("gone",))),
        ([("b", B), ("a", A)], ALL, Update((Wanted("b", B), Wanted("a", A)), (), ("gone",))),
        ([], ALL, Update((), (), ("a", "b", "gone"))),
    ],
)
def test_plan_update(
    models: list[tuple[str, ModelSource]], upgrade: set[str] | Upgrade | None, expected: Update
) -> None:
    assert plan_update(models, OLD, upgrade) == expected


def test_an_incomplete_entry_is_completed_at_its_commit() -> None:
    old = Lock({"a": entry(A, complete=False)})
    assert plan_update([("a", A)], old).ask == (Wanted("a", A, "1" * 40),)
    assert plan_update([("a", A)], old, {"a"}).ask == (Wanted("a", A),)
    assert plan_update([("a", B)], old).ask == (Wanted("a", B),)


def test_upgrade_of_a_model_that_is_not_there() -> None:
    with pytest.raises(UserError, match="no model is named `z`") as caught:
        plan_update([("b", B), ("a", A)], OLD, {"a", "z"})
    assert caught.value.diagnostics[0].hint == "models.yaml has: a, b"


def test_is_current() -> None:
    assert is_current(entry(A), A)
    assert not is_current(entry(A), B)
    assert not is_current(None, A)


def test_updated_takes_answers_and_keeps_what_could_not_be_asked() -> None:
    moved = ModelSource("org/b", "v2")
    lock = updated(OLD, [("new", C), ("b", moved), ("a", A), ("failed", C)], {"new": entry(C, "2" * 40)})
    assert list(lock.models) == ["a", "b", "new"]
    assert lock.models["b"].source == B, "stale, and seen to be"
    assert lock.models["new"].commit == "2" * 40


def test_images() -> None:
    references = ["x/y:1", "x/new:1", f"x/z@{DIGEST}", "x/new:1"]
    assert images_to_ask(references, OLD) == ("x/new:1",)
    assert images_to_ask(references, OLD, upgrade=True) == ("x/new:1", "x/y:1")
    lock = updated(OLD, [], {}, references, {"x/new:1": DIGEST})
    assert list(lock.images.items()) == [("x/new:1", DIGEST), ("x/y:1", DIGEST)]
