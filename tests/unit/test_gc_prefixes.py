"""Which prefixes stay: everything that a catalogue, a rendered tree or a revision names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from generator.errors import UserError
from generator.gc import prefixes as gc
from generator.gc.prefixes import Item, Upload

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ONE, TWO, THREE = (f"models/{name}/0123456789ab" for name in ("one", "two", "three"))


def item(key: str, days: int = 0, size: int = 1) -> Item:
    return Item(key, size, NOW - timedelta(days=days))


def test_objects_are_grouped_and_strangers_left_out() -> None:
    items = [
        item(f"{ONE}/config.json", 3, 10),
        item(f"{ONE}/.modelyard/manifest.json", 2, 5),
        item(f"{TWO}/a/b.safetensors", 9),
        item(f"{TWO}/a/.modelyard/manifest.json", 9),  # not that of the prefix
        item("models/one/main/config.json"),  # no commit
        item("models/one/0123456789abc/config.json"),  # a digit too many
        item(ONE),  # an object of that very name
        item("code/app.zip"),
        item("other/models/one/0123456789ab/x"),
    ]
    found = gc.held(items)
    one, two = found.prefixes
    assert (one.key, one.objects, one.size, one.complete) == (ONE, 2, 15, True)
    assert one.newest == NOW - timedelta(days=2)
    assert (two.key, two.objects, two.complete) == (TWO, 2, False)
    assert found.strangers == 5


def test_an_upload_under_way_makes_a_prefix_young_and_one_alone_makes_a_prefix() -> None:
    uploads = [Upload(f"{ONE}/a", "1", NOW), Upload(f"{THREE}/a", "2", NOW - timedelta(days=40)), Upload("x", "3", NOW)]
    found = gc.held([item(f"{ONE}/b", 99)], uploads)
    one, three = found.prefixes
    assert (one.newest, one.objects, one.uploads) == (NOW, 1, 1)
    assert (three.key, three.objects, three.uploads, three.older_than(timedelta(days=40), NOW)) == (THREE, 0, 1, True)
    assert found.strangers == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"target: {ONE}", [ONE]),
        (f"MODEL_ID: /mnt/models/{ONE}\nother: s3://bucket/{TWO}/config.json", [ONE, TWO]),
        ("models/one/0123456789abcd", []),
        ("models/One/0123456789ab models/-x/0123456789ab", []),
        ("models/one/main", []),
    ],
)
def test_every_mention_counts(text: str, found: list[str]) -> None:
    assert list(gc.named_in(text)) == found


def test_only_what_nobody_names_is_loose() -> None:
    held = gc.held([item(f"{key}/x") for key in (ONE, TWO, THREE)]).prefixes
    loose = gc.unreferenced(held, {"models.yaml": {ONE}, "rendered": {THREE}})
    assert [prefix.key for prefix in loose] == [TWO]


@pytest.mark.parametrize(("days", "old"), [(29, False), (30, True), (31, True)])
def test_the_newest_object_decides(days: int, old: bool) -> None:
    (prefix,) = gc.held([item(f"{ONE}/x", 400), item(f"{ONE}/y", days)]).prefixes
    assert prefix.older_than(timedelta(days=30), NOW) is old


@pytest.mark.parametrize(("text", "hours"), [("24h", 24), ("36h", 36), ("30d", 720), ("4w", 672)])
def test_ages(text: str, hours: int) -> None:
    assert gc.age(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "0d", "23h", "1m", "-3d", "30", "3 d", "99999999w", "1.5d"])
def test_ages_that_are_none(text: str) -> None:
    with pytest.raises(UserError):
        gc.age(text)
