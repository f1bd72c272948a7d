"""`modelyard init`: the first files of a GitOps repository. What is there already is never opened to write.

The files are package data under chart-templates/init, at the paths where they are written.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import TypeAdapter, ValidationError

from generator import yamledit
from generator.assets import Assets
from generator.errors import Diagnostic, Severity
from generator.spec.platform import Url
from generator.tree import folders

TEMPLATES = "chart-templates/init"
CATALOGUE = "models.yaml"
PLATFORMS: Mapping[str, str] = MappingProxyType(
    {
        "eks": f"{TEMPLATES}/{CATALOGUE}",
        **{
            name: f"chart-templates/platforms/{name}.yaml" for name in ("aks", "any-kubernetes", "kserve", "shared-gpu")
        },
    }
)
"""What `init` can begin with: the catalogue of each."""

# What a file that was there before still needs from its owner; any mention of the word says that it was done.
_WANTED = {
    ".pre-commit-config.yaml": "add the hooks modelyard-render and modelyard-check: docs/ci.md, pre-commit",
    ".gitlab-ci.yml": "add `local: .gitlab/modelyard.yml` to its `include:`",
    ".gitattributes": "keep Git from changing line ends below rendered/: docs/ci.md, bytes",
}
_MENTION = {".gitattributes": b"rendered/"}
_READ_LIMIT = 1 << 20  # bytes of a file looked through for the mention


@dataclass(frozen=True, slots=True)
class InitPlan:
    """What init would do: files to write, and paths that are taken."""

    write: tuple[tuple[str, bytes], ...]
    kept: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InitReport:
    """What init did. Paths are POSIX, relative to the folder; `notes` are warnings."""

    written: tuple[str, ...]
    kept: tuple[str, ...]
    notes: tuple[Diagnostic, ...]


def plan_init(present: Callable[[str], bool], templates: Iterable[tuple[str, bytes]]) -> InitPlan:
    """Each template is written unless its path is `present` in any form, a dangling link included."""
    ordered = sorted(templates)
    return InitPlan(
        write=tuple((path, content) for path, content in ordered if not present(path)),
        kept=tuple(path for path, _ in ordered if present(path)),
    )


def templates(assets: Assets, platform: str) -> dict[str, bytes]:
    """The files of `init`, with the models.yaml of the platform. Raises KeyError for one that is not in `PLATFORMS`."""
    return {**dict(assets.files(TEMPLATES)), CATALOGUE: assets.read(PLATFORMS[platform])}


def init(folder: Path, assets: Assets, platform: str = "eks") -> InitReport:
    """Write what is missing in `folder`, which is made when absent; `platform` is one of `PLATFORMS`.

    `repository.url` of a new models.yaml is the address of the remote `origin`, where there is one.
    Raises UserError when the folder cannot be written; files written before that stay, and a second run
    writes the rest.
    """
    with folders.os_errors_reported(folder):
        folder.mkdir(parents=True, exist_ok=True)
        wanted = templates(assets, platform).items()
        plan = plan_init(lambda path: os.path.lexists(folder / path), wanted)
        url = origin(folder)
        kept = [*plan.kept, *_write(folder, plan.write, url)]
    written = tuple(path for path, _ in plan.write if path not in kept)
    return InitReport(written, tuple(sorted(kept)), (*_place_notes(folder), *_kept_notes(folder, kept)))


def _write(folder: Path, files: Iterable[tuple[str, bytes]], url: str | None) -> Iterator[str]:
    """Write `files`; the paths that somebody else took in the meantime."""
    top = os.open(os.path.realpath(folder), folders.FOLDER)
    try:
        for path, content in files:
            if not _create(top, path, with_origin(content, url) if path == CATALOGUE else content):
                yield path
    finally:
        os.close(top)


def with_origin(catalogue: bytes, url: str | None) -> bytes:
    """The first models.yaml with `url` for its repository, unchanged when our language refuses that address.

    It refuses an address that holds a password: that does not belong in Git.
    """
    try:
        address = TypeAdapter[str](Url).validate_python(url)
    except ValidationError:
        return catalogue
    return yamledit.set_scalar(catalogue.decode(), ("platform", "repository", "url"), address).encode()


def origin(folder: Path) -> str | None:
    """The address of the remote `origin` of the Git repository around `folder`; None where there is none."""
    return _git(folder, "config", "--get", "remote.origin.url")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.decode(errors="replace").strip() or None


def _create(at: int, path: str, content: bytes, *, whole: str = "") -> bool:
    """Write a new file at `path` below the folder `at`; False when something stands there.

    Folders on the way are made when absent; no link among them is followed. `whole` is what an OSError says.
    """
    name, deeper, rest = path.partition("/")
    if deeper:
        with suppress(FileExistsError):
            os.mkdir(name, folders.FOLDER_MODE, dir_fd=at)
        with folders.opened(at, name, whole or path) as child:
            return _create(child, rest, content, whole=whole or path)
    try:
        folders.create(at, name, content)
    except FileExistsError:
        return False
    except OSError as error:
        error.filename = whole or path
        # Half a file would pass for the user's own on the next run.
        with suppress(OSError):
            os.unlink(name, dir_fd=at)
        raise
    return True


def _place_notes(folder: Path) -> Iterable[Diagnostic]:
    inside = _git(folder, "rev-parse", "--show-prefix")
    if inside:
        message = f"this is `{inside.rstrip('/')}` of a Git repository: its hooks and CI files work only at the top"
        yield Diagnostic(message, str(folder), hint="run `modelyard init` at the top", severity=Severity.WARNING)


def _kept_notes(folder: Path, kept: Iterable[str]) -> Iterable[Diagnostic]:
    for path in sorted(set(kept) & _WANTED.keys()):
        if not _mentions(folder / path, _MENTION.get(path, b"modelyard")):
            yield Diagnostic("kept as it was", str(folder / path), hint=_WANTED[path], severity=Severity.WARNING)


def _mentions(path: Path, word: bytes) -> bool:
    """Whether the file speaks of `word`; no when it is no regular file or cannot be read."""
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return word in file.read(_READ_LIMIT)
    return False
