"""What CI runs, judged by the linters of those who run CI: actionlint, zizmor, yamllint, shellcheck, all offline."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import assets, scaffold

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent
CHECK = REPOSITORY / ".github" / "actions" / "check"
YAMLLINT = "{extends: default, rules: {line-length: {max: 120}, document-start: disable, truthy: {check-keys: false}}}"


def run(program: str, *arguments: str | Path, cwd: Path = REPOSITORY) -> str:
    """What the linter says when it finds nothing; fails with all it says otherwise. Skips where it is missing."""
    found = shutil.which(program, path=f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{program} is not installed")
    environment = os.environ | {"PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([found, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository just after `modelyard init`."""
    folder = tmp_path_factory.mktemp("fresh")
    scaffold.init(folder, assets.find())
    return folder


@pytest.fixture(scope="module", params=["ours", "theirs"])
def repository(request: pytest.FixtureRequest, fresh: Path) -> Path:
    return REPOSITORY if request.param == "ours" else fresh


def workflows(repository: Path) -> list[Path]:
    found = sorted((repository / ".github" / "workflows").glob("*.yml"))
    assert found
    return found


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def steps(document: Any) -> Iterator[dict[str, Any]]:
    jobs = document["jobs"].values() if "jobs" in document else [document["runs"]]
    for job in jobs:
        yield from job["steps"]


def test_actionlint_with_shellcheck(repository: Path) -> None:
    if shutil.which("shellcheck", path=str(PROGRAMS)) is None:
        pytest.skip("shellcheck is not installed: actionlint would leave the shell unread")
    run("actionlint", *workflows(repository))


def test_zizmor(repository: Path) -> None:
    said = run("zizmor", "--offline", "--no-progress", "--persona=pedantic", repository / ".github")
    assert "No findings to report" in said


def test_yamllint(fresh: Path) -> None:
    files = [p for p in fresh.rglob("*") if p.suffix in (".yml", ".yaml")]
    assert len(files) == 7
    ours = [*(REPOSITORY / ".github").rglob("*.yml"), REPOSITORY / ".pre-commit-hooks.yaml"]
    assert run("yamllint", "--strict", "-d", YAMLLINT, *files, *ours) == ""


@pytest.mark.parametrize("script", ["modelyard-propose.sh", "modelyard-images.sh"])
def test_shellcheck_of_the_scripts(fresh: Path, script: str) -> None:
    run("shellcheck", "--enable=all", "--exclude=SC2250,SC2312", fresh / ".ci" / script)


def test_shellcheck_of_the_action() -> None:
    run("shellcheck", "--enable=all", "--exclude=SC2250,SC2312", CHECK / "check.sh")


def test_rights_are_the_least(repository: Path) -> None:
    """The one job that writes is the one that proposes; it has no other right, and no other job has these."""
    for path in workflows(repository):
        document = read(path)
        assert document["permissions"] == {"contents": "read"}
        granted = {name: job["permissions"] for name, job in document["jobs"].items() if "permissions" in job}
        proposes = path.name == "modelyard-refresh.yml"
        assert granted == ({"refresh": {"contents": "write", "pull-requests": "write"}} if proposes else {})
        assert all("timeout-minutes" in job for job in document["jobs"].values())


def test_the_token_of_the_hub_and_that_of_the_forge_never_meet(fresh: Path) -> None:
    document = read(fresh / ".github/workflows/modelyard-refresh.yml")
    tokens = [set(step.get("env", {})) & {"HF_TOKEN", "GH_TOKEN"} for step in steps(document)]
    assert tokens == [set(), set(), {"HF_TOKEN"}, {"GH_TOKEN"}]


def test_the_refresh_runs_by_schedule_and_one_at_a_time(fresh: Path) -> None:
    document = read(fresh / ".github/workflows/modelyard-refresh.yml")
    assert set(document[True]) == {"schedule", "workflow_dispatch"}  # YAML 1.1 reads `on` so
    assert document["concurrency"] == {"group": "modelyard-refresh", "cancel-in-progress": False}
    job = read(fresh / ".gitlab/modelyard.yml")["modelyard:refresh"]
    assert [rule["if"] for rule in job["rules"]] == [
        '$CI_PIPELINE_SOURCE == "schedule" && $MODELYARD_REFRESH == "true"'
    ]
    assert job["resource_group"] == "modelyard-refresh" and not job["image"].endswith(":latest")
    assert all(isinstance(line, str) for line in job["before_script"] + job["script"])


def test_a_fork_builds_no_image(fresh: Path) -> None:
    """Its author could change the script that gets the password of the registry."""
    job = read(fresh / ".github/workflows/modelyard-images.yml")["jobs"]["build"]
    own = "github.event.pull_request.head.repo.full_name == github.repository"
    assert job["if"] == f"github.event_name != 'pull_request' || {own}"
    merge, default = read(fresh / ".gitlab/modelyard.yml")["modelyard:images"]["rules"]
    own = "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID"
    assert merge["if"] == f'$CI_PIPELINE_SOURCE == "merge_request_event" && {own}'
    assert default["if"] == "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"
    assert merge["exists"] == default["exists"] == ["rendered/images/*/docker-bake.json"]


def test_foreign_actions_are_pinned_and_no_expression_meets_a_shell(repository: Path) -> None:
    documents = [read(path) for path in workflows(repository)]
    documents += [read(CHECK / "action.yml")] if repository == REPOSITORY else []
    found = [step for document in documents for step in steps(document)]
    assert all("${{" not in step.get("run", "") for step in found)
    used = [step["uses"] for step in found if "uses" in step and not step["uses"].startswith("$/")]
    assert used
    assert all(len(name.partition("@")[2]) == 40 for name in used)


def test_gitlab_includes_the_job(fresh: Path) -> None:
    (included,) = read(fresh / ".gitlab-ci.yml")["include"]
    job = read(fresh / included["local"])["modelyard:check"]
    assert job["script"] == ["/tmp/modelyard/bin/modelyard check"]
    assert all(isinstance(line, str) for line in job["before_script"] + job["script"])
    assert [rule["if"] for rule in job["rules"]] == [
        '$CI_PIPELINE_SOURCE == "merge_request_event"',
        "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH",
    ]
    assert not job["image"].endswith(":latest")


@pytest.mark.parametrize("name", ["modelyard:check", "modelyard:refresh", "modelyard:images"])
def test_gitlab_shell_lines_pass_shellcheck(fresh: Path, tmp_path: Path, name: str) -> None:
    job = read(fresh / ".gitlab" / "modelyard.yml")[name]
    script = tmp_path / "job.sh"
    script.write_text("\n".join(["#!/bin/sh", "set -e", *job["before_script"], *job["script"], ""]))
    run("shellcheck", "--exclude=SC2016", script)  # Git runs the credential helper, with the environment of the job


@pytest.mark.parametrize(("code", "summary"), [(0, False), (1, True), (3, True)])
def test_action_script_passes_on_the_exit_code(tmp_path: Path, code: int, summary: bool) -> None:
    """The program is a stand-in here: the script's own contract is to pass on what it says and how it ends."""
    program = tmp_path / "modelyard"
    program.write_text(f'#!/bin/sh\necho "$1 in $(basename "$PWD")"\necho \'```\' >&2\nexit {code}\n')
    program.chmod(0o755)
    (tmp_path / "a folder").mkdir()
    page = tmp_path / "summary.md"
    environment = {
        "PATH": os.environ["PATH"],
        "MODELYARD": str(program),
        "FOLDER": "a folder",
        "GITHUB_STEP_SUMMARY": str(page),
    }
    done = subprocess.run(["bash", CHECK / "check.sh"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, "check in a folder\n```\n")
    assert page.exists() is summary
    if summary:
        assert page.read_text() == f"### modelyard check: exit {code}\n\n    check in a folder\n    ```\n\n"


def test_action_script_shows_a_stale_tree(fresh: Path, tmp_path: Path) -> None:
    program = tmp_path / "modelyard"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -m generator.cli "$@"\n')
    program.chmod(0o755)
    work = tmp_path / "work"
    shutil.copytree(fresh, work)
    subprocess.run([program, "render"], cwd=work, check=True, capture_output=True)
    page = tmp_path / "summary.md"
    environment = {"PATH": os.environ["PATH"], "MODELYARD": str(program), "GITHUB_STEP_SUMMARY": str(page)}
    command = ["bash", str(CHECK / "check.sh")]
    assert subprocess.run(command, cwd=work, env=environment, capture_output=True, check=False).returncode == 0
    assert not page.exists()

    catalogue = work / "models.yaml"
    catalogue.write_text(catalogue.read_text().replace("max: 3", "max: 5"))
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    shown = [line.removeprefix("    ") for line in page.read_text().splitlines() if line.startswith("    ")]
    assert shown == done.stdout.splitlines()
    assert any(line.startswith("--- ") for line in shown)
    assert any(line.startswith("+") and line.endswith("5") for line in shown)
