"""The command line as users meet it: real processes, exit codes, text and JSON."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.standins.hub import HubStandIn
from tests.standins.oci import RegistryStandIn
from tests.standins.weights import tiny_model

ROOT = Path(__file__).parents[2]
FREE = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`modelyard` with `words` in `folder`."""
    command = [sys.executable, "-m", "generator.cli", *words]
    env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | FREE | environment
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder with the example's catalogue and lock."""
    for name in ("models.yaml", "models.lock.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def rendered(repository: Path) -> Path:
    assert run(repository, "render").returncode == 0
    return repository


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_render_then_check(repository: Path) -> None:
    first = run(repository, "render")
    assert first.returncode == 0 and "0 unchanged (2 models, 2 services)" in first.stdout
    again = run(repository, "render")
    assert "0 written, 0 removed" in again.stdout
    checked = run(repository, "check")
    assert checked.returncode == 0 and checked.stdout.endswith("as the catalogue says\n")


def test_check_shows_a_diff_and_every_kind_of_drift(rendered: Path) -> None:
    edit(rendered / "models.yaml", "max: 3", "max: 4")
    (rendered / "rendered/serve/mine.txt").write_text("mine")
    (rendered / "rendered/kro/model-service-role.yaml").unlink()
    edit(rendered / "rendered/bootstrap/root.yaml", "name: modelyard-root", "name: edited")
    before = contents(rendered)
    done = run(rendered, "check")
    assert done.returncode == 1 and contents(rendered) == before
    assert "-        maxReplicas: 3\n+        maxReplicas: 4" in done.stdout
    for path, message in (
        ("clusters/peeks-hub/services/chat.yaml", "is stale"),
        ("kro/model-service-role.yaml", "is missing"),
        ("bootstrap/root.yaml", "was edited by hand"),
        ("serve/mine.txt", "is no file of this catalogue"),
    ):
        assert f"rendered/{path}: {message}" in done.stderr


def test_render_leaves_hand_edits_alone(rendered: Path) -> None:
    edit(rendered / "rendered/bootstrap/root.yaml", "name: modelyard-root", "name: edited")
    edit(rendered / "models.yaml", "prefix: peeks", "prefix: other")
    edit(
        rendered / "models.yaml",
        "https://git.example.com/platform/gitops.git",
        "https://git.example.com/platform/other.git",
    )
    before = contents(rendered)
    done = run(rendered, "render")
    assert done.returncode == 1 and contents(rendered) == before
    assert "rendered/bootstrap/root.yaml" in done.stderr and "hint:" in done.stderr


def test_faults_of_catalogue_and_lock_come_together(repository: Path) -> None:
    edit(repository / "models.yaml", "prefix: peeks", "prefix: Peeks")
    edit(repository / "models.lock.yaml", "commit: fe8a", "commit: xyz8a")
    done = run(repository, "render")
    assert done.returncode == 1 and not (repository / "rendered").exists()
    assert "models.yaml:7:11: platform.prefix" in done.stderr and "models.lock.yaml:" in done.stderr


def test_json_tells_the_same(repository: Path) -> None:
    edit(repository / "models.yaml", "clusters: [peeks-hub]", "clusters: [peeks-hup]")
    text = run(repository, "check")
    data = json.loads(run(repository, "check", "--output", "json").stdout)
    faults = [d for d in data["diagnostics"] if d["severity"] == "error"]
    assert len(faults) == 2
    for fault in faults:
        line = f"{fault['file']}:{fault['line']}:{fault['column']}: {fault['path']}: {fault['message']}"
        assert line in text.stderr and fault["hint"] in text.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["render", "-f", "none.yaml"], 1, "there is no such catalogue"),
        (["rendr"], 2, "No such command"),
        (["render", "--colour"], 2, "No such option"),
        (["lint", ".", "--no-helm"], 1, "no rendered tree"),
        (["lint", "missing"], 2, "does not exist"),
        (["add", "service", "x", "--model", "tinylama"], 1, "did you mean `tinyllama`?"),
        (["add", "model", "not a repo"], 1, "hint:"),
        (["schema"], 0, ""),
        (["--version"], 0, ""),
        (["render", "--help"], 0, ""),
    ],
)
def test_exit_codes(repository: Path, words: list[str], code: int, said: str) -> None:
    done = run(repository, *words)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_not_utf8_and_not_a_file(repository: Path) -> None:
    (repository / "models.yaml").write_bytes(b"a: \xff\n")
    done = run(repository, "check")
    assert done.returncode == 1 and "models.yaml:1:4: the file is not UTF-8" in done.stderr
    (repository / "rendered").write_text("a file")
    shutil.copy(ROOT / "models.yaml", repository / "models.yaml")
    done = run(repository, "render")
    assert done.returncode == 1 and "Traceback" not in done.stderr


def test_a_bug_is_3_with_versions(repository: Path) -> None:
    broken = repository / "broken"
    (broken / "generator").mkdir(parents=True)
    script = "import generator.compile as c, generator.cli as i\nc.plan_catalogue = None\ni.main(['check'])"
    env = os.environ | FREE
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=repository, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "Traceback" in done.stderr and "This is a bug in modelyard" in done.stderr and "pydantic" in done.stderr


def test_a_closed_pipe_is_quiet(repository: Path) -> None:
    command = f"{sys.executable} -m generator.cli schema | head -n 1"
    done = subprocess.run(  # noqa: S602  a pipe is what is tested
        command, shell=True, cwd=repository, env=os.environ | FREE, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr and done.stdout.strip() == "{"


def test_from_another_folder_and_without_colours(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("ünïcode folder")
    done = run(elsewhere, "check", "-f", str(rendered / "models.yaml"))
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr


def test_init_starts_a_repository(tmp_path: Path) -> None:
    assert run(tmp_path, "init").returncode == 0
    before = contents(tmp_path)
    again = run(tmp_path, "init")
    assert again.returncode == 0 and "kept" in again.stdout and contents(tmp_path) == before
    assert run(tmp_path, "render").returncode == 0
    assert run(tmp_path, "check").returncode == 0


# lock -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    with HubStandIn() as standin:
        for repo in ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "mistralai/Mistral-7B-Instruct-v0.2", "example/third"):
            standin.add(repo, tiny_model())
        yield standin


@pytest.fixture
def registry() -> Iterator[RegistryStandIn]:
    with RegistryStandIn(token="pull") as standin:
        yield standin


@pytest.fixture
def locking(repository: Path, registry: RegistryStandIn) -> Path:
    """The example without a lock, its images in the stand-in's registry."""
    (repository / "models.lock.yaml").unlink()
    edit(repository / "models.yaml", "contextLength: 8192", "contextLength: 2048")
    reference, _ = registry.push("platform/image:1.0")
    cpu = "".join(
        f"\n    {role}:\n      image: {reference}\n      rayVersion: 2.60.0" for role in ("cpu", "gpu", "vllm")
    )
    edit(
        repository / "models.yaml",
        "prestage: registry.example.com/platform/modelyard-prestage:0.1.0",
        f"prestage: {reference}{cpu}",
    )
    return repository


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_lock_pins_models_and_images(locking: Path, hub: HubStandIn, registry: RegistryStandIn) -> None:
    done = run(locking, "lock", HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert "2 models, 1 images; 2 models asked, 2 answered" in done.stdout
    assert run(locking, "render").returncode == 0
    values = (locking / "rendered/clusters/peeks-hub/prestage.yaml").read_text(encoding="utf-8")
    assert "@sha256:" in values and "model.safetensors" in values
    asked = len(hub.paths())
    again = run(locking, "lock", HF_ENDPOINT=hub.url)
    assert "0 models asked" in again.stdout and len(hub.paths()) == asked


def test_lock_asks_only_for_what_changed(locking: Path, hub: HubStandIn) -> None:
    assert run(locking, "lock", HF_ENDPOINT=hub.url).returncode == 0
    edit(locking / "models.yaml", "mistralai/Mistral-7B-Instruct-v0.2", "example/third")
    assert run(locking, "check").returncode == 1
    done = run(locking, "lock", "--output", "json", HF_ENDPOINT=hub.url)
    assert [e["model"] for e in events(done) if e["event"] == "asked"] == ["mistral-7b"]
    done = run(locking, "lock", "--output", "json", "tinyllama", HF_ENDPOINT=hub.url)
    assert [e["model"] for e in events(done) if e["event"] == "asked"] == ["tinyllama"]
    done = run(locking, "lock", "tinylama", HF_ENDPOINT=hub.url)
    assert done.returncode == 1 and "tinyllama" in done.stderr


def test_one_failing_model_does_not_hide_the_other(locking: Path, hub: HubStandIn) -> None:
    edit(locking / "models.yaml", "mistralai/Mistral-7B-Instruct-v0.2", "nobody/nothing")
    done = run(locking, "lock", HF_ENDPOINT=hub.url)
    assert done.returncode == 1 and "nobody/nothing" in done.stderr
    assert "tinyllama:" in (locking / "models.lock.yaml").read_text(encoding="utf-8")


def test_without_a_hub_what_is_locked_stays(locking: Path, hub: HubStandIn) -> None:
    assert run(locking, "lock", HF_ENDPOINT=hub.url).returncode == 0
    before = (locking / "models.lock.yaml").read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
    kept = run(locking, "lock", "--upgrade", "--no-images", HF_ENDPOINT=nowhere)
    assert kept.returncode == 0 and "warning" in kept.stderr, kept.stderr
    assert (locking / "models.lock.yaml").read_bytes() == before
    edit(locking / "models.yaml", "mistralai/Mistral-7B-Instruct-v0.2", "example/third")
    missing = run(locking, "lock", HF_ENDPOINT=nowhere)
    assert missing.returncode == 1 and "Traceback" not in missing.stderr


def test_an_unknown_image_keeps_its_tag(locking: Path, hub: HubStandIn, helm: Path) -> None:
    edit(locking / "models.yaml", "platform/image:1.0\n    cpu", "platform/other:2.0\n    cpu")
    done = run(locking, "lock", HF_ENDPOINT=hub.url)
    assert done.returncode == 0 and "warning" in done.stderr and "platform/other:2.0" in done.stderr
    assert run(locking, "render").returncode == 0
    linted = run(locking, "lint", "rendered", "--helm", str(helm))
    assert linted.returncode == 0 and "platform/other:2.0 is not pinned to a digest" in linted.stderr


def test_a_third_model_touches_only_what_it_needs(locking: Path, hub: HubStandIn) -> None:
    """One add, one lock, one render."""
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"]

    def call(*words: str) -> str:
        return subprocess.run([*git, *words], cwd=locking, capture_output=True, text=True, check=True).stdout

    assert run(locking, "lock", HF_ENDPOINT=hub.url).returncode == 0
    assert run(locking, "render").returncode == 0
    call("init", "-q")
    call("add", "-A")
    call("commit", "-qm", "two models")
    assert run(locking, "add", "model", "example/third").returncode == 0
    assert run(locking, "lock", HF_ENDPOINT=hub.url).returncode == 0
    assert run(locking, "render").returncode == 0
    call("add", "-A")
    changed = {
        path: (added, removed)
        for added, removed, path in (line.split("\t") for line in call("diff", "--cached", "--numstat").splitlines())
    }
    assert set(changed) == {
        "models.yaml",
        "models.lock.yaml",
        "rendered/.modelyard/manifest.json",
        "rendered/README.md",
        "rendered/backstage/catalog-info.yaml",
        "rendered/backstage/skeleton/models.yaml.njk",
        "rendered/backstage/template.yaml",
        "rendered/clusters/peeks-hub/prestage.yaml",
    }
    for path in ("models.yaml", "models.lock.yaml", "rendered/clusters/peeks-hub/prestage.yaml", "rendered/README.md"):
        assert changed[path][1] == "0", path
