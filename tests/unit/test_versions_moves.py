"""What a run of `lock` moved: lines, data, and the text of a request."""

from __future__ import annotations

import json
from dataclasses import replace

from generator.lock import Lock, LockedFile, ModelSource
from generator.versions import moves
from tests.unit.lockrepo import entry, sha

FILES = (
    LockedFile("a", 1, "git:" + "1" * 40),
    LockedFile("b", 2, "git:" + "2" * 40),
    LockedFile("c", 3, "git:" + "3" * 40),
)
OLD = replace(entry("a"), files=FILES, size=2_000_000, weights=None, license="apache-2.0")
NEW = replace(
    entry("b"),
    files=(FILES[0], LockedFile("b", 9, "git:" + "9" * 40), LockedFile("d", 1, "git:" + "4" * 40)),
    size=3_500_000,
)
IMAGE = "registry.example.com/a:1"


def test_what_only_learned_details_did_not_move() -> None:
    bare = replace(OLD, files=None, size=None, license=None)
    found = moves.between(Lock({"tiny": bare}), Lock({"tiny": OLD}))
    assert found == moves.Moves((), ())
    assert moves.markdown(found) == "Bring the lock and the rendered tree up to date\n"


def test_a_model_that_moved() -> None:
    found = moves.between(Lock({"tiny": OLD, "same": OLD}), Lock({"tiny": NEW, "same": OLD}))
    assert list(moves.lines(found)) == [
        "tiny: aaaaaaaaaaaa -> bbbbbbbbbbbb: 3.5 MB (+1.5 MB), 1 changed, 1 added, 1 removed, license apache-2.0 -> mit"
    ]
    assert moves.markdown(found, hub="https://hub.example.com") == (
        "Newer revision of tiny\n"
        "\n"
        "| model | from | to | size | files | also |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        f"| `tiny` | [`aaaaaaaaaaaa`](https://hub.example.com/example/tiny/tree/{sha('a')})"
        f" | [`bbbbbbbbbbbb`](https://hub.example.com/example/tiny/tree/{sha('b')})"
        " | 3.5 MB (+1.5 MB) | 1 changed, 1 added, 1 removed | license `apache-2.0` to `mit` |\n"
        "\n"
        "To stage: 3.5 MB.\n"
    )
    assert json.loads(json.dumps(moves.data(found))) == {
        "moved": [
            {
                "model": "tiny",
                "from": sha("a"),
                "to": sha("b"),
                "size_before": 2_000_000,
                "size_after": 3_500_000,
                "changed": {"license": ["apache-2.0", "mit"]},
            }
        ],
        "images_moved": [],
    }


def test_smaller_new_and_gone() -> None:
    unknown = replace(OLD, commit=sha("c"), files=None, size=None)
    old = Lock({"a": NEW, "b": OLD, "d": unknown})
    new = Lock({"a": OLD, "c": OLD, "d": OLD})
    found = moves.between(old, new)
    assert list(moves.lines(found)) == [
        "a: bbbbbbbbbbbb -> aaaaaaaaaaaa: 2.0 MB (-1.5 MB), 1 changed, 1 added, 1 removed, license mit -> apache-2.0",
        "b: aaaaaaaaaaaa -> gone",
        "d: cccccccccccc -> aaaaaaaaaaaa: 2.0 MB",
    ]
    text = moves.markdown(found)
    assert text.startswith("Newer revisions of 2 models\n\n")
    assert "| `c` | new | `aaaaaaaaaaaa` | 2.0 MB |  |  |\n" in text
    assert "| `b` | `aaaaaaaaaaaa` | gone |  |  |  |\n" in text
    assert moves.markdown(moves.between(Lock(), new)).startswith("Models locked for the first time, or gone\n")


def test_images_and_silence() -> None:
    old, new = (
        Lock({}, {IMAGE: "sha256:" + "1" * 64, "gone:1": "sha256:" + "1" * 64}),
        Lock({}, {IMAGE: "sha256:" + "2" * 64}),
    )
    found = moves.between(old, new)
    assert list(moves.lines(found)) == [f"{IMAGE}: {'1' * 12} -> {'2' * 12}"]
    text = moves.markdown(found, ["tiny"])
    assert text == (
        f"Newer images\n\n- `{IMAGE}` has new content\n\n"
        "The Hub gave no answer for these, which stay as they are:\n\n- `tiny`\n"
    )


def test_what_the_hub_says_cannot_leave_its_cell() -> None:
    evil = replace(NEW, license="x` | </td> @all [a](http://b) `")
    (line,) = [
        line
        for line in moves.markdown(moves.between(Lock({"t": OLD}), Lock({"t": evil}))).splitlines()
        if "@all" in line
    ]
    assert line.endswith("| license `apache-2.0` to `x    </td> @all [a](http://b)  ` |") and line.count("|") == 7


def test_a_request_has_room_for_ten_thousand_models() -> None:
    """GitHub takes 65,536 characters, and Git's push options a packet of 65,516 bytes."""
    source = ModelSource("o" * 90 + "/" + "n" * 90)
    models = {f"model-{number}": replace(OLD, source=source, license="l" * 200) for number in range(10_000)}
    new = {name: replace(NEW, source=source, license="m" * 200) for name in models}
    images = {f"i{number}:1": "sha256:" + "1" * 64 for number in range(5_000)}
    found = moves.between(Lock(models, images), Lock(new, dict.fromkeys(images, "sha256:" + "2" * 64)))
    text = moves.markdown(found, list(models), hub="https://hub.example.com")
    assert len(text) + text.count("\n") < 60_000
    assert text.startswith("Newer revisions of 10000 models\n") and text.count(" more\n") == 3
