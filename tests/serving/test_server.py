"""The application without Ray: a process from the real zip, OpenAI's own client, and SIGTERM."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from generator import naming
from generator.apps import APPS
from generator.bundle import join, read_app
from tests.serving.models import CONTEXT, PROMPT, decoded, greedy, llama

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("uvicorn")
openai = pytest.importorskip("openai")

from tests.faults.serving_cluster import fetch, free_ports, wait_for  # noqa: E402

pytestmark = pytest.mark.serving

SERVING = Path(__file__).parents[2] / "serving"
HI = [{"role": "user", "content": "hi"}]
LONGEST = {"model": "tiny", "prompt": PROMPT, "max_tokens": CONTEXT // 2, "temperature": 0}


@dataclass(frozen=True)
class Program:
    """A running server of the model in `folder`."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(fetch(f"{self.address}/healthz")[1])
        return found

    def answers(self) -> bool:
        assert self.process.poll() is None, "it ended"
        try:
            return fetch(f"{self.address}/healthz", timeout=5)[0] == 200
        except OSError:
            return False


def archive(folder: Path) -> Path:
    """The zip that `modelyard render` makes, as pods see it."""
    packages = {package: read_app(SERVING / package) for package in APPS["text-generation"].packages}
    bundle = join(["text-generation"], packages)
    path = folder / bundle.filename
    path.write_bytes(bundle.zip)
    return path


def start(code: Path, model: Path, port: int) -> subprocess.Popen[bytes]:
    env = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "PYTHONPATH": f"{code}:{naming.IMAGE_PACKAGES}",
        "MODEL_ID": str(model),
        "MODEL_NAME": "tiny",
        "MAX_TOKENS": str(CONTEXT),
        "OMP_NUM_THREADS": "1",
    }
    words = [sys.executable, "-m", "text_generation.server", "--port", str(port), "--route", "/generate"]
    return subprocess.Popen(words, cwd=code.parent, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One for all tests of this file; the last one ends it."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("server")
    model = llama(folder / "model")
    (port,) = free_ports(1)
    process = start(archive(folder), model, port)
    found = Program(process, port, model)
    try:
        wait_for(found.answers, "the server")
        yield found
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("prefix", ["", "/generate"])
def test_a_chat_at_the_root_and_under_the_route(program: Program, prefix: str) -> None:
    expected = decoded(
        program.folder, greedy(program.folder, "<|im_start|>user\nhi<|im_end|><|im_start|>assistant\n", 24)
    )
    given = {"model": "tiny", "messages": HI, "max_tokens": 24, "temperature": 0}
    with openai.OpenAI(base_url=f"{program.address}{prefix}/v1", api_key="none", max_retries=0, timeout=60) as client:
        assert [model.id for model in client.models.list()] == ["tiny"]
        answer = client.chat.completions.create(**given)
        assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (expected, "length")
        with client.chat.completions.create(**given, stream=True) as stream:
            assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == expected


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/generate", 200), ("/generate/", 200), ("/other", 404)])
def test_our_own_route(program: Program, path: str, status: int) -> None:
    assert fetch(f"{program.address}{path}", {"prompt": PROMPT, "max_tokens": 1}, "POST")[0] == status


def test_metrics_are_those_of_the_table(program: Program) -> None:
    text = fetch(f"{program.address}/metrics")[1].decode()
    assert 'modelyard_model_from_cache{model="tiny"} 1.0' in text
    assert 'modelyard_load_seconds{model="tiny",phase="warm_up"}' in text
    assert 'modelyard_requests_total{model="tiny",reason="length"}' in text
    assert 'modelyard_time_to_first_token_seconds_bucket{le="+Inf",model="tiny"}' in text


def test_who_leaves_frees_the_slot(program: Program) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=60)
    connection.request("POST", "/v1/completions", json.dumps(LONGEST), {"Content-Type": "application/json"})
    wait_for(lambda: program.health()["running"] == 1, "the request")
    connection.close()
    wait_for(lambda: program.health()["pending"] == 0, "an empty slot")
    assert 'reason="cancelled"} 1.0' in fetch(f"{program.address}/metrics")[1].decode()


def test_a_folder_without_manifest_is_refused(program: Program, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "model" / name).write_bytes((program.folder / name).read_bytes())
    process = start(archive(tmp_path), tmp_path / "model", program.port)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 1 and b"Traceback" not in told
    assert b"the service does not start" in told and b"staging has not ended" in told


def test_sigterm_lets_the_answer_in_work_end(program: Program) -> None:
    """Stands last: the program is gone after it."""
    with (
        openai.OpenAI(base_url=f"{program.address}/v1", api_key="none", max_retries=0, timeout=60) as client,
        client.completions.create(**LONGEST, stream=True) as stream,
    ):
        events = iter(stream)
        first = next(events)
        program.process.send_signal(signal.SIGTERM)
        rest = list(events)
    whole = first.choices[0].text + "".join(event.choices[0].text for event in rest)
    assert rest[-1].choices[0].finish_reason == "length"
    assert whole == decoded(program.folder, greedy(program.folder, PROMPT, CONTEXT // 2))
    assert program.process.wait(60) == 0
    with pytest.raises(OSError):
        fetch(f"{program.address}/healthz")
