"""Options and fixtures of all tests."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from tests.standins.seaweedfs import SeaweedFS

ROOT = Path(__file__).resolve().parent.parent

# Derandomised: the same examples on every machine and every run, so a red build is red for its author too.
hypothesis.settings.register_profile(
    "modelyard",
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("modelyard")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the expected files of golden tests")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--update-golden") and os.environ.get("CI"):
        raise pytest.UsageError("--update-golden is refused under CI: update goldens by hand and review them")


@pytest.fixture(autouse=True)
def environment_of_its_own() -> Iterator[None]:
    """What the code under test writes into os.environ ends with its test: serving code forbids to ask the Hub."""
    before = dict(os.environ)
    yield
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten rather than compared."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def tools() -> ModuleType:
    """`.ci/tools.py`, which is a script and no package."""
    return load_script(ROOT / ".ci" / "tools.py")


def load_script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"ci_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def helm(tools: ModuleType) -> Path:
    """A real helm: `MODELYARD_HELM`, PATH, `.cache/tools`, `.cache/bin`. Without one the test fails."""
    return found(tools, "helm")


@pytest.fixture(scope="session")
def kubectl(tools: ModuleType) -> Path:
    """A real kubectl, found as helm is; no cluster is needed for what tests do with it."""
    return found(tools, "kubectl")


def found(tools: ModuleType, name: str) -> Path:
    path: Path | None = tools.find(name)
    if path is None:
        minimum = tools.dotted(tools.MINIMUM[name])
        pytest.fail(f"no {name} {minimum} or newer: run `python .ci/tools.py`", pytrace=False)
    return path


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A real S3 server, one for all tests: each takes a bucket or a prefix of its own."""
    from tests.standins.seaweedfs import SeaweedFS

    with SeaweedFS(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server
