"""The objects of an Application's source: files of a folder, or a chart of the tree with its values."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from generator import yamlio
from generator.deployed.applications import Application, inside
from generator.deployed.documents import documents
from generator.errors import UserError

_HELM_TIMEOUT = 120.0  # seconds


def helm_program(given: str | None) -> str | None:
    """The helm to run: the one that was named, MODELYARD_HELM, the one on PATH; None where there is none."""
    return given or os.environ.get("MODELYARD_HELM") or shutil.which("helm")


def expanded(application: Application, tree: Path, root: str, helm: str) -> list[dict[str, Any]]:
    """The objects that the Application brings, in the source's order.

    `tree` is a folder with the rendered tree, `root` its place in the repository. Raises UserError.
    """
    source = application.source
    folder = tree / inside(source["path"], root)
    if "helm" in source:
        return list(documents(_template(folder, application, helm), str(folder)))
    return [item for path in _included(folder, source["directory"]["include"]) for item in _read(path)]


@contextmanager
def laid_out(files: Mapping[str, bytes]) -> Iterator[Path]:
    """A temporary folder with a tree's `files`, by path."""
    with tempfile.TemporaryDirectory(prefix="modelyard-render-") as folder:
        for path, content in files.items():
            place = Path(folder) / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        yield Path(folder)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    return documents(path.read_text(encoding="utf-8"), str(path))


def _included(folder: Path, pattern: str) -> list[Path]:
    """Files of the folder itself, as Argo CD's `directory.include` chooses them: `{a,b*}` and `*`."""
    braces = re.fullmatch(r"\{(.*)\}", pattern)
    names = braces[1].split(",") if braces else [pattern]
    paths = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    return [path for path in paths if any(fnmatchcase(path.name, name) for name in names)]


def _template(chart: Path, application: Application, helm: str) -> str:
    """`helm template` as Argo CD runs it."""
    given = application.source["helm"]
    files = [chart / name for name in given["valueFiles"]]
    command = [helm, "template", given["releaseName"], str(chart), "-n", application.namespace]
    options = [word for path in files for word in ("-f", str(path))]
    values = yamlio.dump(given.get("valuesObject", {})).decode()
    origin = f"charts/{PurePosixPath(chart).name}"
    try:
        done = subprocess.run(  # noqa: S603  a list, no shell
            [*command, *options, "-f", "-"],
            input=values,
            capture_output=True,
            text=True,
            check=False,
            timeout=_HELM_TIMEOUT,
        )
    except OSError as error:
        hint = "install helm, or give its path: --helm PATH"
        raise UserError.of(f"cannot run helm: {error.strerror}", file=helm, hint=hint) from error
    except subprocess.TimeoutExpired as error:
        raise UserError.of(f"helm template takes more than {_HELM_TIMEOUT:.0f} s", file=origin) from error
    if done.returncode:
        message = " ".join(done.stderr.split())
        raise UserError.of(f"helm template for {application.name}: {message}", file=origin)
    return done.stdout
