"""The hooks under the real pre-commit and the real git: a commit with a stale tree is stopped, and mended by it.

pre-commit clones the hook repository and installs it with pip, as for a user, but without a network: the packages
that Modelyard needs are those of the interpreter that runs the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import assets, scaffold, yamlio

REPOSITORY = Path(__file__).resolve().parents[2]
MANIFEST = REPOSITORY / ".pre-commit-hooks.yaml"
SHIPPED = ("generator", "chart-templates", "schemas", "serving", "pyproject.toml", "README.md", "LICENSE")

pytest.importorskip("pre_commit")
pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Scratch:
    """A user's repository with the hooks installed."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def git(self, *arguments: str) -> str:
        done = self.run("git", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self, message: str) -> tuple[int, str]:
        """Exit status of `git commit`, and all that git and the hooks say."""
        done = self.run("git", "commit", "-m", message)
        return done.returncode, done.stdout + done.stderr

    def commit_all(self, message: str) -> tuple[int, str]:
        self.git("add", "-A")
        return self.commit(message)

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.folder / path).read_text()
        assert old in text
        (self.folder / path).write_text(text.replace(old, new))

    def commits(self) -> int:
        return int(self.git("rev-list", "--count", "HEAD"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Nothing of the person who runs the tests, no network, packages of this interpreter."""
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text(
        '[user]\n\tname = Test\n\temail = test@example.com\n[protocol "file"]\n\tallow = always\n'
        "[init]\n\tdefaultBranch = main\n"
    )
    packages = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "PRE_COMMIT_HOME": str(home / "pre-commit"),
        "PRE_COMMIT_COLOR": "never",
        "PYTHONPATH": os.pathsep.join(packages),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as the value of `build isolation`
        "PIP_CONFIG_FILE": os.devnull,
    }


def call(folder: Path, environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> tuple[Path, str]:
    """A repository as users name it in `repo:`, and its commit: what this checkout ships."""
    folder = tmp_path_factory.mktemp("hooks")
    for name in (*SHIPPED, MANIFEST.name):
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder / name)
    call(folder, environment, "git", "init", "-q")
    call(folder, environment, "git", "add", "-A", "-f")
    call(folder, environment, "git", "commit", "-q", "-m", "hooks")
    return folder, call(folder, environment, "git", "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], hooks: tuple[Path, str]) -> Scratch:
    """A repository with its first rendered tree committed through the hooks."""
    folder = tmp_path_factory.mktemp("scratch")
    scaffold.init(folder, assets.find())
    scratch = Scratch(folder, environment)
    wanted = [{"id": hook["id"]} for hook in manifest()]
    config = {"repos": [{"repo": str(hooks[0]), "rev": hooks[1], "hooks": wanted}]}
    (folder / ".pre-commit-config.yaml").write_bytes(yamlio.dump(config))
    scratch.git("init", "-q")
    scratch.git("add", "-A")
    assert scratch.run("pre-commit", "install", "--install-hooks").returncode == 0
    stopped, said = scratch.commit("before the first render")
    assert stopped, said
    passed, said = scratch.commit_all("first")
    assert passed == 0, said
    return scratch


@pytest.fixture
def scratch(started: Scratch, tmp_path: Path) -> Scratch:
    """A copy of the started repository; the installed hook is shared, it looks at the working folder."""
    folder = tmp_path / "scratch"
    shutil.copytree(started.folder, folder, symlinks=True)
    return Scratch(folder, started.environment)


def manifest() -> list[dict[str, Any]]:
    found = yaml.safe_load(MANIFEST.read_text())
    assert isinstance(found, list)
    return found


def stopped_by(said: str) -> Sequence[str]:
    """Names of the hooks that failed."""
    return [line.split("...")[0] for line in said.splitlines() if line.endswith("Failed")]


def test_first_commit_holds_the_whole_tree(started: Scratch) -> None:
    assert started.git("status", "--porcelain") == ""
    assert "rendered/.modelyard/manifest.json" in started.git("ls-files").splitlines()


def test_stale_tree_is_stopped_and_mended(scratch: Scratch) -> None:
    before = scratch.commits()
    scratch.edit("models.yaml", "max: 3", "max: 5")
    scratch.git("add", "models.yaml")
    code, said = scratch.commit("more replicas")
    assert code == 1
    assert stopped_by(said) == ["render models.yaml"]
    assert "files were modified by this hook" in said
    assert scratch.commits() == before
    assert "rendered/" in scratch.git("diff", "--name-only")

    code, said = scratch.commit_all("more replicas")
    assert code == 0, said
    assert scratch.commits() == before + 1
    assert scratch.git("status", "--porcelain") == ""
    assert "rendered/" in scratch.git("show", "--name-only", "--format=", "HEAD")


def test_new_files_that_are_not_added_are_stopped(scratch: Scratch) -> None:
    """`git add -u` leaves out the files of a new service, and the commit would lack them."""
    text = (scratch.folder / "models.yaml").read_text()
    head, _, service = text.partition("  - name: chat\n")
    (scratch.folder / "models.yaml").write_text(f"{head}  - name: chat\n{service}\n  - name: ask\n{service}")
    scratch.git("add", "-u")
    assert scratch.commit("new service")[0] == 1
    scratch.git("add", "-u")
    code, said = scratch.commit("new service")
    assert code == 1, said
    code, said = scratch.commit_all("new service")
    assert code == 0, said


def test_edit_by_hand_is_stopped_and_kept(scratch: Scratch) -> None:
    path = "rendered/README.md"
    (scratch.folder / path).write_text("mine\n")
    code, said = scratch.commit_all("by hand")
    assert code == 1
    assert path in said
    assert (scratch.folder / path).read_text() == "mine\n"


def test_merge_of_two_rendered_branches(scratch: Scratch) -> None:
    """The way out of docs/ci.md: one side's tree, then a render."""
    for branch, old, new in (("a", "max: 3", "max: 5"), ("b", "TinyLlama on CPUs", "Chat")):
        scratch.git("switch", "-q", "-c", branch, "main")
        scratch.edit("models.yaml", old, new)
        assert scratch.commit_all("stale")[0] == 1
        code, said = scratch.commit_all(branch)
        assert code == 0, said
    assert scratch.run("git", "merge", "a").returncode == 1
    scratch.git("restore", "--source=HEAD", "--staged", "--worktree", "rendered/")
    code, said = scratch.commit_all("stale")
    assert stopped_by(said) == ["render models.yaml"]
    code, said = scratch.commit_all("merged")
    assert code == 0, said
    assert scratch.git("rev-list", "--merges", "--count", "HEAD").strip() == "1"
    assert scratch.git("status", "--porcelain") == ""


def test_fault_in_the_catalogue_is_stopped(scratch: Scratch) -> None:
    scratch.edit("models.yaml", "max: 3", "maxx: 3")
    code, said = scratch.commit_all("typo")
    assert code == 1
    assert "did you mean `max`?" in said


def test_commit_of_other_files_runs_no_hook(scratch: Scratch) -> None:
    (scratch.folder / "notes.txt").write_text("x\n")
    code, said = scratch.commit_all("notes")
    assert code == 0
    assert said.count("Skipped") == 2


def test_manifest_is_valid() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-manifest", MANIFEST], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_config_of_init_is_valid_and_runs_the_same_hooks(tmp_path: Path) -> None:
    scaffold.init(tmp_path, assets.find())
    config = tmp_path / ".pre-commit-config.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-config", config], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout
    (repo,) = yaml.safe_load(config.read_text())["repos"]
    local = [{k: v for k, v in hook.items() if k != "additional_dependencies"} for hook in repo["hooks"]]
    assert local == [{k: v for k, v in hook.items() if k != "description"} for hook in manifest()]
