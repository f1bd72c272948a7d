"""A service for this machine: what is left out, its code, its port. On a real Ray: tests/e2e/test_develop.py."""

from __future__ import annotations

import io
import socket
import zipfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from generator.develop import local, version
from generator.develop.models import Given
from generator.errors import UserError
from generator.rehearse.fitting import Machine
from generator.rehearse.served import Voice
from tests.unit.developing import model_folder, repository

CPUS = Machine(cores=2, memory=2**34)
QUIET = Voice(lambda text: None, lambda text: None)


def test_what_is_served_here(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model")
    found = version.read(repository(tmp_path), "chat")
    wanted = local.Wanted(8123, Given({"": folder}), 60, CPUS)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    serve = local.fit(found, wanted, scratch, QUIET, {}).serve
    assert serve["http_options"] == {"host": "127.0.0.1", "port": 8123}
    first, second = serve["applications"]
    assert first["runtime_env"]["env_vars"]["MODEL_ID"] == str(scratch / "models" / "tiny")
    assert second["runtime_env"]["env_vars"]["MODEL_ID"] == str(scratch / "models" / "words")
    uris = {application["runtime_env"]["working_dir"] for application in (first, second)}
    (archive,) = uris  # one zip for the service, as on the cluster
    with zipfile.ZipFile(io.BytesIO(Path(urlsplit(archive).path).read_bytes())) as content:
        assert set(content.namelist()) == set(found.files)
    assert local.routes([first, second]) == {"tiny": "/chat", "words": ""}


def test_other_code_has_another_address(tmp_path: Path) -> None:
    found = version.read(repository(tmp_path), "chat")
    other = replace(found, files={**found.files, "common/more.py": b""})
    uris = [local.with_code(v, v.serve, tmp_path / "code")["applications"][0]["runtime_env"] for v in (found, other)]
    assert uris[0]["working_dir"] != uris[1]["working_dir"]


@pytest.mark.parametrize("machine", [CPUS, Machine(cores=2, gpus=1, memory=2**34)], ids=["no GPU", "no vLLM"])
def test_what_this_machine_cannot_run(tmp_path: Path, machine: Machine) -> None:
    with pytest.raises(UserError, match="service `assistant` needs ") as caught:
        local.here(version.read(repository(tmp_path), "assistant"), machine)
    assert "--cluster CONTEXT" in caught.value.diagnostics[0].hint


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} cannot be used: Address already in use") as caught:
            local.check_port(port)
    assert "--port PORT" in caught.value.diagnostics[0].hint
    local.check_port(port)


def test_another_ray(tmp_path: Path) -> None:
    found = version.read(repository(tmp_path), "chat")
    service = replace(found.service, ray_version="2.54.0")
    assert local.ray_differs(replace(found, service=service)).startswith("the cluster's image has Ray 2.54.0, ")
