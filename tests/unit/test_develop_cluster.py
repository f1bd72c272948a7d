"""What is sent to a cluster, and what is left alone there. With a real Ray: tests/e2e/test_develop.py."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from generator.develop import cluster, driver, version
from generator.develop.cluster import Desk
from generator.develop.live import UntouchedError
from generator.develop.rest import Dashboard
from generator.develop.version import Version
from generator.errors import UserError
from generator.rehearse.served import Voice
from tests.unit import developing
from tests.unit.developing import Server, repository

QUIET = Voice(lambda text: None, lambda text: None)


@pytest.fixture
def chat(tmp_path: Path) -> Version:
    return version.read(repository(tmp_path), "chat")


@pytest.fixture
def server() -> Iterator[Server]:
    with developing.server() as found:
        yield found


def test_entries_of_the_developer(chat: Version) -> None:
    first, second = cluster.entries(chat, "ada")
    assert (first["name"], first["route_prefix"]) == ("ada-tiny", "/ada/chat")
    assert (second["name"], second["route_prefix"]) == ("ada-words", "/ada")
    assert "working_dir" not in first["runtime_env"]
    model = chat.models["tiny"].path  # where the cluster has it
    assert first["runtime_env"]["env_vars"]["MODEL_ID"] == model
    (deployment,) = first["deployments"]
    assert deployment["autoscaling_config"] | {"target_ongoing_requests": 0} == {
        "min_replicas": 1,
        "max_replicas": 1,
        "target_ongoing_requests": 0,
    }


def test_a_service_without_ray(chat: Version) -> None:
    with pytest.raises(UserError, match="service `chat` runs on kserve"):
        cluster.check_runtime(replace(chat, service=replace(chat.service, runtime="kserve")))


def test_vllm_needs_no_code(tmp_path: Path) -> None:
    assistant = version.read(repository(tmp_path), "assistant")
    (entry,) = cluster.entries(assistant, "ada")
    assert entry["import_path"].startswith("ray.serve.llm:") and entry["args"]["llm_configs"]
    with zipfile.ZipFile(io.BytesIO(cluster.package(assistant, [entry]))) as content:
        assert set(content.namelist()) == {cluster.DRIVER, driver.CONFIG}


def test_the_package(chat: Version) -> None:
    entries = cluster.entries(chat, "ada")
    made = cluster.package(chat, entries)
    assert made == cluster.package(chat, entries)
    with zipfile.ZipFile(io.BytesIO(made)) as content:
        assert set(content.namelist()) == {*chat.files, cluster.DRIVER, driver.CONFIG}
        assert json.loads(content.read(driver.CONFIG)) == entries
        assert content.read(cluster.DRIVER) == Path(driver.__file__).read_bytes()


def test_a_package_is_sent_once(server: Server) -> None:
    """Under the name by which Ray knows it is a package."""
    name = f"_ray_pkg_{sha256(b'x').hexdigest()[:40]}.zip"
    dashboard = Dashboard(lambda: server.url)
    server.replies[f"PUT /api/packages/gcs/{name}"] = (200, b"")
    for _ in range(2):
        assert cluster.upload(dashboard, b"x") == f"gcs://{name}"
        server.replies[f"GET /api/packages/gcs/{name}"] = (200, b"")
    assert [key.partition(" ")[0] for key, _ in server.asked] == ["GET", "PUT", "GET"]


def test_what_a_configuration_has_put_there_is_left_alone(chat: Version, server: Server) -> None:
    there: dict[str, Any] = {"applications": {"ada-tiny": {"status": "RUNNING", "source": "declarative"}}}
    server.replies["GET /api/serve/applications/"] = (200, json.dumps(there).encode())
    desk = Desk(Dashboard(lambda: server.url), "ada", 60, QUIET)
    for act in (desk.deploy, desk.remove):
        with pytest.raises(UserError, match="`ada-tiny` is on the cluster already") as caught:
            act(chat)
        assert "--as NAME" in caught.value.diagnostics[0].hint
    desk.leave()
    assert {method for method, _ in server.asked} == {"GET /api/serve/applications/"}


def test_where_requests_go(server: Server) -> None:
    desk = Desk(Dashboard(lambda: server.url), "ada", 60, QUIET)
    server.replies["GET /api/serve/applications/"] = (200, b'{"applications": {}, "http_options": {"port": 8123}}')
    assert desk.url("http://head.example.com:8265") == "http://head.example.com:8123"
    server.replies["GET /api/serve/applications/"] = (200, b'{"applications": {}}')
    assert desk.url("http://head.example.com:8265") == "http://head.example.com:8000"


def test_the_reason_of_a_job_that_failed(server: Server) -> None:
    log = "Traceback:\n  File \"app.py\"\nModuleNotFoundError: No module named 'x'\n"
    server.replies["GET /api/jobs/1/logs"] = (200, json.dumps({"logs": log}).encode())
    heard: list[str] = []
    found = cluster.failed(Dashboard(lambda: server.url), "1", "exit code 1", heard.append)
    assert str(found).endswith("does not serve this version: ModuleNotFoundError: No module named 'x'")
    assert heard == [log]


@pytest.mark.parametrize("taken", [False, True], ids=["before Serve has it", "afterwards"])
def test_a_version_that_does_not_get_there(
    chat: Version, server: Server, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is ended in any case; what ran before needs no help where Serve has seen nothing."""
    log = f"{driver.TAKEN}\n" if taken else ""
    failed = {"status": "FAILED", "message": "exit code 1"}
    for key, body in {
        "GET /api/serve/applications/": {"applications": {}},
        "POST /api/jobs/": {},
        "GET /api/jobs/modelyard-ada-1": failed,
        "GET /api/jobs/modelyard-ada-1/logs": {"logs": f"{log}ValueError: no"},
        "POST /api/jobs/modelyard-ada-1/stop": {"stopped": True},
    }.items():
        server.replies[key] = (200, json.dumps(body).encode())
    name = cluster.upload_name(cluster.package(chat, cluster.entries(chat, "ada")))
    server.replies[f"GET /api/packages/gcs/{name}"] = (200, b"")
    monkeypatch.setattr("secrets.token_hex", lambda length: "1")
    desk = Desk(Dashboard(lambda: server.url), "ada", 60, QUIET)
    with pytest.raises(UserError, match="does not serve this version: ValueError: no") as caught:
        desk.deploy(chat)
    assert isinstance(caught.value, UntouchedError) is not taken
    assert server.asked[-1][0] == "POST /api/jobs/modelyard-ada-1/stop"
    (job,) = [json.loads(body) for key, body in server.asked if key == "POST /api/jobs/"]
    assert job["runtime_env"] == {"working_dir": f"gcs://{name}"} and job["metadata"] == {
        "modelyard": "ada",
        "service": "chat",
    }
