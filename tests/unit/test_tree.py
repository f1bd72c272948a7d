"""How a folder compares with what a render makes, and how the difference reads."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from generator.errors import UserError
from generator.tree import MANIFEST, Difference, Tree, build, compare, unified_diff, write


def tree(**files: str) -> Tree:
    """A tree of text files; in a name "__" is a slash and "_" a dot."""
    return build(
        ((name.replace("__", "/").replace("_", "."), text.encode()) for name, text in files.items()),
        generator="1.0",
    )


def edit(path: Path, content: bytes = b"edited") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def link(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to("elsewhere")


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


FILES = {"a": "old", "gone": "gone", "same": "same", "d__b": "b"}
OLD = tree(**FILES)


def changed(**files: str) -> Tree:
    """OLD with other files; "" drops one."""
    return tree(**{name: text for name, text in {**FILES, **files}.items() if text})


def untouched(out: Path) -> None:
    """What the user did: nothing."""


# what was done to the tree of OLD; what is rendered now; the classes that differ
COMPARISONS: dict[str, tuple[Callable[[Path], object], Tree, dict[str, tuple[str, ...]]]] = {
    "nothing": (untouched, OLD, {}),
    "new content": (untouched, changed(a="new"), {"changed": (MANIFEST, "a")}),
    "new file": (untouched, changed(d__new="new"), {"added": ("d/new",), "changed": (MANIFEST,)}),
    "made no longer": (untouched, changed(gone=""), {"removed": ("gone",), "changed": (MANIFEST,)}),
    "deleted": (lambda out: (out / "d/b").unlink(), OLD, {"added": ("d/b",)}),
    "edited": (lambda out: edit(out / "a"), OLD, {"edited": ("a",)}),
    "edited to be longer": (lambda out: edit(out / "a", b"old and more"), OLD, {"edited": ("a",)}),
    "edited to be empty": (lambda out: edit(out / "a", b""), OLD, {"edited": ("a",)}),
    "edited, made no longer": (
        lambda out: edit(out / "gone"),
        changed(gone=""),
        {"edited": ("gone",), "changed": (MANIFEST,)},
    ),
    "edited to what is made now": (
        lambda out: edit(out / "a", b"new"),
        changed(a="new"),
        {"changed": (MANIFEST,)},
    ),
    "became a link": (lambda out: link(out / "a"), OLD, {"edited": ("a",)}),
    "became a pipe": (lambda out: pipe(out / "a"), OLD, {"edited": ("a",)}),
    "foreign": (
        lambda out: edit(out / "d/new"),
        changed(d__new="new"),
        {"foreign": ("d/new",), "changed": (MANIFEST,)},
    ),
    "foreign, as we make it": (
        lambda out: edit(out / "d/new", b"new"),
        changed(d__new="new"),
        {"changed": (MANIFEST,)},
    ),
    "foreign file where a folder comes": (
        lambda out: edit(out / "x"),
        changed(x__y="new"),
        {"foreign": ("x",), "added": ("x/y",), "changed": (MANIFEST,)},
    ),
    "foreign link where a folder comes": (
        lambda out: link(out / "x"),
        changed(x__y="new"),
        {"foreign": ("x",), "added": ("x/y",), "changed": (MANIFEST,)},
    ),
    "foreign folder where a file comes": (
        lambda out: edit(out / "x/mine"),
        changed(x="new"),
        {"foreign": ("x",), "untracked": ("x/mine",), "changed": (MANIFEST,)},
    ),
    "empty folder where a file comes": (
        lambda out: (out / "x").mkdir(),
        changed(x="new"),
        {"foreign": ("x",), "changed": (MANIFEST,)},
    ),
    "folder becomes a file": (
        untouched,
        changed(d__b="", d="new"),
        {"removed": ("d/b",), "added": ("d",), "changed": (MANIFEST,)},
    ),
    "folder becomes a file, but holds more": (
        lambda out: edit(out / "d/mine"),
        changed(d__b="", d="new"),
        {"removed": ("d/b",), "foreign": ("d",), "untracked": ("d/mine",), "changed": (MANIFEST,)},
    ),
    "file becomes a folder": (
        untouched,
        changed(gone="", gone__x="new"),
        {"removed": ("gone",), "added": ("gone/x",), "changed": (MANIFEST,)},
    ),
    "untracked": (lambda out: edit(out / "d/mine"), OLD, {"untracked": ("d/mine",)}),
    "untracked beside the manifest": (
        lambda out: edit(out / ".modelyard/mine"),
        OLD,
        {"untracked": (".modelyard/mine",)},
    ),
    "untracked link": (lambda out: link(out / "x"), OLD, {"untracked": ("x",)}),
    "a name that is no UTF-8": (
        lambda out: (out / os.fsdecode(b"\xff")).touch(),
        OLD,
        {"untracked": ("\\xff",)},
    ),
    "empty folder": (lambda out: (out / "x/y").mkdir(parents=True), OLD, {}),
    "Git's own folder": (lambda out: edit(out / ".git/HEAD"), OLD, {}),
    "staging of a run that died": (lambda out: edit(out / ".modelyard/work/0.new"), OLD, {}),
    "manifest deleted": (lambda out: (out / MANIFEST).unlink(), OLD, {"added": (MANIFEST,)}),
    "manifest deleted, other content": (
        lambda out: (out / MANIFEST).unlink(),
        changed(a="new"),
        {"added": (MANIFEST,), "foreign": ("a",)},
    ),
    "other generator": (untouched, build(OLD.files.items(), generator="2.0"), {"changed": (MANIFEST,)}),
}


@pytest.mark.parametrize("case", COMPARISONS)
def test_compare_puts_each_path_in_one_class_and_writes_nothing(case: str, tmp_path: Path) -> None:
    meddle, made, expected = COMPARISONS[case]
    write(tmp_path, OLD)
    meddle(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    found = compare(tmp_path, made)
    assert {name: paths for name in Difference.__slots__ if (paths := getattr(found, name))} == {
        **expected,
        "unchanged": found.unchanged,
    }
    assert found.drift is bool(expected)
    assert "same" in found.unchanged
    assert sorted(tmp_path.rglob("*")) == before


def test_a_missing_folder_lacks_everything_and_stays_missing(tmp_path: Path) -> None:
    assert compare(tmp_path / "out", OLD) == Difference(added=(MANIFEST, "a", "d/b", "gone", "same"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (b"", "cannot be read"),
        (b"<<<<<<< HEAD\n{}\n", "cannot be read"),
        (b"[]", "cannot be read"),
        (b"{}", "cannot be read"),
        (b'{"version": 1, "files": []}', "cannot be read"),
        (b'{"version": 1, "files": {"a": 1}}', "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"version": 2, "files": {}}', "version 2"),
    ],
)
def test_a_manifest_that_is_none_of_ours_is_named(manifest: bytes, message: str, tmp_path: Path) -> None:
    write(tmp_path, OLD)
    (tmp_path / MANIFEST).write_bytes(manifest)
    for verb in (compare, write):
        with pytest.raises(UserError, match=message) as caught:
            verb(tmp_path, OLD)
        (fault,) = caught.value.diagnostics
        assert fault.file == str(tmp_path / MANIFEST) and fault.hint
    assert (tmp_path / MANIFEST).read_bytes() == manifest


def test_the_diff_is_what_git_applies(tmp_path: Path) -> None:
    out = tmp_path / "out"
    before = tree(a="1\n2\n3\n", b="no newline", gone="x\n", empty="", d__s_txt="tail")
    write(out, before)
    edit(out / "with blank", b"mine\n")
    after = build(
        [
            ("a", b"1\nzwei\n3\n"),
            ("b", b"no newline\n"),
            ("empty", b"\n"),
            ("d/s.txt", b""),
            ("new/ä.txt", b"new"),
            ("with blank", b"ours\n"),
            ("crlf", b"a\r\nb\rc\x0cd\n"),
        ],
        generator="1.0",
    )
    difference = compare(out, after)
    text = "".join(unified_diff(out, after, difference))
    subprocess.run(["git", "apply", "-"], cwd=out, input=text.encode(), check=True)
    assert not compare(out, after).drift
    assert "".join(unified_diff(out, after, compare(out, after))) == ""


def test_the_diff_of_binary_files_says_just_that(tmp_path: Path) -> None:
    write(tmp_path, build([("a.zip", b"PK\0"), ("b.bin", b"\xff"), ("c", b"text\n")], generator="1.0"))
    after = build([("a.zip", b"PK\0\0"), ("c", b"text\n"), ("d.zip", b"\0")], generator="1.0")
    lines = [line for line in unified_diff(tmp_path, after, compare(tmp_path, after)) if "Binary" in line]
    assert lines == [
        "Binary files a/a.zip and b/a.zip differ\n",
        "Binary files a/b.bin and /dev/null differ\n",
        "Binary files /dev/null and b/d.zip differ\n",
    ]


def test_the_diff_of_a_link_does_not_read_where_it_leads(tmp_path: Path) -> None:
    write(tmp_path / "out", OLD)
    edit(tmp_path / "secret", b"secret\n")
    (tmp_path / "out/a").unlink()
    (tmp_path / "out/a").symlink_to("../secret")
    (tmp_path / "out/x").symlink_to("..")
    after = tree(a="old", x__secret="mine")
    text = "".join(unified_diff(tmp_path / "out", after, compare(tmp_path / "out", after)))
    assert "secret\n" not in text.replace("x/secret\n", "") and "+mine" in text


def test_the_diff_of_a_missing_folder_adds_everything(tmp_path: Path) -> None:
    difference = compare(tmp_path / "out", tree(a="1\n"))
    text = "".join(unified_diff(tmp_path / "out", tree(a="1\n"), difference))
    assert text.endswith("diff --git a/a b/a\nnew file mode 100644\n--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+1\n")
