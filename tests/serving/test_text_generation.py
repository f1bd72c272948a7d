"""The application as KubeRay deploys it: zip, serve config put to the dashboard, OpenAI's own client."""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from generator.apps import APPS, Deployment, Served
from tests.serving.models import CONTEXT, PROMPT, decoded, greedy, llama

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("ray.serve")
openai = pytest.importorskip("openai")

from tests.faults.serving_cluster import fetch, wait_for  # noqa: E402
from tests.serving import cluster  # noqa: E402

pytestmark = [pytest.mark.serving, pytest.mark.alone]

HI = [{"role": "user", "content": "hi"}]


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Scene:
    """A proxy with the routes /generate and / , the models behind them, and what the dashboard says."""

    proxy: str
    dashboard: str
    ending: Path
    endless: Path
    applications: Mapping[str, Any]

    def ask(self, path: str, body: object = None, *, raw: bytes | None = None, method: str | None = None) -> Answer:
        """One request without redirects; `body` goes as JSON, `raw` as it is."""
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection(urlsplit(self.proxy).netloc, timeout=60)
        try:
            verb = method or ("GET" if data is None else "POST")
            connection.request(verb, path, data, {"Content-Type": "application/json"})
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, json.loads(response.read() or b"null"), headers)
        finally:
            connection.close()

    def pending(self) -> int:
        count: int = self.ask("/healthz").body["pending"]
        return count

    def wait_for_pending(self, count: int) -> None:
        wait_for(lambda: self.pending() == count, f"{count} requests")


def application(name: str, route: str, model: Path, code: str, max_tokens: int, **env: str) -> dict[str, Any]:
    """The entry that `modelyard render` writes, with more variables."""
    entry = APPS["text-generation"].serve(
        Deployment(
            name=name,
            route=route,
            models=(Served(name, str(model), None),),
            working_dir=code,
            min_replicas=1,
            max_replicas=1,
            cpus=1,
            accelerators=0,
            max_tokens=max_tokens,
            concurrency=8,
        )
    )
    entry["runtime_env"]["env_vars"] |= env
    return entry


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Three applications from one zip, as serveConfigV2 states them, once each is decided."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    endless = llama(folder / "endless")
    ids = greedy(endless, PROMPT, 40)
    # The text ends with the first new token after the fourth.
    end = next(token for place, token in enumerate(ids) if place > 3 and token not in ids[:place])
    ending = llama(folder / "ending", ends=[end])
    unstaged = shutil.copytree(endless, folder / "unstaged", ignore=shutil.ignore_patterns(".modelyard"))
    code = cluster.code(tmp_path_factory.mktemp("code"), "text-generation")
    applications = [
        application("tiny", "/generate", ending, code, 64, MODELYARD_VERIFY="digests"),
        application("endless", "/", unstaged, code, CONTEXT, MODELYARD_VERIFY="off"),
        application("unstaged", "/unstaged", unstaged, code, 64),
    ]
    with cluster.cluster(cores=4) as head:
        put(head, applications)
        yield Scene(head.proxy, head.dashboard, ending, endless, head.applications())


def put(head: cluster.Cluster, applications: list[dict[str, Any]]) -> None:
    """KubeRay reads serveConfigV2 as YAML and puts it as JSON."""
    config = {
        "proxy_location": "EveryNode",
        "http_options": {"host": "127.0.0.1", "port": head.port},
        "applications": applications,
    }
    url = f"{head.dashboard}/api/serve/applications/"
    assert fetch(url, yaml.safe_load(yaml.safe_dump(config)), "PUT") == (200, b"")

    def decided() -> bool:
        now = head.applications().values()
        return len(now) == 3 and all(each["status"] in cluster.DECIDED for each in now)

    wait_for(decided, "applications")


@pytest.fixture(scope="module")
def client(scene: Scene) -> Iterator[Any]:
    """Of the model that does not end."""
    with openai.OpenAI(base_url=f"{scene.proxy}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client


def test_both_run(scene: Scene) -> None:
    states = {name: (each["status"], each["message"][-2000:]) for name, each in scene.applications.items()}
    assert {name: status for name, (status, _) in states.items()} == {
        "tiny": "RUNNING",
        "endless": "RUNNING",
        "unstaged": "DEPLOY_FAILED",
    }, states


def test_unstaged_model_is_refused(scene: Scene) -> None:
    (deployment,) = scene.applications["unstaged"]["deployments"].values()
    assert "manifest.json is missing, so staging has not ended" in deployment["message"]


def test_answer_is_what_the_model_says(scene: Scene) -> None:
    ids = greedy(scene.ending, PROMPT, 64)
    answer = scene.ask("/generate", {"prompt": PROMPT, "max_tokens": 64})
    assert (answer.status, answer.body) == (
        200,
        {
            "text": decoded(scene.ending, ids[:-1]),
            "finish_reason": "stop",
            "usage": {"prompt_tokens": 3, "completion_tokens": len(ids)},
        },
    )
    assert answer.headers["x-model"] == "tiny"


@pytest.mark.parametrize("path", ["/generate", "/generate/"])
def test_the_route_with_and_without_slash(scene: Scene, path: str) -> None:
    assert scene.ask(path, {"prompt": PROMPT, "max_tokens": 1}).status == 200


def test_root_route_and_default_length(scene: Scene) -> None:
    assert scene.ask("/", {"prompt": PROMPT}).body["usage"]["completion_tokens"] == 128
    assert scene.ask("/text/simple-gen", {"input": PROMPT}).body["usage"]["completion_tokens"] == 128


def test_models(scene: Scene, client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["endless"]
    assert client.models.retrieve("endless").object == "model"
    assert scene.ask("/generate/v1/models").body["data"][0]["id"] == "tiny"


def test_a_chat(scene: Scene, client: Any) -> None:
    rendered = "<|im_start|>user\nhi<|im_end|><|im_start|>assistant\n"
    expected = decoded(scene.endless, greedy(scene.endless, rendered, 24))
    given = {"model": "endless", "messages": HI, "max_tokens": 24, "temperature": 0}
    answer = client.chat.completions.create(**given)
    assert answer.choices[0].message.content == expected
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 24
    with client.chat.completions.create(**given, stream=True, stream_options={"include_usage": True}) as stream:
        *chunks, last = stream
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == expected
    assert chunks[-1].choices[0].finish_reason == "length"
    assert (last.choices, last.usage) == ([], answer.usage)
    again = [*HI, answer.choices[0].message, {"role": "user", "content": "and"}]
    assert client.chat.completions.create(model="endless", messages=again, max_tokens=1).usage.prompt_tokens > 24


def test_completions(scene: Scene, client: Any) -> None:
    expected = decoded(scene.endless, greedy(scene.endless, PROMPT, 16))
    given = {"model": "endless", "temperature": 0}
    answer = client.completions.create(**given, prompt=[PROMPT, "one two"])
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[0].text == expected
    stop = expected[4:6]
    stopped = client.completions.create(**given, prompt=PROMPT, stop=[stop])
    assert (stopped.choices[0].text, stopped.choices[0].finish_reason) == (expected[: expected.index(stop)], "stop")
    with client.completions.create(**given, prompt=PROMPT, stream=True) as stream:
        assert "".join(chunk.choices[0].text for chunk in stream) == expected


def test_a_stream_comes_while_it_is_made(client: Any) -> None:
    with client.completions.create(
        model="endless", prompt=PROMPT, max_tokens=1500, temperature=0, stream=True
    ) as stream:
        pieces = sum(bool(chunk.choices[0].text) for chunk in stream)
    assert pieces > 5


def test_errors_of_the_client(client: Any) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.completions.create(model="nobody", prompt="a")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="tools is refused"):
        client.chat.completions.create(
            model="endless", messages=HI, tools=[{"type": "function", "function": {"name": "f"}}]
        )
    with pytest.raises(openai.BadRequestError, match="exceed the context of 2048"):
        client.completions.create(model="endless", prompt=[5] * CONTEXT, max_tokens=1)


@pytest.mark.parametrize(
    ("raw", "statuses"),
    [
        (b"", {400}),
        (b"{", {400}),
        (b"\xff\xfe", {400}),
        (b"[" * 100_000, {400}),
        (b'{"prompt": "a", "max_tokens": ' + b"9" * 5000 + b"}", {400}),
        (b'{"prompt": "\\ud800"}', {400}),
        (b'{"prompt": "a", "temperature": NaN}', {400, 422}),
        (b'{"prompt": "a", "temperature": 1e308}', {400, 422}),
        (b'{"prompt": "a", "max_tokens": true}', {400, 422}),
        (b'{"prompt": ""}', {400, 422}),
        (b"[]", {400, 422}),
        (b'{"prompt": "' + b"x" * 64 * 2**20 + b'"}', {413}),
    ],
    ids=range(12),
)
@pytest.mark.parametrize("path", ["/generate", "/v1/completions", "/v1/chat/completions"])
def test_what_is_malformed(scene: Scene, path: str, raw: bytes, statuses: set[int]) -> None:
    answer = scene.ask(path, raw=raw)
    assert answer.status in statuses
    assert ("error" if "v1" in path else "detail") in answer.body


def test_unknown_paths_and_methods(scene: Scene) -> None:
    assert scene.ask("/generate/nothing", {"prompt": "a"}).status == 404
    assert scene.ask("/generate").status == 405


def test_the_document(scene: Scene) -> None:
    document = scene.ask("/generate/openapi.json").body
    assert document["servers"] == [{"url": "/generate"}]
    assert "/v1/chat/completions" in document["paths"]


def test_health_is_answered_while_generating(scene: Scene) -> None:
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(scene.ask, "/", {"prompt": PROMPT, "max_tokens": 1500})
        wait_for(lambda: long.done() or scene.pending() == 1, "a request in work")
        assert not long.done()
        assert long.result().body["usage"]["completion_tokens"] == 1500
    health = scene.ask("/healthz").body
    assert (health["ready"], health["pending"]) == (True, 0)
    assert {"import", "read", "build", "warm_up"} <= set(health["load"])


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_frees_a_slot(scene: Scene, stream: bool) -> None:
    """Long before the answer would have ended."""
    body = {"prompt": [[5]] * 12, "max_tokens": CONTEXT - 1, "temperature": 0, "stream": stream}
    connection = http.client.HTTPConnection(urlsplit(scene.proxy).netloc, timeout=60)
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    scene.wait_for_pending(12)
    if stream:
        assert connection.getresponse().read(64)
    connection.close()
    scene.wait_for_pending(0)
    reasons = requests_by_reason(scene)
    assert reasons["cancelled"] >= 12


def requests_by_reason(scene: Scene) -> Mapping[str, float]:
    """Of the application `endless`, once the metrics have been sent."""
    nodes = json.loads(fetch(f"{scene.dashboard}/nodes?view=summary")[1])["data"]["summary"]
    address = f"http://{nodes[0]['ip']}:{nodes[0]['raylet']['metricsExportPort']}/metrics"
    found: dict[str, float] = {}

    def sent() -> bool:
        for line in fetch(address)[1].decode().splitlines():
            if line.startswith("ray_modelyard_requests_total{") and 'model="endless"' in line:
                labels, _, value = line.rpartition(" ")
                found[labels.partition('reason="')[2].partition('"')[0]] = float(value)
        return found.get("cancelled", 0) >= 12

    wait_for(sent, "metrics")
    return found
