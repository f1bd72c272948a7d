"""The serving image: both locks hold what the applications ask for, with digests; the Dockerfile follows the pods."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from generator.providers import PROVIDERS

ROOT = Path(__file__).parents[2]
SERVING = ROOT / "serving"
DOCKERFILE = (SERVING / "Dockerfile").read_text()
DEVICES = ("cpu", "gpu")
PACKAGES = sorted(path.name for path in SERVING.iterdir() if (path / "__init__.py").is_file())
# They are imported under another name than their package has, or with it.
PARTS = {"starlette": "starlette", "pydantic": "pydantic", "yaml": "pyyaml"}


def lock(device: str) -> str:
    return (SERVING / f"requirements.{device}.txt").read_text()


def pins(device: str) -> dict[str, tuple[str, list[str]]]:
    """Version and digests by package."""
    found = {}
    for entry in re.split(r"\n(?=[a-z])", lock(device).replace("\\\n", " ")):
        if match := re.match(r"([a-z0-9-]+)==(\S+)", entry):
            found[match[1]] = (match[2], re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry))
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def asked() -> Iterator[Requirement]:
    """What the requirements of the applications say."""
    for path in sorted(SERVING.glob("*/requirements.txt")):
        for line in path.read_text().splitlines():
            if line and not line.startswith("#"):
                yield Requirement(line)


@pytest.mark.parametrize("device", DEVICES)
def test_every_package_has_digests_and_nothing_else_is_in_it(device: str) -> None:
    assert all(digests for _, digests in pins(device).values())
    entries = [line for line in lock(device).splitlines() if line and not line.startswith(("#", "    --hash"))]
    assert len(entries) == len(pins(device)) > 90
    assert "://" not in lock(device) and "--index" not in lock(device)


@pytest.mark.parametrize("device", DEVICES)
def test_what_the_applications_ask_for_is_locked(device: str) -> None:
    wanted = list(asked())
    assert {r.name for r in wanted} >= {"ray", "torch", "transformers"}
    for requirement in wanted:
        version = pins(device)[normal(requirement.name)][0]
        assert requirement.specifier.contains(version, prereleases=True), requirement


@pytest.mark.parametrize("device", DEVICES)
def test_tests_run_with_the_same_versions(device: str) -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    tested = {normal(line.split("==")[0]): line.split("==")[1] for line in lines if "==" in line}
    held = {name: Version(version).public for name, (version, _) in pins(device).items()}
    assert {name: version for name, version in held.items() if tested.get(name, version) != version} == {}


def test_only_torch_differs_and_what_cuda_needs() -> None:
    cpu, gpu = pins("cpu"), pins("gpu")
    assert cpu["torch"][0] == gpu["torch"][0] + "+cpu"
    more = set(gpu) - set(cpu)
    assert all(name.startswith(("nvidia-", "cuda-")) or name == "triton" for name in more) and more
    assert {name for name in cpu if cpu[name] != gpu.get(name)} == {"torch"}


def imported() -> Iterator[tuple[str, str]]:
    """`(module, top-level name)` of everything that our applications import from outside of them."""
    for package in PACKAGES:
        for path in sorted((SERVING / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_bytes())):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                for name in (full.split(".")[0] for full in names):
                    if name not in sys.stdlib_module_names and name not in PACKAGES:
                        yield path.relative_to(SERVING).as_posix(), name


def test_every_import_is_of_a_locked_package() -> None:
    known = packages_distributions()
    missing = []
    for module, name in imported():
        distributions = {normal(d) for d in known.get(name, [PARTS.get(name, name)])}
        missing += [(module, name, device) for device in DEVICES if not distributions & set(pins(device))]
    assert missing == [] and any(name == "torch" for _, name in imported())


def test_it_runs_as_the_pods_do() -> None:
    uids = {row.uid for row in PROVIDERS.values() if row.uid is not None}
    user = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert len(user) == 1 and {int(name) for name in user[0]} == uids
    assert not re.search(r"^(ENTRYPOINT|CMD)", DOCKERFILE, re.MULTILINE), "KubeRay starts Ray"
    assert re.search(r"\bHF_HUB_OFFLINE=1\b", DOCKERFILE)


def test_no_digest_is_invented_and_the_base_fits_the_locks() -> None:
    assert "sha256:" not in re.sub(r"^#.*$", "", DOCKERFILE, flags=re.MULTILINE)
    (base,) = re.findall(r"^ARG RAY_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    version, python = re.fullmatch(r"docker\.io/rayproject/ray:([0-9.]+)-py3(\d+)-cpu", base).groups()  # type: ignore[union-attr]
    for device in DEVICES:
        assert pins(device)["ray"][0] == version
        assert f"--python-version 3.{python}" in lock(device)


def test_documentation_shows_its_own_commands() -> None:
    page = (ROOT / "docs/serving-image.md").read_text()
    shown = yaml.safe_load(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])  # type: ignore[index]
    assert set(shown["platform"]["images"]) == set(DEVICES)
    assert {image["rayVersion"] for image in shown["platform"]["images"].values()} == {pins("cpu")["ray"][0]}
    assert "--build-arg DEVICE=gpu" in page
