"""The image: everything locked, no more rights than the Job gives, the program that the Job starts."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOCKED = (ROOT / "serving/prestage.requirements.txt").read_text()
DOCKERFILE = (ROOT / "serving/prestage.Dockerfile").read_text()


def pins() -> dict[str, tuple[str, int]]:
    """Version and number of digests by package."""
    found = {}
    for entry in re.split(r"\n(?=[a-z])", LOCKED.replace("\\\n", " ")):
        if match := re.match(r"([a-z0-9-]+)==(\S+)", entry):
            found[match[1]] = (match[2], len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry)))
    return found


def test_every_package_has_digests_and_nothing_else_is_in_it() -> None:
    assert all(count for _, count in pins().values())
    entries = [line for line in LOCKED.splitlines() if line and not line.startswith(("#", "    --hash"))]
    assert len(entries) == len(pins())
    assert "://" not in LOCKED and "--index" not in LOCKED


def test_what_the_program_needs_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["optional-dependencies"]["prestage"], *(d for d in project["dependencies"] if "click" in d)]
    for text in wanted:
        requirement = Requirement(text)
        version, _ = pins()[requirement.name.replace("_", "-").lower()]
        assert requirement.specifier.contains(version), text


def test_tests_run_with_the_same_versions() -> None:
    tested = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    tested = {name.replace("_", "-").lower(): version for name, version in tested.items()}
    assert {name: v for name, (v, _) in pins().items() if name in tested and tested[name] != v} == {}


def test_it_starts_what_the_job_starts() -> None:
    chart = "".join(path.read_text() for path in sorted((ROOT / "chart-templates/prestage/templates").iterdir()))
    programs = set(re.findall(r'"(generator\.prestage[.a-z]*)"', chart))
    assert programs == {"generator.prestage", "generator.prestage.loadtest", "generator.prestage.refresh"}
    assert all(find_spec(f"{program}.__main__") for program in programs)
    entrypoint = yaml.safe_load(re.search(r"^ENTRYPOINT (\[.*\])$", DOCKERFILE, re.MULTILINE)[1])  # type: ignore[index]
    assert entrypoint == ["python", "-m", "generator.prestage"] and "command: [python, -m, " in chart
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert user and f"runAsUser: {user[1]}" in chart and f"runAsGroup: {user[2]}" in chart


@pytest.mark.slow
def test_the_modules_that_it_copies_are_all_that_the_program_imports(tmp_path: Path) -> None:
    copied = re.findall(r"^COPY (generator.*) /opt/modelyard/app/(\S+)$", DOCKERFILE, re.MULTILINE)
    assert copied
    for sources, target in copied:
        for source in sources.split():
            there = tmp_path / target / (Path(source).name if (ROOT / source).is_file() else "")
            for path in [ROOT / source] if (ROOT / source).is_file() else (ROOT / source).rglob("*.py"):
                into = there if path == ROOT / source else there / path.relative_to(ROOT / source)
                into.parent.mkdir(parents=True, exist_ok=True)
                into.write_bytes(path.read_bytes())
    program = "import pkgutil, generator.prestage as p, importlib\n" + (
        "for m in pkgutil.walk_packages(p.__path__, 'generator.prestage.'):\n"
        "    if not m.name.endswith('__main__'): importlib.import_module(m.name); print(m.name)\n"
    )
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "generator.prestage.sources.hub" in done.stdout and "generator.prestage.metrics" in done.stdout
