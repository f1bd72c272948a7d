"""The application as KubeRay deploys it: zip, serve config put to the dashboard, real requests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import yaml
from common.errors import PromptRefused, StartRefused
from text_generation.settings import Settings

from generator.apps import APPS, Deployment
from generator.bundle import join, read_app

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("ray.serve")

pytestmark = pytest.mark.serving

SERVING = Path(__file__).parents[2] / "serving"
CONTEXT = 2048
PROMPT = "the model is"
SENTENCES = [
    "the model is staged before it is served",
    "a replica loads the model from a folder",
    "one two three",
]
PATIENCE = 120.0  # seconds until a deployment has to be decided


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any


def ask(url: str, body: object = None, *, raw: bytes | None = None, method: str | None = None) -> Answer:
    """One request without redirects; `body` goes as JSON, `raw` as it is."""
    data = raw if raw is not None else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310  loopback
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=60) as response:
            return Answer(response.status, json.loads(response.read() or b"null"))
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
            kind = error.headers.get_content_type()
            return Answer(error.code, json.loads(text) if kind == "application/json" else text.decode())


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def make_model(folder: Path, ends: list[int]) -> Path:
    """A Llama of two layers with random weights and a byte-level BPE tokenizer, staged with its manifest."""
    bpe = transformers.PreTrainedTokenizerFast(tokenizer_object=trained_tokenizer(), eos_token="</s>")
    torch.manual_seed(7)
    config = transformers.LlamaConfig(
        vocab_size=len(bpe),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        initializer_range=0.5,  # far apart logits: greedy decoding has no ties
        eos_token_id=ends,
        bos_token_id=None,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    bpe.save_pretrained(folder)
    stage(folder)
    return folder


def trained_tokenizer() -> Any:
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, trainers

    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=["</s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def stage(folder: Path) -> None:
    """The manifest, as the stager writes it last."""
    files = [{"path": path.name, "size": path.stat().st_size, "sha256": "0" * 64} for path in sorted(folder.iterdir())]
    (folder / ".modelyard").mkdir()
    content = {"version": 1, "model": "tiny", "commit": "0" * 40, "files": files}
    (folder / ".modelyard" / "manifest.json").write_text(json.dumps(content))


def greedy(folder: Path, prompt: str, tokens: int) -> list[int]:
    """What the model says by itself: ids after the prompt."""
    torch.set_num_threads(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    encoded = tokenizer(prompt, return_tensors="pt")
    output = model.generate(**encoded, max_new_tokens=tokens, do_sample=False, pad_token_id=0)
    answer: list[int] = output[0, encoded["input_ids"].shape[1] :].tolist()
    return answer


def decode(folder: Path, ids: list[int]) -> str:
    text: str = transformers.AutoTokenizer.from_pretrained(folder).decode(ids, skip_special_tokens=True)
    return text


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without an end-of-text token: it stops at max_tokens only."""
    return make_model(tmp_path_factory.mktemp("endless"), [])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, endless: Path) -> Path:
    """The same weights; the text ends with the first new token after the fourth of the answer to PROMPT."""
    ids = greedy(endless, PROMPT, 40)
    end = next(token for place, token in enumerate(ids) if place > 3 and token not in ids[:place])
    return make_model(tmp_path_factory.mktemp("model"), [end])


@pytest.fixture(scope="module")
def unstaged(tmp_path_factory: pytest.TempPathFactory, endless: Path) -> Path:
    folder = tmp_path_factory.mktemp("unstaged") / "model"
    shutil.copytree(endless, folder, ignore=shutil.ignore_patterns(".modelyard"))
    return folder


@pytest.fixture(scope="module")
def dashboard() -> Iterator[str]:
    """Address of the dashboard of a Ray head that ends with the module."""
    # Not under pytest's folder: the path of a Unix socket has 107 characters at most.
    temporary = tempfile.mkdtemp(prefix="ray-")
    gcs, port, agent, client = free_ports(4)
    options = {
        "node-ip-address": "127.0.0.2",  # Ray would replace 127.0.0.1 by an address of the network
        "port": gcs,
        "dashboard-host": "127.0.0.1",
        "dashboard-port": port,
        "dashboard-agent-listen-port": agent,
        "ray-client-server-port": client,
        "min-worker-port": 0,
        "max-worker-port": 0,
        "num-cpus": 4,
        "object-store-memory": 100_000_000,
        "temp-dir": temporary,
    }
    command = [
        str(Path(sys.executable).parent / "ray"),
        "start",
        "--head",
        "--block",
        "--disable-usage-stats",
    ]
    head = subprocess.Popen(
        [*command, *(f"--{name}={value}" for name, value in options.items())],
        env={
            **os.environ,
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # no other node could take over
            "RAY_AUTH_MODE": "disabled",  # whatever token the user of this machine has in their home
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: head.poll() is not None or reachable(f"{address}/api/serve/applications/"))
        assert head.poll() is None, "ray start ended"
        yield address
    finally:
        head.terminate()  # with --block the head takes its processes along
        try:
            head.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
            head.wait()
        shutil.rmtree(temporary, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def reachable(url: str) -> bool:
    try:
        return ask(url).status == 200
    except OSError:
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "no decision in time"
        time.sleep(0.1)


def application(name: str, route: str, model: Path, code: str, max_tokens: int, **env: str) -> dict[str, Any]:
    """The entry that `modelyard render` writes, with more variables."""
    entry = APPS["text-generation"].serve(
        Deployment(
            name=name,
            route=route,
            model=name,
            model_path=str(model),
            working_dir=code,
            min_replicas=1,
            max_replicas=1,
            cpus=1,
            accelerators=0,
            context_length=None,
            max_tokens=max_tokens,
            concurrency=8,
        )
    )
    entry["runtime_env"]["env_vars"] |= env
    return entry


@dataclass(frozen=True)
class Deployed:
    """What the dashboard says of each application, and where the proxy listens."""

    proxy: str
    applications: Mapping[str, Any]

    def status(self, name: str) -> str:
        return str(self.applications[name]["status"])


@pytest.fixture(scope="module")
def deployed(dashboard: str, model: Path, unstaged: Path, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """Three applications from one zip, as serveConfigV2 states them, once each is decided."""
    packages = {name: read_app(SERVING / name) for name in APPS["text-generation"].packages}
    bundle = join(["text-generation"], packages)
    archive = tmp_path_factory.mktemp("code") / bundle.filename
    archive.write_bytes(bundle.zip)
    code = archive.as_uri()
    (port,) = free_ports(1)
    config = {
        "proxy_location": "EveryNode",
        "http_options": {"host": "127.0.0.1", "port": port},
        "applications": [
            application("tiny", "/generate", model, code, 64),
            application("endless", "/", unstaged, code, CONTEXT, MODELYARD_ALLOW_UNVERIFIED="1"),
            application("unstaged", "/unstaged", unstaged, code, 64),
        ],
    }
    url = f"{dashboard}/api/serve/applications/"
    # KubeRay reads serveConfigV2 as YAML and puts it as JSON.
    assert ask(url, yaml.safe_load(yaml.safe_dump(config)), method="PUT").status == 200

    def applications() -> Mapping[str, Any]:
        found: Mapping[str, Any] = ask(url).body["applications"]
        return found

    decided = {"RUNNING", "DEPLOY_FAILED"}
    wait_for(lambda: len(now := applications()) == 3 and all(a["status"] in decided for a in now.values()))
    return Deployed(f"http://127.0.0.1:{port}", applications())


def test_answer_is_what_the_model_says(deployed: Deployed, model: Path) -> None:
    assert deployed.status("tiny") == "RUNNING", deployed.applications["tiny"]["message"]
    ids = greedy(model, PROMPT, 64)
    prompt_tokens = len(transformers.AutoTokenizer.from_pretrained(model)(PROMPT)["input_ids"])
    answer = ask(f"{deployed.proxy}/generate", {"prompt": PROMPT, "max_tokens": 64})
    assert answer == Answer(
        200,
        {
            "text": decode(model, ids),
            "finish_reason": "stop",
            "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": len(ids)},
        },
    )


def test_length_ends_an_answer(deployed: Deployed, model: Path) -> None:
    answer = ask(f"{deployed.proxy}/generate", {"prompt": PROMPT, "max_tokens": 3})
    assert answer.body["text"] == decode(model, greedy(model, PROMPT, 3))
    assert answer.body["finish_reason"] == "length"
    assert answer.body["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize("path", ["/generate", "/generate/"])
def test_the_route_with_and_without_slash(deployed: Deployed, path: str) -> None:
    assert ask(deployed.proxy + path, {"prompt": PROMPT, "max_tokens": 1}).status == 200


def test_root_route_and_default_length(deployed: Deployed) -> None:
    assert deployed.status("endless") == "RUNNING", deployed.applications["endless"]["message"]
    answer = ask(f"{deployed.proxy}/", {"prompt": PROMPT})
    assert (answer.status, answer.body["usage"]["completion_tokens"]) == (200, 128)


def test_sampling(deployed: Deployed) -> None:
    answer = ask(f"{deployed.proxy}/", {"prompt": PROMPT, "max_tokens": 8, "temperature": 1.5})
    assert (answer.status, answer.body["usage"]["completion_tokens"]) == (200, 8)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"max_tokens": 4}, "Field required"),
        ({"prompt": ""}, "at least 1 character"),
        ({"prompt": 7}, "valid string"),
        ({"prompt": "x" * 1_000_001}, "at most 1000000 characters"),
        ({"prompt": "\ud800"}, "valid string"),
        ({"prompt": "a", "max_tokens": 0}, "greater than or equal to 1"),
        ({"prompt": "a", "max_tokens": 65}, "max_tokens is 65, at most 64 are allowed"),
        ({"prompt": "a", "max_tokens": 10**30}, "at most 64 are allowed"),
        ({"prompt": "a", "max_tokens": "4"}, "valid integer"),
        ({"prompt": "a", "max_tokens": True}, "valid integer"),
        ({"prompt": "a", "max_tokens": float("nan")}, "valid integer"),
        ({"prompt": "a", "temperature": -1}, "greater than or equal to 0"),
        ({"prompt": "a", "temperature": 1e308}, "less than or equal to 2"),
        ({"prompt": "a", "temperature": float("nan")}, "finite number"),
        ({"prompt": "a", "max_token": 4}, "Extra inputs"),
        ({"prompt": "a", "\ud800": 4}, "valid string"),
        ({"prompt": "é" * CONTEXT}, "exceed the context of 2048"),
        ([], "valid dictionary"),
        ("text", "valid dictionary"),
    ],
    ids=range(19),
)
def test_bad_requests_are_told_why(deployed: Deployed, body: object, reason: str) -> None:
    answer = ask(f"{deployed.proxy}/generate", body)
    assert answer.status == 422
    assert reason in answer.body["detail"][0]["msg"]


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"prompt": "a", "max_tokens": ' + b"9" * 5000 + b"}"]
)
def test_what_is_not_json(deployed: Deployed, raw: bytes) -> None:
    assert ask(f"{deployed.proxy}/generate", raw=raw).status in (400, 422)


@pytest.mark.parametrize("temperature", [1e-308, 0.009, 0.01])
def test_cold_sampling_is_no_fault(deployed: Deployed, temperature: float) -> None:
    body = {"prompt": PROMPT, "max_tokens": 2, "temperature": temperature}
    assert ask(f"{deployed.proxy}/generate", body).status == 200


def test_unknown_paths_and_methods(deployed: Deployed) -> None:
    assert ask(f"{deployed.proxy}/generate/nothing", {"prompt": "a"}).status == 404
    assert ask(f"{deployed.proxy}/generate").status == 405


def test_health_is_answered_while_generating(deployed: Deployed) -> None:
    """`pending` is seen at work only where generation leaves the event loop free."""
    health = f"{deployed.proxy}/healthz"
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(ask, f"{deployed.proxy}/", {"prompt": PROMPT, "max_tokens": 1500})
        wait_for(lambda: long.done() or ask(health).body["pending"] == 1)
        assert not long.done()
        assert long.result().body["usage"]["completion_tokens"] == 1500
    assert ask(health) == Answer(200, {"ready": True, "pending": 0})


def test_unstaged_model_is_refused(deployed: Deployed) -> None:
    assert deployed.status("unstaged") == "DEPLOY_FAILED"
    (deployment,) = deployed.applications["unstaged"]["deployments"].values()
    assert "manifest.json is missing, so staging has not ended" in deployment["message"]


def settings(folder: Path, **changed: Any) -> Settings:
    given = {"max_tokens": 64, "context_length": None, "dtype": "auto", "threads": 1, "verify": True}
    return Settings(model=folder, **(given | changed))


def test_cancelled_generation_ends(endless: Path) -> None:
    from text_generation.engine import Engine

    cancelled = Event()
    cancelled.set()
    assert Engine(settings(endless)).complete(PROMPT, 64, 0, cancelled).completion_tokens == 1


def test_context_length_of_the_settings(endless: Path) -> None:
    from text_generation.engine import Engine

    engine = Engine(settings(endless, context_length=16))
    prompt_tokens = engine.complete("a", 1, 0, Event()).prompt_tokens
    assert engine.complete("a", 16 - prompt_tokens, 0, Event()).completion_tokens == 16 - prompt_tokens
    with pytest.raises(PromptRefused, match=r"exceed the context of 16$"):
        engine.complete("a", 17 - prompt_tokens, 0, Event())
    with pytest.raises(StartRefused, match="CONTEXT_LENGTH is 4096, the model's own is 2048"):
        Engine(settings(endless, context_length=4096))


def test_dtype(endless: Path) -> None:
    from text_generation.engine import Engine

    assert Engine(settings(endless, dtype="bfloat16")).complete("a", 4, 0, Event()).completion_tokens == 4
