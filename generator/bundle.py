"""The applications' code becomes a zip whose name carries its digest: same content, same bytes, same name.

Ray unpacks the zip as `working_dir` and caches it by URL, so new content needs a new name. Ray 2.60
(`ray/_private/runtime_env/packaging.py`) wants the extension `.zip`, and an archive whose entries all lie in
one top-level directory loses that directory; `import_path` counts from what is left.
"""

from __future__ import annotations

import io
import re
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from generator.errors import UserError
from generator.naming import bundle_file

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
MODE = stat.S_IFREG | 0o644
# ConfigMaps end at 1 MiB; the rest is for metadata, keys and the JSON around them.
CONFIG_MAP_BYTES = 1024 * 1024 - 16 * 1024

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_TEST_FILE = re.compile(r"(test_.*|.*_test|conftest)\.py")
_TEST_FOLDERS = frozenset({"test", "tests"})


@dataclass(frozen=True, slots=True)
class Bundle:
    """A `working_dir` archive. `sha256` is the hex digest of `zip`."""

    app: str
    sha256: str
    zip: bytes

    @property
    def filename(self) -> str:
        return bundle_file(self.app, self.sha256)


def build(app: str, files: Mapping[str, bytes]) -> Bundle:
    """Pack `files`, relative POSIX path to content. The bytes depend on nothing else.

    Raises ValueError for a path that is not portable, and for a layout that Ray would unpack differently.
    """
    _check_paths(files)
    buffer = io.BytesIO()
    # Stored, not deflated: zlib's output differs between its versions and forks.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(files):
            archive.writestr(_entry(path), files[path])
    data = buffer.getvalue()
    return Bundle(app, sha256(data).hexdigest(), data)


def join(apps: Iterable[str], packages: Mapping[str, Mapping[str, bytes]]) -> Bundle:
    """One archive for all applications of a service: each package a folder at the top, named by the applications."""
    files = {f"{package}/{path}": content for package, held in packages.items() for path, content in held.items()}
    return build("-".join(sorted(set(apps))), files)


def _entry(path: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(path, EPOCH)
    entry.create_system = 3  # Unix, wherever this runs
    entry.external_attr = MODE << 16
    return entry


def _check_paths(files: Mapping[str, bytes]) -> None:
    for path in files:
        if not all(_SEGMENT.fullmatch(segment) for segment in path.split("/")):
            raise ValueError(f"{path!r} is not a portable relative path")
    if len({path.partition("/")[0] for path in files}) < 2 and all("/" in path for path in files):
        raise ValueError("a single folder at the top: Ray would strip it, and with it the import path")
    folders = {path[: cut.start()] for path in files for cut in re.finditer("/", path)}
    if clash := sorted(folders & files.keys()):
        raise ValueError(f"{clash[0]!r} is a file and a folder")


def read_app(folder: Path, data: Sequence[str] = ()) -> Mapping[str, bytes]:
    """What runs of an application: its `*.py`, and the files that `data` names (POSIX paths in `folder`).

    Tests, hidden files and `__pycache__` stay out. Line ends of `*.py` become LF, so that a checkout with
    `core.autocrlf` has the same digest; `data` is taken as it is. Raises UserError for symbolic links and
    for files that are not there.
    """
    if not folder.is_dir():
        raise UserError.of("no such application folder", file=str(folder))
    sources = {path.relative_to(folder).as_posix(): _lf(path.read_bytes()) for path in _sources(folder)}
    named = {name: _named(folder, name) for name in data}
    files = sources | named
    return {path: files[path] for path in sorted(files)}


def _lf(source: bytes) -> bytes:
    return source.replace(b"\r\n", b"\n")


def _sources(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith((".", "__pycache__")):
            continue
        _refuse_link(path)
        if path.is_dir():
            if path.name not in _TEST_FOLDERS:
                yield from _sources(path)
        elif path.suffix == ".py" and not _TEST_FILE.fullmatch(path.name):
            yield path


def _named(folder: Path, name: str) -> bytes:
    path = folder
    for segment in name.split("/"):
        path /= segment
        _refuse_link(path)
    if not path.is_file():
        raise UserError.of("the application names a file that is not there", file=str(path))
    return path.read_bytes()


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise UserError.of(
            "a symbolic link cannot go into a bundle",
            file=str(path),
            hint="put the file itself into the folder",
        )


def fits_config_map(bundle: Bundle) -> bool:
    """Whether a ConfigMap can carry the zip as `binaryData`, which is base64 on its way to the API server."""
    encoded = (len(bundle.zip) + 2) // 3 * 4
    return encoded <= CONFIG_MAP_BYTES
