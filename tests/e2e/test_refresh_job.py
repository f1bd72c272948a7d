"""The refresh jobs that `modelyard init` writes: their own scripts, a real Git remote, a Hub whose branch moves.

GitHub's half needs the real `gh`, which talks to a stand-in of the REST API; GitLab's half are push options, which the
remote's hook writes down.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import assets, scaffold
from tests.standins.github import GitHub
from tests.standins.hub import HubStandIn
from tests.standins.oci import RegistryStandIn
from tests.standins.weights import tiny_model

ROOT = Path(__file__).parents[2]
TINY = "TinyLlama/TinyLlama-1.1B-Chat-v1.0"
BRANCH = "modelyard/refresh"
TOOLS = os.pathsep.join([os.environ["PATH"], str(ROOT / ".cache/tools"), str(ROOT / ".cache/bin")])
GH = shutil.which("gh", path=TOOLS)
HOOK = """#!/bin/sh
while read -r old new ref; do echo "$ref"; done > pushed
: > options
i=0
while [ "$i" -lt "${GIT_PUSH_OPTION_COUNT:-0}" ]; do
  eval "printf '%s\\n' \\"\\$GIT_PUSH_OPTION_$i\\"" >> options
  i=$((i + 1))
done
"""


@dataclass
class Forge:
    """A bare repository with the platform's files in `main`, and clones of it in which jobs run."""

    folder: Path
    hub: HubStandIn
    jobs: int = 0

    @property
    def bare(self) -> Path:
        return self.folder / "origin.git"

    def environment(self) -> dict[str, str]:
        taken = ("HF_", "GH_", "GITHUB_", "GITLAB_", "CI_", "GIT_")
        clean = {key: value for key, value in os.environ.items() if not key.startswith(taken)}
        programs = f"{self.folder / 'programs'}{os.pathsep}{TOOLS}"
        return clean | {
            "PATH": programs,
            "PYTHONPATH": str(ROOT),
            "HF_ENDPOINT": self.hub.url,
            "GIT_CONFIG_GLOBAL": str(self.folder / "gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def git(self, *words: str, at: Path | None = None) -> str:
        command = ["git", "-C", str(at or self.bare), *words]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def clone(self) -> Path:
        self.jobs += 1
        to = self.folder / f"job-{self.jobs}"
        self.git("clone", "-q", "--depth=1", f"file://{self.bare}", str(to), at=self.folder)
        return to

    def run(self, shell: str, lines: list[str], **environment: str) -> tuple[int, str]:
        """The lines of a job in a fresh clone, as a runner runs them; exit status and all that they say."""
        at = self.clone()
        env = self.environment() | {"RUNNER_TEMP": str(at.parent / f"temp-{self.jobs}")} | environment
        Path(env["RUNNER_TEMP"]).mkdir()
        code, said = 0, ""
        for line in lines:
            if code == 0:
                command = [shell, "-e", "-c", line]
                done = subprocess.run(command, cwd=at, env=env, capture_output=True, text=True, check=False)
                code, said = done.returncode, said + done.stdout + done.stderr
        return code, said

    def github(self, github: GitHub) -> tuple[int, str]:
        steps = read(self.clone() / ".github/workflows/modelyard-refresh.yml")["jobs"]["refresh"]["steps"]
        lines = [step["run"] for step in steps if step["name"] in ("Ask the Hub", "Propose")]
        assert len(lines) == 2
        return self.run("bash", lines, BASE="main", **github.environment())

    def gitlab(self) -> tuple[int, str]:
        job = read(self.clone() / ".gitlab/modelyard.yml")["modelyard:refresh"]
        url = "https://gitlab.example.com/owner/name"
        options = {"GITLAB_CI": "true", "BASE": "main", "CI_PROJECT_URL": url, "CI_SERVER_HOST": "gitlab.example.com"}
        lines = [line.replace("/tmp/modelyard/bin/", "").replace("/tmp/", "$RUNNER_TEMP/") for line in job["script"]]
        return self.run("sh", ["\n".join(lines)], MODELYARD_TOKEN="a-token", **options)

    def tip(self, branch: str = BRANCH) -> str:
        return self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")

    def change(self, path: str, text: str) -> None:
        """A commit of somebody else in main."""
        at = self.clone()
        (at / path).write_text(text)
        self.git("add", "-A", at=at)
        self.git("commit", "-qm", path, at=at)
        self.git("push", "-q", "origin", "HEAD:main", at=at)


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    with HubStandIn() as standin:
        for repo in (TINY, "mistralai/Mistral-7B-Instruct-v0.2"):
            standin.add(repo, tiny_model())
        yield standin


@pytest.fixture
def forge(tmp_path: Path, hub: HubStandIn) -> Iterator[Forge]:
    made = Forge(tmp_path, hub)
    (tmp_path / "programs").mkdir()
    program = tmp_path / "programs/modelyard"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m generator.cli "$@"\n')
    program.chmod(0o755)
    identity = "[user]\nname = a\nemail = a@example.com\n"
    redirect = f'[url "file://{made.bare}"]\ninsteadOf = https://gitlab.example.com/owner/name.git\n'
    (tmp_path / "gitconfig").write_text(f"{identity}{redirect}[init]\ndefaultBranch = main\n")
    with RegistryStandIn() as registry:
        reference, _ = registry.push("platform/image:1.0")
        start = tmp_path / "start"
        scaffold.init(start, assets.find())
        (start / "models.yaml").write_text(catalogue(reference))
        for words in (["lock"], ["render"]):
            subprocess.run([program, *words], cwd=start, env=made.environment(), check=True, capture_output=True)
        made.git("init", "-q", "--bare", str(made.bare), at=tmp_path)
        made.git("config", "receive.advertisePushOptions", "true")
        (made.bare / "hooks/post-receive").write_text(HOOK)
        (made.bare / "hooks/post-receive").chmod(0o755)
        made.git("init", "-q", at=start)
        made.git("add", "-A", at=start)
        made.git("commit", "-qm", "start", at=start)
        made.git("push", "-q", str(made.bare), "HEAD:main", at=start)
        yield made


def catalogue(image: str) -> str:
    """The example, its images in the stand-in's registry, as small as the stand-in's models."""
    text = (ROOT / "models.yaml").read_text().replace("contextLength: 8192", "contextLength: 2048")
    roles = "".join(f"\n    {role}:\n      image: {image}\n      rayVersion: 2.60.0" for role in ("cpu", "gpu", "vllm"))
    prestage = "prestage: registry.example.com/platform/modelyard-prestage:0.1.0"
    assert prestage in text
    return text.replace(prestage, f"prestage: {image}{roles}")


@pytest.fixture
def github(forge: Forge) -> Iterator[GitHub]:
    if GH is None:
        pytest.skip("gh is not installed")
    with GitHub(forge.folder / "github", forge.bare) as standin:
        yield standin


def move(hub: HubStandIn, text: str = "new") -> str:
    return hub.add(TINY, {**tiny_model(), "chat_template.jinja": text.encode()})


def test_github_nothing_moved(forge: Forge, github: GitHub) -> None:
    code, said = forge.github(github)
    assert (code, "Nothing to propose." in said) == (0, True), said
    assert forge.tip() == "" and not github.pulls


def test_github_one_request_that_is_kept_current(forge: Forge, hub: HubStandIn, github: GitHub) -> None:
    main, old = forge.tip("main"), hub.repositories[TINY].refs["main"]
    new = move(hub)
    code, said = forge.github(github)
    assert code == 0, said
    (pull,) = github.open_pulls()
    assert (pull.base, pull.head, pull.title) == ("main", BRANCH, "Newer revision of tinyllama")
    assert f"| `tinyllama` | `{old[:12]}` | `{new[:12]}` |" in pull.body and "1 added" in pull.body
    assert forge.git("rev-parse", f"{BRANCH}^") == main == forge.tip("main"), "one commit on top of main"
    changed = forge.git("diff", "--name-only", "main", BRANCH).splitlines()
    assert changed[0] == "models.lock.yaml" and all(path.startswith("rendered/") for path in changed[1:])
    assert new in forge.git("show", f"{BRANCH}:models.lock.yaml")
    author = forge.git("log", "-1", "--format=%an <%ae>%n%s", BRANCH).splitlines()
    assert author[0].startswith("github-actions[bot] <41898282+") and author[1] == pull.title

    first = forge.tip()
    code, said = forge.github(github)
    assert (code, "Proposed already" in said, forge.tip()) == (0, True, first), said
    assert len(github.pulls) == 1 and pull.edits == []

    newer = move(hub, "newer still")
    code, said = forge.github(github)
    assert code == 0 and len(github.pulls) == 1, said
    assert newer[:12] in pull.body and new[:12] not in pull.body and pull.sha == forge.tip() != first


def test_github_goes_with_its_base(forge: Forge, hub: HubStandIn, github: GitHub) -> None:
    move(hub)
    assert forge.github(github)[0] == 0
    forge.change("README.md", "something else\n")
    assert forge.github(github)[0] == 0
    assert forge.git("rev-parse", f"{BRANCH}^") == forge.tip("main")
    assert len(github.pulls) == 1


def test_github_is_merged_and_starts_anew(forge: Forge, hub: HubStandIn, github: GitHub) -> None:
    move(hub)
    assert forge.github(github)[0] == 0
    forge.git("update-ref", "refs/heads/main", BRANCH)
    github.pulls[0].state = "closed"
    code, said = forge.github(github)
    assert (code, "Nothing to propose." in said, forge.tip()) == (0, True, ""), said
    move(hub, "later")
    assert forge.github(github)[0] == 0
    assert [pull.state for pull in github.pulls] == ["closed", "open"]


def test_github_withdraws_what_was_taken_back(forge: Forge, hub: HubStandIn, github: GitHub) -> None:
    move(hub)
    assert forge.github(github)[0] == 0
    hub.add(TINY, tiny_model())
    assert forge.github(github)[0] == 0
    assert forge.tip() == "" and github.open_pulls() == []


def test_github_what_was_turned_down_is_not_opened_again(forge: Forge, hub: HubStandIn, github: GitHub) -> None:
    move(hub)
    assert forge.github(github)[0] == 0
    github.pulls[0].state = "closed"
    forge.change("README.md", "something else\n")
    code, said = forge.github(github)
    assert code == 0 and "Turned down before, in #1" in said and len(github.pulls) == 1
    move(hub, "another")
    assert forge.github(github)[0] == 0
    assert [pull.state for pull in github.pulls] == ["closed", "open"]


def test_github_says_when_it_may_not(forge: Forge, hub: HubStandIn, github: GitHub) -> None:
    """The repository's setting; the run after it was changed makes the request that is missing."""
    move(hub)
    github.may_create = False
    code, said = forge.github(github)
    assert code != 0 and "not permitted to create" in said
    github.may_create = True
    code, said = forge.github(github)
    assert code == 0 and "Proposed already" in said
    assert len(github.open_pulls()) == 1


def test_a_hub_that_is_away_proposes_nothing(forge: Forge, hub: HubStandIn, github: GitHub) -> None:
    move(hub)
    hub.__exit__()
    code, said = forge.github(github)
    assert code == 0 and "warning" in said and "Nothing to propose." in said
    assert not github.pulls


def test_gitlab_one_request_that_is_kept_current(forge: Forge, hub: HubStandIn) -> None:
    code, said = forge.gitlab()
    assert (code, "Nothing to propose." in said, forge.tip()) == (0, True, ""), said
    old, new = hub.repositories[TINY].refs["main"], move(hub)
    code, said = forge.gitlab()
    assert code == 0, said
    options = dict(line.partition("=")[::2] for line in (forge.bare / "options").read_text().splitlines())
    assert list(options) == [
        "merge_request.create",
        "merge_request.remove_source_branch",
        "merge_request.target",
        "merge_request.title",
        "merge_request.description",
    ]
    assert (options["merge_request.target"], options["merge_request.title"]) == ("main", "Newer revision of tinyllama")
    body = options["merge_request.description"].split("\\n")
    assert body[0].startswith("| model |") and any(f"`{old[:12]}` | `{new[:12]}`" in line for line in body)
    assert (forge.bare / "pushed").read_text() == f"refs/heads/{BRANCH}\n"

    first = forge.tip()
    code, said = forge.gitlab()
    assert (code, "Proposed already" in said, forge.tip()) == (0, True, first)
    newer = move(hub, "newer still")
    assert forge.gitlab()[0] == 0
    assert newer[:12] in (forge.bare / "options").read_text() and forge.tip() != first
    hub.add(TINY, tiny_model())
    assert forge.gitlab()[0] == 0
    assert forge.tip() == ""


def test_a_push_in_between_is_not_overwritten(forge: Forge, hub: HubStandIn) -> None:
    """Two runs at once: the second sees a branch that is not the one that it looked at, and fails."""
    move(hub)
    assert forge.gitlab()[0] == 0
    ours = forge.tip()
    move(hub, "newer")
    racing = forge.folder / "programs/git"
    real = shutil.which("git", path=TOOLS)
    racing.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = push ]; then {real} -C {forge.bare} update-ref refs/heads/{BRANCH} main; fi\n'
        f'exec {real} "$@"\n'
    )
    racing.chmod(0o755)
    code, said = forge.gitlab()
    assert code != 0 and "stale info" in said
    racing.unlink()
    assert forge.tip() == forge.tip("main") != ours
