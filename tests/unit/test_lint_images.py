"""Which images count as pinned: by digest, or by a tag that the tree itself says is a digest of the content."""

from __future__ import annotations

import json
from pathlib import Path

from generator import assets
from generator.emit import images
from generator.lint import lint
from generator.plan import Image
from tests.unit import plans
from tests.unit.test_emit_images import IMAGE


def unpinned(tree: Path, *used: str, built: tuple[Image, ...] = ()) -> list[str]:
    """What lint says of images in a tree with pods that run `used` and with builds of `built`."""
    (tree / ".modelyard").mkdir()
    for path, content in images.emit(plans.example_plan(baked=built), assets.find()):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(content)
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"p{i}"}, "image": image}
        for i, image in enumerate(used)
    ]
    (tree / "pods.yaml").write_text("\n---\n".join(map(json.dumps, pods)))
    found = lint(tree, assets.find(), None).diagnostics
    return [d.message.split()[1] for d in found if "is not pinned" in d.message]


def test_a_tag_is_not_pinned_and_a_digest_is(tmp_path: Path) -> None:
    assert unpinned(tmp_path, "registry.example.com/x:0123456789ab", plans.CPU_IMAGE) == [
        "registry.example.com/x:0123456789ab"
    ]


def test_the_tag_of_an_image_that_the_tree_builds_is_pinned(tmp_path: Path) -> None:
    other = IMAGE.reference.replace("0123456789ab", "ffffffffffff")
    assert unpinned(tmp_path, IMAGE.reference, other, built=(IMAGE,)) == [other]


def test_what_it_is_built_of_has_to_be_pinned(tmp_path: Path) -> None:
    built = Image(
        service=IMAGE.service,
        target=IMAGE.target,
        reference=IMAGE.reference,
        base="rayproject/ray:2.60.0-py311",
        prestage="registry.example.com/prestage:1",
        packages=None,
        models=IMAGE.models,
        plans=IMAGE.plans,
    )
    assert unpinned(tmp_path, IMAGE.reference, built=(built,)) == [built.base, built.prestage]
