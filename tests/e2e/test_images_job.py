"""The jobs that `modelyard init` writes for images with models: their own steps, with a stand-in for Docker on PATH.

The stand-in writes down what it is asked, what it reads and where it stands; a file says which images the registry has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import assets, scaffold

DOCKER = """\
import json, os, sys
words = sys.argv[1:]
at = os.environ["STAND_IN"]
read = sys.stdin.read() if "--password-stdin" in words else ""
keys = ("HF_TOKEN", "BUILD_CONTEXT")
with open(at + "/asked", "a") as log:
    seen = {key: os.environ[key] for key in keys if key in os.environ}
    log.write(json.dumps({"words": words, "read": read, "cwd": os.getcwd(), "env": seen}) + chr(10))
if words[:1] == ["buildx"] and os.path.exists(at + "/plain"):
    sys.exit("docker: 'buildx' is not a docker command.")
if words[:3] == ["buildx", "imagetools", "inspect"]:
    sys.exit(words[3] not in open(at + "/there").read().split())
if words[:2] == ["buildx", "create"]:
    print("builder-of-the-test")
if words[:2] == ["buildx", "bake"]:
    sys.exit(int(open(at + "/fails").read() or 0) if os.path.exists(at + "/fails") else 0)
"""
REGISTRY = "registry.example.com"
LOGIN = {"REGISTRY": REGISTRY, "REGISTRY_USER": "pusher", "REGISTRY_PASSWORD": "p@ss 'word'", "HF_TOKEN": "hf_made_up"}
CHAT = ("cpu", f"{REGISTRY}/models/chat:111111111111"), ("gpu", f"{REGISTRY}/models/chat:222222222222")
TEXT = (("workers", f"{REGISTRY}/models/text:333333333333"),)


@dataclass
class Runner:
    """A repository just after `modelyard init`, with images to build, and a Docker that keeps a log."""

    folder: Path

    def __post_init__(self) -> None:
        scaffold.init(self.repository, assets.find())
        programs = self.folder / "programs"
        programs.mkdir()
        (programs / "docker.py").write_text(DOCKER)
        (programs / "docker").write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{programs}/docker.py" "$@"\n')
        (programs / "docker").chmod(0o755)
        self.has()

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    def has(self, *images: str) -> None:
        """What the registry has."""
        (self.folder / "there").write_text("\n".join(images))

    def image(self, service: str, images: tuple[tuple[str, str], ...]) -> None:
        folder = self.repository / "rendered" / "images" / service
        folder.mkdir(parents=True)
        (folder / "references").write_text("".join(f"{target} {image}\n" for target, image in images))
        (folder / "docker-bake.json").write_text("{}")

    def run(self, shell: str, lines: list[str], **environment: str) -> tuple[int, str]:
        """The lines of a job, as a runner runs them; exit status and all that they say."""
        env = {"PATH": f"{self.folder / 'programs'}{os.pathsep}{os.environ['PATH']}", "STAND_IN": str(self.folder)}
        command = [shell, "-e", "-c", "\n".join(lines)]
        done = subprocess.run(command, cwd=self.repository, env=env | environment, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def github(self, **environment: str) -> tuple[int, str]:
        document = yaml.safe_load((self.repository / ".github/workflows/modelyard-images.yml").read_text())
        (step,) = [step for step in document["jobs"]["build"]["steps"] if "run" in step]
        assert set(step["env"]) == set(LOGIN)
        return self.run("bash", [step["run"]], **environment)

    def gitlab(self, **environment: str) -> tuple[int, str]:
        job = yaml.safe_load((self.repository / ".gitlab/modelyard.yml").read_text())["modelyard:images"]
        given = {"BUILD_CONTEXT": job["variables"]["BUILD_CONTEXT"]}
        return self.run("sh", [*job["before_script"], *job["script"]], **given, **environment)

    def asked(self, *verb: str) -> list[dict[str, Any]]:
        """What Docker was asked with these words first."""
        log = self.folder / "asked"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [line for line in lines if tuple(line["words"][: len(verb)]) == verb]


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_what_is_missing_is_built_and_pushed(runner: Runner) -> None:
    runner.image("chat", CHAT)
    runner.image("text", TEXT)
    runner.has(CHAT[0][1])
    code, said = runner.github(**LOGIN)
    assert code == 0, said
    bakes = runner.asked("buildx", "bake")
    assert [Path(bake["cwd"]).relative_to(runner.repository).as_posix() for bake in bakes] == [
        "rendered/images/chat",
        "rendered/images/text",
    ]
    common = ["buildx", "bake", "--builder", "builder-of-the-test", "--file", "docker-bake.json", "--push"]
    assert [bake["words"] for bake in bakes] == [[*common, "gpu"], [*common, "workers"]]
    assert all(bake["env"] == {"HF_TOKEN": "hf_made_up"} for bake in bakes)
    assert [line["words"][2:] for line in runner.asked("buildx", "create")] == [["--driver", "docker-container"]]
    assert len(runner.asked("buildx", "rm")) == 1


def test_what_is_there_is_not_built_again(runner: Runner) -> None:
    runner.image("chat", CHAT)
    runner.has(*(image for _, image in CHAT))
    code, said = runner.github(**LOGIN)
    assert code == 0 and said.count("There already") == 2
    assert runner.asked("buildx", "bake") == runner.asked("buildx", "create") == []


def test_a_repository_without_such_images_asks_nothing(runner: Runner) -> None:
    code, said = runner.github(**LOGIN)
    assert (code, said) == (0, "No service has its models in its image.\n")
    assert runner.asked() == []


def test_a_docker_without_its_plugin(runner: Runner) -> None:
    runner.image("text", TEXT)
    (runner.folder / "plain").touch()
    code, said = runner.gitlab(**LOGIN)
    assert code == 1 and "does not answer here: docker: 'buildx' is not a docker command." in said
    assert runner.asked("login") == runner.asked("buildx", "create") == []


def test_the_password_is_read_and_never_said(runner: Runner) -> None:
    runner.image("text", TEXT)
    _, said = runner.github(**LOGIN)
    (login,) = runner.asked("login")
    assert login["words"] == ["login", "--username", "pusher", "--password-stdin", REGISTRY]
    assert login["read"] == LOGIN["REGISTRY_PASSWORD"] and LOGIN["REGISTRY_PASSWORD"] not in said
    assert [line["words"] for line in runner.asked("logout")] == [["logout", REGISTRY]]
    assert not [line for line in runner.asked() if LOGIN["REGISTRY_PASSWORD"] in line["words"]]


def test_the_registry_is_that_of_ci_and_not_that_of_a_request(runner: Runner) -> None:
    """Who opens a request could name any host in models.yaml: it gets no password."""
    runner.image("text", (("workers", "registry.elsewhere.example/models/text:333333333333"),))
    runner.github(**LOGIN)
    assert [line["words"][-1] for line in runner.asked("login")] == [REGISTRY]
    code, said = runner.github(**(LOGIN | {"REGISTRY": ""}))
    assert code != 0 and "REGISTRY" in said and len(runner.asked("login")) == 1


def test_without_a_user_a_step_before_has_logged_in(runner: Runner) -> None:
    runner.image("text", TEXT)
    code, said = runner.github()
    assert code == 0, said
    assert runner.asked("login") == runner.asked("logout") == [] and len(runner.asked("buildx", "bake")) == 1


def test_a_build_that_fails_fails_the_job_and_leaves_nothing_behind(runner: Runner) -> None:
    runner.image("chat", CHAT)
    runner.image("text", TEXT)
    (runner.folder / "fails").write_text("17")
    code, _ = runner.github(**LOGIN)
    assert code == 17 and len(runner.asked("buildx", "bake")) == 1
    assert len(runner.asked("buildx", "rm")) == len(runner.asked("logout")) == 1


def test_gitlab_reaches_its_daemon_by_a_context(runner: Runner) -> None:
    runner.image("text", TEXT)
    code, said = runner.gitlab(**LOGIN)
    assert code == 0, said
    (made,), (created,) = runner.asked("context", "create"), runner.asked("buildx", "create")
    assert made["words"][2] == created["words"][-1] == "modelyard"
    assert [bake["words"][-1] for bake in runner.asked("buildx", "bake")] == ["workers"]
