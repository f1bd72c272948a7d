from __future__ import annotations

import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest

from generator.bundle import CONFIG_MAP_BYTES, Bundle, build, fits_config_map, join, read_app
from generator.errors import UserError

ROOT = Path(__file__).parents[2]
TINY = {"app.py": b"import engine\n", "engine.py": b"SPEED = 1\n", "prompts/en.txt": b"Hello\n"}
# Over the bytes of TINY's zip. If it changes, every service is rolled out anew.
TINY_SHA256 = "f3d581feb2b29e774c3f26eef4dbabd7864792356e3ad877cf6fdcd4f2c2de6c"

PACK = """
import hashlib, os, sys
from pathlib import Path
os.umask(int(sys.argv[2], 8))
from generator.bundle import build, read_app
bundle = build("tiny", read_app(Path(sys.argv[1]), ["prompts/en.txt"]))
sys.stdout.write(bundle.filename + " " + hashlib.sha256(bundle.zip).hexdigest())
"""


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder


def entries(bundle: Bundle) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(BytesIO(bundle.zip)) as archive:
        assert archive.testzip() is None
        return archive.infolist()


def test_golden() -> None:
    bundle = build("tiny", TINY)
    assert bundle.sha256 == TINY_SHA256 == sha256(bundle.zip).hexdigest()
    assert bundle.filename == f"tiny-{TINY_SHA256[:12]}.zip"


def test_entries_carry_nothing_of_this_machine() -> None:
    for entry in entries(build("tiny", TINY)):
        assert entry.date_time == (1980, 1, 1, 0, 0, 0)
        assert entry.external_attr >> 16 == 0o100644
        assert entry.create_system == 3
        assert entry.compress_type == zipfile.ZIP_STORED
        assert not entry.extra
        assert not entry.is_dir()


def test_content_survives() -> None:
    with zipfile.ZipFile(BytesIO(build("tiny", TINY).zip)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == TINY


def test_order_of_the_mapping_does_not_matter() -> None:
    items = list(TINY.items())
    for seed in range(6):
        random.Random(seed).shuffle(items)
        assert build("tiny", dict(items)).sha256 == TINY_SHA256


@pytest.mark.parametrize(
    ("mtime", "mode", "umask", "hash_seed", "backwards"),
    [
        (0, 0o644, "022", "0", False),
        (1_700_000_000, 0o600, "077", "1", True),
        (2_000_000_000, 0o755, "000", "424242", False),
    ],
)
def test_same_bytes_in_any_checkout(
    tmp_path: Path, mtime: int, mode: int, umask: str, hash_seed: str, backwards: bool
) -> None:
    folder = write(tmp_path / "app", dict(reversed(TINY.items())) if backwards else TINY)
    for path in folder.rglob("*.*"):
        path.chmod(mode)
        os.utime(path, (mtime, mtime))
    done = subprocess.run(
        [sys.executable, "-c", PACK, "app", umask],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed, "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"tiny-{TINY_SHA256[:12]}.zip {TINY_SHA256}"


@pytest.mark.parametrize(
    "changed",
    [
        TINY | {"engine.py": b"SPEED = 2\n"},
        TINY | {"more.py": b""},
        {path: content for path, content in TINY.items() if path != "engine.py"},
        {path.replace("engine", "motor"): content for path, content in TINY.items()},
    ],
    ids=["content", "added", "removed", "renamed"],
)
def test_change_changes_the_name(changed: Mapping[str, bytes]) -> None:
    assert build("tiny", changed).filename != build("tiny", TINY).filename


@pytest.mark.parametrize(
    "paths",
    [
        [],
        ["pkg/app.py"],
        ["one/app.py", "one/engine.py"],
        ["app.py", "../engine.py"],
        ["app.py", "/etc/engine.py"],
        ["app.py", "a//b.py"],
        ["app.py", "a\\b.py"],
        ["app.py", "C:/b.py"],
        ["app.py", "a\n.py"],
        ["app.py", "b.py/"],
        ["app.py", ".hidden.py"],
        ["app.py", "-rf.py"],
        ["app.py", "naïve.py"],
        ["app.py", "a/b", "a/b/c.py"],
    ],
)
def test_refused_layouts(paths: list[str]) -> None:
    with pytest.raises(ValueError, match=r"top|portable|folder"):
        build("tiny", dict.fromkeys(paths, b""))


def test_join() -> None:
    """Packages keep their folders: two at the top are not stripped by Ray."""
    packages = {"web": {"app.py": b"a"}, "common": {"__init__.py": b"", "data/x.py": b"x"}}
    bundle = join(["web-app", "web-app", "other"], packages)
    assert bundle.app == "other-web-app"
    assert [e.filename for e in entries(bundle)] == ["common/__init__.py", "common/data/x.py", "web/app.py"]
    with pytest.raises(ValueError, match="strip"):
        join(["web"], {"web": {"app.py": b"a"}})


def test_reads_only_what_runs(tmp_path: Path) -> None:
    kept = {"app.py": b"a\n", "engine.py": b"e\n", "parts/__init__.py": b"", "parts/cache.py": b"c\n"}
    left_out = dict.fromkeys(
        [
            "README.md",
            "requirements.txt",
            "notes.txt",
            "tests/test_app.py",
            "tests/helper.py",
            "test_app.py",
            "app_test.py",
            "conftest.py",
            "__pycache__/app.cpython-311.pyc",
            "parts/__pycache__/x.py",
            ".env",
            ".hidden.py",
            ".git/hook.py",
        ],
        b"x",
    )
    files = read_app(write(tmp_path, kept | left_out))
    assert files == kept
    assert list(files) == sorted(kept)


def test_data_is_taken_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": b"a\n", "prompts/en.txt": b"Hello\r\n", "prompts/de.txt": b"Hallo\r\n"})
    assert read_app(tmp_path, ["prompts/en.txt"]) == {"app.py": b"a\n", "prompts/en.txt": b"Hello\r\n"}


def test_line_ends_of_sources(tmp_path: Path) -> None:
    unix, windows = b"a = 1\nb = 2\n", b"a = 1\r\nb = 2\r\n"
    first = build("tiny", read_app(write(tmp_path / "unix", {"app.py": unix})))
    second = build("tiny", read_app(write(tmp_path / "windows", {"app.py": windows})))
    assert first == second


def test_missing_folder_and_missing_data(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such application folder"):
        read_app(tmp_path / "nowhere")
    with pytest.raises(UserError, match="not there"):
        read_app(write(tmp_path, {"app.py": b""}), ["prompts.txt"])


@pytest.mark.parametrize("link", ["evil.py", "parts", "notes.txt"])
def test_symlinks_are_refused(tmp_path: Path, link: str) -> None:
    outside = write(tmp_path / "outside", {"secret.py": b"secret"})
    folder = write(tmp_path / "app", {"app.py": b""})
    (folder / link).symlink_to(outside if link == "parts" else outside / "secret.py")
    with pytest.raises(UserError, match="symbolic link") as caught:
        read_app(folder)
    assert caught.value.diagnostics[0].file == str(folder / link)


def test_data_behind_a_link_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "outside", {"secret.txt": b"secret"})
    folder = write(tmp_path / "app", {"app.py": b""})
    (folder / ".data").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="symbolic link"):
        read_app(folder, [".data/secret.txt"])


def test_config_map_limit() -> None:
    largest = CONFIG_MAP_BYTES // 4 * 3
    assert fits_config_map(Bundle("tiny", "0" * 64, bytes(largest)))
    assert not fits_config_map(Bundle("tiny", "0" * 64, bytes(largest + 1)))
