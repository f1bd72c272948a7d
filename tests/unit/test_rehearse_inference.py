"""What is read out of the objects of a service of KServe, and how its server runs here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from generator.errors import UserError
from generator.rehearse import onkserve, staging
from generator.rehearse.deployed import Deployed, Place
from generator.rehearse.fitting import Machine
from generator.rehearse.inference import Inference, fit, inference, unfit
from generator.rehearse.pods import Claim, Container, Files, Mount, Scratch
from generator.rehearse.served import Voice

KEY = "models/tiny/cccccccccccc"
PLAN = {"version": 1, "model": "tiny", "source": {"huggingface": "org/tiny", "commit": "c" * 40}}
PLACE = Place("one", "chat", "")


def objects() -> list[dict[str, Any]]:
    claimed = {"name": "model", "persistentVolumeClaim": {"claimName": "model-tiny"}}
    loader = {
        "command": ["python", "-m", "generator.prestage"],
        "args": ["/etc/plan/plan.json", "--target", f"/mnt/target/{KEY}"],
        "volumeMounts": [{"name": "plan", "mountPath": "/etc/plan"}, {"name": "model", "mountPath": "/mnt/target"}],
    }
    job = {"containers": [loader], "volumes": [claimed, {"name": "plan", "configMap": {"name": "stage"}}]}
    server = {
        "command": ["python", "-m", "text_generation.server", "--port", "8080", "--route", "/chat/"],
        "env": [{"name": "MODEL_ID", "value": "/mnt/models"}, {"name": "CONTEXT_LENGTH", "value": "4096"}],
        "startupProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
        "volumeMounts": [{"name": "code", "mountPath": "/opt/code"}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    waiting = {
        "command": ["python", "-m", "generator.prestage.waiting", "--path", "/mnt/models", "--wait", "5"],
        "volumeMounts": [{"name": "model", "mountPath": "/mnt/models", "subPath": KEY}],
    }
    predictor = {
        "model": {"runtime": "chat-runtime", "storageUri": f"pvc://model-tiny/{KEY}", "env": []},
        "initContainers": [waiting],
        "volumes": [claimed],
    }
    volumes = [{"name": "code", "configMap": {"name": "code"}}, {"name": "tmp", "emptyDir": {}}]
    return [
        {"kind": "ConfigMap", "metadata": {"name": "stage"}, "data": {"plan.json": json.dumps(PLAN)}},
        {"kind": "ConfigMap", "metadata": {"name": "code"}, "data": {"a.zip": "PK"}},
        {"kind": "PersistentVolumeClaim", "metadata": {"name": "model-tiny"}, "spec": {"storageClassName": "a"}},
        {"kind": "Job", "metadata": {"name": "stage-tiny"}, "spec": {"template": {"spec": job}}},
        {
            "kind": "ServingRuntime",
            "metadata": {"name": "chat-runtime"},
            "spec": {"containers": [server], "volumes": volumes},
        },
        {"kind": "InferenceService", "metadata": {"name": "chat"}, "spec": {"predictor": predictor}},
    ]


def read(found: list[dict[str, Any]]) -> Inference:
    return inference(Deployed(PLACE, tuple(found), {}))


def predictor_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    return dict(found[5]["spec"]["predictor"])


def test_everything_that_is_run() -> None:
    found = read(objects())
    (staged,), (wait,) = found.jobs, found.waits
    assert (staged.model, staged.bucket, staged.path) == ("tiny", "", "/mnt/models")
    assert wait.mounts == (Mount("/mnt/models", Claim("model-tiny"), KEY),)
    assert found.pods.mounts == (
        Mount("/opt/code", Files({"a.zip": b"PK"})),
        Mount("/tmp", Scratch()),
        Mount("/mnt/models", Claim("model-tiny"), KEY),
    )
    assert (found.module, found.route, found.health) == ("text_generation.server", "/chat", "/healthz")


def test_the_predictor_has_the_last_word() -> None:
    found = objects()
    model = predictor_of(found)["model"]
    model |= {"args": ["--more"], "env": [{"name": "MODEL_ID", "value": "/mnt/models/inner"}]}
    server = read(found).pods
    assert server.words[-1] == "--more"
    assert server.environment == {"MODEL_ID": "/mnt/models/inner", "CONTEXT_LENGTH": "4096"}


def no_claim(found: list[dict[str, Any]]) -> None:
    predictor_of(found)["model"]["storageUri"] = "s3://bucket/tiny"


def other_folder(found: list[dict[str, Any]]) -> None:
    predictor_of(found)["model"]["storageUri"] = "pvc://model-tiny/models/other"


def no_runtime(found: list[dict[str, Any]]) -> None:
    del found[4]


@pytest.mark.parametrize(
    ("break_", "message"),
    [
        (no_claim, "storageUri s3://bucket/tiny is no claim"),
        (other_folder, "no prestage Job fills pvc://model-tiny/models/other"),
        (no_runtime, "makes 0 ServingRuntime objects with the name chat-runtime"),
    ],
)
def test_objects_that_do_not_go_together(break_: Callable[[list[dict[str, Any]]], None], message: str) -> None:
    found = objects()
    break_(found)
    with pytest.raises(UserError, match=message):
        read(found)


@pytest.mark.parametrize(
    ("command", "limits", "machine", "fault"),
    [
        (None, {"cpu": "2"}, Machine(1), ""),
        (None, {"nvidia.com/gpu": "1"}, Machine(1), "needs a GPU, and this machine has none"),
        (None, {"nvidia.com/gpu": "1"}, Machine(1, gpus=1), ""),
        (["vllm", "serve", "/mnt/models"], {}, Machine(1), "needs vLLM, which is not installed here"),
        (["python", "-m", "vllm.entrypoints.openai.api_server"], {}, Machine(1), "needs vLLM"),
        (["vllm", "serve", "/mnt/models"], {}, Machine(1, vllm=True), ""),
    ],
)
def test_what_a_machine_cannot_run(
    command: list[str] | None, limits: dict[str, str], machine: Machine, fault: str
) -> None:
    found = objects()
    found[4]["spec"]["containers"][0] |= {"command": command} if command else {}
    predictor_of(found)["model"]["resources"] = {"limits": limits}
    assert unfit(read(found), machine).startswith(fault) and bool(unfit(read(found), machine)) == bool(fault)


def test_what_differs_here() -> None:
    server, changes = fit(read(objects()), {"/mnt/models": "/here/models", "/tmp": "/here/tmp"}, 4711, 2048)
    assert server.words == (
        *("python", "-m", "text_generation.server", "--route", "/chat/"),
        *("--port", "4711", "--host", "127.0.0.1"),
    )
    assert server.environment == {"MODEL_ID": "/here/models", "CONTEXT_LENGTH": "2048"}
    assert [(change.path, change.was, change.now) for change in changes] == [
        ("--port", "8080", "4711"),
        ("--host", None, "127.0.0.1"),
        ("CONTEXT_LENGTH", "4096", "2048"),
        ("MODEL_ID", "/mnt/models", "/here/models"),
    ]


SERVER = """\
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()
    def log_message(self, *words): pass
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert os.environ["MODEL_ID"].endswith("/claims/model-tiny/models/tiny/cccccccccccc")
http.server.HTTPServer((words["--host"], int(words["--port"])), Handler).serve_forever()
"""


def stand_in(program: str, *waits: str) -> Inference:
    """A service with another program for its server, and others for its init containers."""
    claim = (Mount("/mnt/models", Claim("model-tiny"), KEY),)
    server = Container((sys.executable, "-c", program), {"MODEL_ID": "/mnt/models"}, {}, claim)
    before = tuple(Container((sys.executable, "-c", wait), {}, {}, claim) for wait in waits)
    return Inference(PLACE, (), before, server, (), "/healthz")


def served(what: Inference, scratch: Path) -> Any:
    shown = staging.folders(what.pods.mounts, scratch / "pod", scratch / staging.CLAIMS)
    return onkserve.served(what, shown, scratch, None, 60, Voice(lambda text: None, lambda text: None))


def test_a_server_that_is_ready_and_then_gone(tmp_path: Path) -> None:
    with served(stand_in(SERVER, "pass"), tmp_path) as found:
        (answering,) = found.applications
        assert answering.name == "chat" and answering.url.startswith("http://127.0.0.1:")
        assert found.alive() and found.ray is None
    assert not found.alive()


@pytest.mark.parametrize(
    ("program", "waits", "message"),
    [
        ("raise SystemExit('no such model')", [], "the server does not start: no such model"),
        (
            SERVER,
            ["""print('{"event": "failed", "reason": "another commit"}'); raise SystemExit(65)"""],
            "another commit",
        ),
    ],
    ids=["server", "init container"],
)
def test_the_words_of_what_fails(program: str, waits: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message), served(stand_in(program, *waits), tmp_path):
        pytest.fail("it started")
