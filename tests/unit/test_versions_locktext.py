"""The lock by blocks: the same as the strict reader says, and edits that change one block alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator import lock
from generator.errors import UserError
from generator.lock import Lock, LockedModel, ModelSource
from generator.versions.locktext import Reader, block_of, blocks, with_entry
from tests.unit.lockrepo import TINY, entry

NAMES = st.sampled_from(["a", "b", "on", "no", "null", "tiny", "tiny-2", "z" * 63])
SOURCES = st.sampled_from(
    [TINY, ModelSource("o/n", "v1.0"), ModelSource("o/n", allow=("*.json",), ignore=("original/*", "a b"))]
)
ENTRIES = st.builds(entry, st.sampled_from("0123456789abcdef"), SOURCES, size=st.integers(0, 10**12))
MODELS = st.dictionaries(NAMES, ENTRIES, min_size=1)
IMAGES = st.sampled_from([{}, {"registry.example.com/a:1": "sha256:" + "0" * 64}])


@given(models=MODELS, images=IMAGES)
def test_blocks_are_what_the_reader_reads(models: dict[str, LockedModel], images: dict[str, str]) -> None:
    content = lock.write(Lock(models, images))
    found = blocks(content.decode())
    assert found is not None and set(found.spans) == set(models)
    assert Reader().models(content, "x") == lock.read(content).models == models
    for name in models:
        assert content.decode()[slice(*found.spans[name])] == block_of(name, models[name])


@given(models=MODELS, images=IMAGES, name=NAMES, new=ENTRIES)
def test_an_edit_changes_one_block(
    models: dict[str, LockedModel], images: dict[str, str], name: str, new: LockedModel
) -> None:
    text = lock.write(Lock(models, images)).decode()
    assert with_entry(text, name, new, "x") == lock.write(Lock({**models, name: new}, images)).decode()


def test_an_edit_keeps_what_it_does_not_own() -> None:
    """A header of somebody else's, and an entry whose keys stand in another order."""
    text = lock.write(Lock({"a": entry("a"), "b": entry("b"), "c": entry("c")}, {"i:1": "sha256:" + "0" * 64})).decode()
    text = f"# mine\n{text}".replace("    license: mit\n    size: 1000\n", "    size: 1000\n    license: mit\n")
    new = with_entry(text, "b", entry("d"), "x")
    before, after = text.split(
        block_of("b", entry("b")).replace("    license: mit\n    size: 1000\n", "    size: 1000\n    license: mit\n")
    )
    assert new == before + block_of("b", entry("d")) + after


@pytest.mark.parametrize(
    "text", ["", lock.write(Lock()).decode(), lock.write(Lock({}, {"i:1": "sha256:" + "0" * 64})).decode()]
)
def test_the_first_entry(text: str) -> None:
    images = lock.read(text).images if text else {}
    assert lock.read(with_entry(text, "a", entry("a"), "x")) == Lock({"a": entry("a")}, images)


TEXT = lock.write(Lock({"a": entry("a"), "b": entry("b")})).decode()


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("models:\n", "models:\n\n"),
        TEXT.replace("models:\n", "models: # all\n"),
        TEXT.replace("\n  ", "\n    "),
        TEXT.replace("  b:\n", "  # the second\n  b:\n"),
        TEXT.replace("kind: ModelLock\n", "kind: 'ModelLock'\n"),
        "\ufeff" + TEXT,
    ],
)
def test_another_layout_is_read_as_a_whole_and_not_edited(text: str) -> None:
    assert blocks(text) is None
    assert Reader().models(text.encode(), "x") == lock.read(TEXT).models
    with pytest.raises(UserError, match="not laid out") as caught:
        with_entry(text, "a", entry("c"), "x")
    assert "`modelyard lock`" in caught.value.diagnostics[0].hint


def test_a_model_that_stands_twice_is_a_fault() -> None:
    text = TEXT.replace("  b:\n", "  a:\n")
    with pytest.raises(UserError, match="given twice"):
        Reader().models(text.encode(), "x")


def test_a_text_cut_off_is_a_fault() -> None:
    with pytest.raises(UserError):
        Reader().models(TEXT[:-30].encode(), "x")


def test_the_same_lines_are_read_once() -> None:
    reader = Reader(["a"])
    first, second = reader.models(TEXT.encode(), "x"), reader.models(f"# x\n{TEXT}".encode(), "y")
    assert first["a"] is second["a"] and set(first) == {"a"}
