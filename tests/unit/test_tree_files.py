"""Which paths a render may make, and what its manifest says."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.tree import build
from generator.tree.files import MAX_DEPTH

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "empty"),
        ("/etc/passwd", "absolute"),
        ("//server/share", "absolute"),
        ("..", "'..'"),
        ("a/../../b", "'..'"),
        ("./a", "'.'"),
        ("a//b", "empty"),
        ("a/", "empty"),
        ("a\\b", "platform"),
        ("\\\\server\\share", "platform"),
        ("C:/windows", "platform"),
        ("C:", "platform"),
        ("file:stream", "platform"),
        ('a"b', "platform"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("a\x7f", "control"),
        ("a\u202eb", "control"),
        ("a\u200bb", "control"),
        ("a\udc80", "control"),
        (".modelyard/x", "reserved"),
        (".ModelYard/x", "reserved"),
        (".git/hooks/pre-commit", "reserved"),
        ("charts/.GIT/config", "reserved"),
        ("a" * 256, "segment"),
        ("ä" * 128, "segment"),
        ("/".join(["a" * 200] * 21), "longer than 4096"),
        ("/".join(["a"] * (MAX_DEPTH + 1)), "segments"),
    ],
)
def test_a_path_that_could_leave_the_tree_or_not_be_checked_out_is_refused(path: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build([(path, b"")], generator="1.0")


@pytest.mark.parametrize(
    "path",
    [
        "a" * 255,
        "ä" * 127,
        "/".join(["a"] * MAX_DEPTH),
        ".gitignore",
        "a b/c",
        "..a",
        "a..",
        "modèle/é.txt",
        "x.modelyard/y",
    ],
)
def test_a_path_up_to_the_limits_is_taken(path: str) -> None:
    assert list(build([(path, b"")], generator="1.0").files) == [path]


@given(st.text(st.sampled_from("aA./\\:~\0\n é"), max_size=12))
def test_a_path_that_is_taken_stays_inside_and_is_its_own_normal_form(path: str) -> None:
    try:
        build([(path, b"")], generator="1.0")
    except ValueError:
        return
    assert os.path.normpath(path) == path
    assert not path.startswith(("/", "../")) and path not in ("", ".", "..")


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        (["a", "b", "a"], "'a' is made twice: by file 1 and by file 3"),
        (["a/b", "A/b"], "only in case"),
        (["a/Values.yaml", "a/values.yaml"], "only in case"),
        (["a/x", "A/y"], "folders .* only in case"),
        (["straße", "STRASSE"], "only in case"),
        (["e\u0301", "\u00e9"], "Unicode form"),
        (["a", "a/b"], "both a file and a folder"),
        (["a/b", "a"], "both a file and a folder"),
        (["A/b/c", "a"], "both a file and a folder"),
    ],
)
def test_two_paths_that_are_one_on_some_disk_are_refused(paths: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build([(path, b"") for path in paths], generator="1.0")


def test_the_manifest_says_what_is_ours_and_nothing_of_when() -> None:
    pairs = [(f"d{number}/f", b"%d" % number) for number in range(20)]
    shuffled = random.Random(3).sample(pairs, len(pairs))
    first, second = build(pairs, generator="1.0"), build(shuffled, generator="1.0")
    assert first == second
    assert list(first.files) == sorted(first.files)
    assert json.loads(first.manifest) == {
        "version": 1,
        "generator": "1.0",
        "files": {path: sha256(content).hexdigest() for path, content in pairs},
    }


RENDER = """
import os, sys
from pathlib import Path
from generator.tree import build, write
os.umask(int(sys.argv[2], 8))
write(Path(sys.argv[1]), build(((f"é{n}/f{n}", b"%d" % n) for n in range(30)), generator="1.0"))
"""


def test_the_same_input_gives_the_same_bytes_and_modes_everywhere(tmp_path: Path) -> None:
    settings = [
        ("0", "C", "UTC", "022"),
        ("1", "C.UTF-8", "Asia/Tokyo", "077"),
        ("77", "POSIX", "EST5", "000"),
    ]
    results = set()
    for number, (hashing, locale, zone, umask) in enumerate(settings):
        out = tmp_path / f"cwd{number}" / "out"
        out.parent.mkdir()
        environment = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hashing, "LC_ALL": locale, "TZ": zone}
        arguments = [sys.executable, "-c", RENDER, "out", umask]
        subprocess.run(arguments, cwd=out.parent, env=environment, check=True)
        results.add(
            tuple(
                (
                    path.relative_to(out).as_posix(),
                    path.stat().st_mode,
                    path.read_bytes() if path.is_file() else b"",
                )
                for path in [out, *sorted(out.rglob("*"))]
            )
        )
    (only,) = results
    assert {oct(mode & 0o7777) for _, mode, _ in only} == {"0o755", "0o644"}
