"""The wheel, installed into an empty environment outside the checkout, does what the checkout does.

pip takes the core dependencies from the package index, as for a user; nothing of the checkout is on the path.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ("chart-templates", "schemas", "serving")

pytestmark = pytest.mark.slow


def run(folder: Path, *command: str | Path) -> str:
    """What `command` prints; fails with everything it says."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(kind: str, folder: Path) -> Path:
    """Our wheel or sdist, made by the hatchling that is installed here."""
    run(ROOT, sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", folder, ROOT)
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a new environment that holds the wheel and its dependencies alone."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=True)
    pip = (folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "-q")
    run(folder, *pip, "install", "--constraint", ROOT / "constraints.txt", wheel)
    return folder / "bin"


@pytest.fixture
def modelyard(installed: Path) -> Path:
    return installed / "modelyard"


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_it_holds_the_package_and_its_assets_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    expected = {f"generator/{name}": content for name, content in files(ROOT / "generator").items()}
    for folder in ASSETS:
        expected |= {f"generator/_assets/{folder}/{name}": text for name, text in files(ROOT / folder).items()}
    assert packed.keys() == expected.keys()
    assert packed == expected


def test_the_version_is_the_packages(wheel: Path, modelyard: Path, tmp_path: Path) -> None:
    version = run(tmp_path, modelyard, "--version").split()[-1]
    assert wheel.name == f"modelyard-{version}-py3-none-any.whl"
    assert f'__version__ = "{version}"' in (ROOT / "generator" / "__init__.py").read_text()


def test_init_render_check(modelyard: Path, tmp_path: Path) -> None:
    run(tmp_path, modelyard, "init")
    run(tmp_path, modelyard, "render")
    run(tmp_path, modelyard, "check")
    assert (tmp_path / "rendered" / ".modelyard" / "manifest.json").is_file()


def test_it_renders_the_same_bytes_as_the_checkout(modelyard: Path, tmp_path: Path) -> None:
    catalogue = ROOT / "models.yaml"
    run(tmp_path, modelyard, "render", "--file", catalogue, "--out", tmp_path / "wheel")
    run(
        ROOT,
        sys.executable,
        "-m",
        "generator.cli",
        "render",
        "--file",
        catalogue,
        "--out",
        tmp_path / "checkout",
    )
    assert files(tmp_path / "wheel") == files(tmp_path / "checkout")
    assert len(files(tmp_path / "wheel")) > 20


def test_the_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """A distributor starts from the sdist: it must hold what the wheel is made of."""
    sdist = build("sdist", tmp_path / "sdist")
    run(tmp_path, "tar", "-xf", sdist)
    (source,) = tmp_path.glob("modelyard-*")
    run(
        source,
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        tmp_path / "again",
        source,
    )
    (again,) = (tmp_path / "again").iterdir()
    with zipfile.ZipFile(wheel) as ours, zipfile.ZipFile(again) as theirs:
        assert {n: ours.read(n) for n in ours.namelist()} == {n: theirs.read(n) for n in theirs.namelist()}
    assert (source / "tests" / "e2e" / "test_wheel.py").is_file()
